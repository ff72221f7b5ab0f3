"""Everything that is wrong with a document, at once."""

from dataclasses import replace

import pytest

from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
    SessionLimits,
)
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.validate import find_problems

READ = mask_of([Authority.READ])
ANA = MemberEntry("user:ana", roles=("Guest",), groups=("fiber",))
BINDING = BindingEntry("b1", "user:ana", "Viewer", ALL_PROJECTS)
DENY = DenyEntry("d1", "role:Guest", READ, ALL_PROJECTS)
RULE = ApprovalRule("a1", READ, ALL_PROJECTS)
KEY = KeyEntry("k1", bytes(32), "user:ana", expires_at=UnixMillis(1))
SOUND = PolicyDocument(
    "acme",
    roles=(RoleEntry("Guest", "Member"),),
    members=(ANA,),
    groups=(GroupEntry("fiber"),),
    bindings=(BINDING,),
    denies=(DENY,),
    approvals=(RULE,),
    keys=(KEY,),
    sessions={"web": SessionLimits(Millis(1), None)},
)
ERROR, WARNING = Severity.ERROR, Severity.WARNING


def keys(document: PolicyDocument) -> list[tuple[Severity, str]]:
    """Severity and key of each finding."""
    return [(finding.severity, finding.key) for finding in find_problems(document)]


def test_a_sound_document() -> None:
    """Nothing is said about it, with an empty candidate neither."""
    assert keys(SOUND) == []
    assert keys(replace(SOUND, candidate=Candidate())) == []


@pytest.mark.parametrize(
    ("document", "key"),
    [
        pytest.param(replace(SOUND, organization="a b"), "organization", id="organization"),
        pytest.param(replace(SOUND, mfa_max_age_s=-1), "mfa_max_age_s", id="mfa-age"),
        pytest.param(
            replace(SOUND, sessions={"web": SessionLimits(Millis(0))}), "sessions.web.idle_ms", id="idle-limit"
        ),
        pytest.param(
            replace(SOUND, sessions={"web": SessionLimits(None, Millis(-1))}),
            "sessions.web.absolute_ms",
            id="absolute-limit",
        ),
        pytest.param(replace(SOUND, bindings=(BINDING, BINDING)), "b1", id="binding-twice"),
        pytest.param(replace(SOUND, denies=(DENY, replace(DENY, id="b1"))), "b1", id="one-id-in-two-sections"),
        pytest.param(replace(SOUND, approvals=(RULE, replace(RULE, id="d1"))), "d1", id="rule-and-deny"),
        pytest.param(replace(SOUND, roles=(*SOUND.roles, *SOUND.roles)), "role:Guest", id="role-twice"),
        pytest.param(replace(SOUND, members=(ANA, ANA)), "member:user:ana", id="member-twice"),
        pytest.param(replace(SOUND, groups=(*SOUND.groups, *SOUND.groups)), "group:fiber", id="group-twice"),
        pytest.param(replace(SOUND, keys=(KEY, KEY)), "key:k1", id="key-twice"),
        pytest.param(replace(SOUND, bindings=(replace(BINDING, id=""),)), "", id="empty-id"),
        pytest.param(replace(SOUND, bindings=(replace(BINDING, id="credential"),)), "credential", id="reserved-id"),
        pytest.param(replace(SOUND, bindings=(replace(BINDING, id="agent:x"),)), "agent:x", id="reserved-prefix"),
    ],
)
def test_errors_of_the_whole(document: PolicyDocument, key: str) -> None:
    """What has two meanings, or would be taken for something else."""
    assert [(ERROR, key)] == keys(document)


def test_everything_is_told_at_once() -> None:
    """Settings, duplicates, roles, entries."""
    document = replace(
        SOUND,
        mfa_max_age_s=-1,
        roles=(*SOUND.roles, RoleEntry("Viewer")),
        bindings=(BINDING, replace(BINDING, role="Viewr")),
    )
    expected = [(ERROR, "mfa_max_age_s"), (ERROR, "b1"), (ERROR, "role:Viewer"), (WARNING, "b1")]
    assert expected == keys(document)


@pytest.mark.parametrize(
    ("candidate", "found"),
    [
        pytest.param(Candidate(bindings=(replace(BINDING, role="Designer"),)), [], id="replacement"),
        pytest.param(Candidate(remove=("b1", "d1", "key:k1")), [], id="removals"),
        pytest.param(Candidate(remove=("b2",)), [(ERROR, "candidate:remove")], id="removes-nothing"),
        pytest.param(Candidate(remove=("Viewer",)), [(ERROR, "candidate:remove")], id="removes-a-built-in"),
        pytest.param(Candidate(remove=("role:Viewer",)), [(ERROR, "candidate:remove")], id="removes-a-built-in-by-key"),
        pytest.param(
            Candidate(bindings=(BINDING,), remove=("b1",)), [(ERROR, "candidate:remove")], id="removes-what-it-defines"
        ),
        pytest.param(
            Candidate(roles=(RoleEntry("Viewer"),)), [(ERROR, "candidate:role:Viewer")], id="edits-a-built-in"
        ),
        pytest.param(
            Candidate(bindings=(replace(BINDING, id="b2", role="Viewr"),)), [(WARNING, "candidate:b2")], id="warning"
        ),
        pytest.param(
            Candidate(denies=(replace(DENY, id="b1"),)), [(ERROR, "candidate:b1")], id="id-of-another-section"
        ),
        pytest.param(
            Candidate(remove=("Guest",)),
            [(WARNING, "member:user:ana"), (ERROR, "d1")],
            id="breaks-what-is-enforced",
        ),
        pytest.param(
            Candidate(members=(replace(ANA, groups=("x",)),)), [(WARNING, "candidate:member:user:ana")], id="member"
        ),
    ],
)
def test_candidates(candidate: Candidate, found: list[tuple[Severity, str]]) -> None:
    """Told where they stand; what they break elsewhere, at the entry that would be broken."""
    assert found == keys(replace(SOUND, candidate=candidate))


def test_a_word_that_names_two_entries_cannot_be_removed() -> None:
    """Which of them was meant nobody can say; with its kind it is clear."""
    document = replace(SOUND, roles=(*SOUND.roles, RoleEntry("b1")))
    assert keys(replace(document, candidate=Candidate(remove=("b1",)))) == [(ERROR, "candidate:remove")]
    assert keys(replace(document, candidate=Candidate(remove=("role:b1",)))) == []


def test_what_is_wrong_without_the_candidate_is_told_once() -> None:
    """The candidate repeats no finding."""
    document = replace(SOUND, bindings=(replace(BINDING, role="Viewr"),), candidate=Candidate(remove=("d1",)))
    assert keys(document) == [(WARNING, "b1")]
