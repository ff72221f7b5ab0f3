"""What is wrong with members, bindings, denies, approval rules and keys."""

from dataclasses import replace

import pytest

from sidegate.core.model.authority import Authority, Mask, mask_of
from sidegate.core.model.target import ALL_PROJECTS, Kind, parse_scope
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import (
    ApprovalRule,
    Approvers,
    BindingEntry,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
)
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.roles import resolve_roles
from sidegate.core.policy.validate_entries import EntryJudge, can_cover

READ = mask_of([Authority.READ])
ANA = MemberEntry("user:ana", roles=("Member",), groups=("fiber",))
SOUND = PolicyDocument("acme", members=(ANA, MemberEntry("service:ci")), groups=(GroupEntry("fiber"),))
BINDING = BindingEntry("b1", "user:ana", "Viewer", ALL_PROJECTS)
DENY = DenyEntry("d1", "user:ana", READ, ALL_PROJECTS)
RULE = ApprovalRule("a1", READ, ALL_PROJECTS)
KEY = KeyEntry("k1", bytes(32), "service:ci", expires_at=UnixMillis(1))
YEAR = 365 * 86_400_000
ERROR, WARNING = Severity.ERROR, Severity.WARNING


def of(entry: object) -> PolicyDocument:
    """The sound document with *entry* in it."""
    match entry:
        case MemberEntry():
            return replace(SOUND, members=(*SOUND.members, entry))
        case BindingEntry():
            return replace(SOUND, bindings=(entry,))
        case DenyEntry():
            return replace(SOUND, denies=(entry,))
        case ApprovalRule():
            return replace(SOUND, approvals=(entry,))
        case KeyEntry():
            return replace(SOUND, keys=(entry,))
        case _:
            raise AssertionError(entry)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(MemberEntry("user:bo", roles=("Organization admin",), groups=("fiber",)), id="member"),
        pytest.param(MemberEntry("service:x", roles=("Full API Access",)), id="service-role-of-a-service"),
        pytest.param(BINDING, id="binding"),
        pytest.param(replace(BINDING, who="service:ci", not_before=UnixMillis(1)), id="binding-of-service"),
        pytest.param(replace(BINDING, who="group:fiber", not_after=UnixMillis(1)), id="binding-of-group"),
        pytest.param(replace(BINDING, not_before=UnixMillis(1), not_after=UnixMillis(2)), id="window"),
        pytest.param(DENY, id="deny"),
        pytest.param(replace(DENY, who="group:fiber", on=parse_scope("/skills")), id="deny-of-group-on-section"),
        pytest.param(replace(DENY, who="role:Member"), id="deny-of-role"),
        pytest.param(replace(DENY, who="agent:ag_1"), id="deny-of-link"),
        pytest.param(RULE, id="rule"),
        pytest.param(replace(RULE, approvers=Approvers(None, ("user:ana",), ("fiber",))), id="named-approvers"),
        pytest.param(replace(RULE, kind=Kind.BRANCH, quorum=2), id="rule-with-kind"),
        pytest.param(KEY, id="key"),
        pytest.param(replace(KEY, expires_at=None, created_at=UnixMillis(0)), id="key-of-a-year"),
        pytest.param(replace(KEY, expires_at=UnixMillis(YEAR), created_at=UnixMillis(0)), id="key-of-a-whole-year"),
    ],
)
def test_sound_entries(entry: object) -> None:
    """Nothing is said about what is right."""
    document = of(entry)
    assert list(EntryJudge(document, resolve_roles(document.roles)).findings(document)) == []


@pytest.mark.parametrize(
    ("entry", "severity", "key", "what"),
    [
        pytest.param(MemberEntry("ana"), ERROR, "member:ana", "is `ana`, which is no account", id="member-form"),
        pytest.param(MemberEntry("user:"), ERROR, "member:user:", "is `user:`", id="member-without-id"),
        pytest.param(
            MemberEntry("user:bo", roles=("Membr",)),
            WARNING,
            "member:user:bo",
            "holds the role `Membr`",
            id="unknown-role",
        ),
        pytest.param(
            MemberEntry("user:bo", roles=("Viewer",)),
            WARNING,
            "member:user:bo",
            "holds the project role",
            id="project-role-held",
        ),
        pytest.param(
            MemberEntry("user:bo", roles=("Full API Access",)),
            WARNING,
            "member:user:bo",
            "holds `Full API Access`, which is meant for service accounts",
            id="service-role-of-a-user",
        ),
        pytest.param(
            MemberEntry("user:bo", groups=("fibre",)), WARNING, "member:user:bo", "is in the group `fibre`", id="group"
        ),
        pytest.param(replace(BINDING, who="ana"), ERROR, "b1", "names `ana`", id="binding-form"),
        pytest.param(replace(BINDING, who="role:Member"), ERROR, "b1", "names `role:Member`", id="binding-of-a-role"),
        pytest.param(replace(BINDING, who="user:bo"), WARNING, "b1", "names `user:bo`, who is no", id="no-member"),
        pytest.param(
            replace(BINDING, who="group:x"), WARNING, "b1", "is for the group `x`", id="binding-unknown-group"
        ),
        pytest.param(
            replace(BINDING, role="Viewr"), WARNING, "b1", "gives the role `Viewr`", id="binding-unknown-role"
        ),
        pytest.param(
            replace(BINDING, role="Member"),
            WARNING,
            "b1",
            "gives the organization role",
            id="binding-organization-role",
        ),
        pytest.param(
            replace(BINDING, on=parse_scope("/x")), WARNING, "b1", "is on the section", id="binding-on-section"
        ),
        pytest.param(
            replace(BINDING, not_before=UnixMillis(2), not_after=UnixMillis(2)),
            WARNING,
            "b1",
            "ends before it begins",
            id="empty-window",
        ),
        pytest.param(replace(DENY, authorities=Mask(0)), ERROR, "d1", "withholds no authority", id="deny-of-nothing"),
        pytest.param(replace(DENY, who="ana"), ERROR, "d1", "names `ana`", id="deny-form"),
        pytest.param(replace(DENY, who="user:bo"), WARNING, "d1", "names `user:bo`, who is no", id="deny-no-member"),
        pytest.param(replace(DENY, who="group:x"), ERROR, "d1", "is for the group `x`", id="deny-unknown-group"),
        pytest.param(replace(DENY, who="role:Membr"), ERROR, "d1", "is for the role `Membr`", id="deny-unknown-role"),
        pytest.param(
            replace(DENY, who="role:Viewer"), ERROR, "d1", "is for the project role `Viewer`", id="deny-project-role"
        ),
        pytest.param(replace(DENY, who="agent:"), ERROR, "d1", "names no link", id="deny-no-link"),
        pytest.param(replace(RULE, authorities=Mask(0)), ERROR, "a1", "covers no authority", id="rule-of-nothing"),
        pytest.param(replace(RULE, kind=Kind.SECTION), ERROR, "a1", "is for targets of kind section", id="rule-kind"),
        pytest.param(replace(RULE, quorum=0), ERROR, "a1", "has the quorum 0", id="quorum"),
        pytest.param(replace(RULE, ttl=Millis(0)), ERROR, "a1", "is over before it begins", id="ttl"),
        pytest.param(
            replace(RULE, approvers=Approvers(None)), WARNING, "a1", "has no approvers", id="nobody-can-approve"
        ),
        pytest.param(
            replace(RULE, approvers=Approvers(accounts=("bo",))), ERROR, "a1", "names `bo`", id="approver-form"
        ),
        pytest.param(
            replace(RULE, approvers=Approvers(groups=("x",))), WARNING, "a1", "names the group `x`", id="approver-group"
        ),
        pytest.param(replace(KEY, digest=bytes(31)), ERROR, "key:k1", "has a digest that is no SHA-256", id="digest"),
        pytest.param(replace(KEY, account="ci"), ERROR, "key:k1", "names `ci`", id="key-form"),
        pytest.param(replace(KEY, account="service:x"), WARNING, "key:k1", "names `service:x`", id="key-no-member"),
        pytest.param(
            replace(KEY, expires_at=None), WARNING, "key:k1", "says neither when it ends nor", id="endless-key"
        ),
        pytest.param(
            replace(KEY, expires_at=UnixMillis(YEAR + 1), created_at=UnixMillis(0)),
            WARNING,
            "key:k1",
            "lives for more than a year: it ends at 1971-01-01T00:00:00.000Z",
            id="key-beyond-a-year",
        ),
        pytest.param(
            replace(KEY, expires_at=UnixMillis(YEAR * 3), created_at=UnixMillis(0), rotated_at=UnixMillis(YEAR)),
            WARNING,
            "key:k1",
            "lives for more than a year: it ends at 1972-01-01T00:00:00.000Z",
            id="key-beyond-a-year-after-rotation",
        ),
    ],
)
def test_unsound_entries(entry: object, severity: Severity, key: str, what: str) -> None:
    """An error where it would fail open or has no meaning, a warning where it grants nothing (spec 1.5)."""
    document = of(entry)
    findings = list(EntryJudge(document, resolve_roles(document.roles)).findings(document))
    assert [(severity, key)] == [(finding.severity, finding.key) for finding in findings]
    assert findings[0].what.startswith(what)
    assert findings[0].hint


def test_a_group_that_a_member_is_in_exists() -> None:
    """A deny on it applies, declared or not; only the missing declaration is told."""
    document = PolicyDocument(
        "acme", members=(replace(ANA, groups=("copper",)),), denies=(replace(DENY, who="group:copper"),)
    )
    findings = list(EntryJudge(document, resolve_roles(())).findings(document))
    assert [(finding.severity, finding.key) for finding in findings] == [(WARNING, "member:user:ana")]


@pytest.mark.parametrize(
    ("scope", "kinds"),
    [
        pytest.param("*", {Kind.PROJECT, Kind.BRANCH, Kind.PATH}, id="star"),
        pytest.param("p1", {Kind.PROJECT, Kind.BRANCH, Kind.PATH}, id="project"),
        pytest.param("*@main", {Kind.BRANCH, Kind.PATH}, id="branch-of-every-project"),
        pytest.param("p1@*:a", {Kind.PATH}, id="path-on-every-branch"),
        pytest.param("p1@main:a", {Kind.PATH}, id="path"),
        pytest.param("/x", {Kind.SECTION}, id="section"),
    ],
)
def test_what_kinds_a_scope_can_cover(scope: str, kinds: set[Kind]) -> None:
    """A rule for another kind would never apply."""
    assert kinds == {kind for kind in Kind if can_cover(parse_scope(scope), kind)}
