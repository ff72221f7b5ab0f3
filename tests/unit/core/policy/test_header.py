"""What a policy says that is not about one account."""

from dataclasses import replace

import pytest
from tests.oracle.agreement import change_between

from sidegate.core.model.authority import BIT, Authority, mask_of
from sidegate.core.model.target import ALL_PROJECTS, Kind, parse_scope, parse_target
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Conditions,
    DenyEntry,
    PolicyDocument,
    RoleEntry,
)
from sidegate.core.policy.header import (
    MAX_REMEMBERED_HOLDINGS,
    ApprovalTable,
    CompiledHeader,
    DenyTable,
    group_by_who,
    kinds_in_meet,
)
from sidegate.core.policy.requirement import Requirement

READ = mask_of([Authority.READ])
DELETE = mask_of([Authority.DELETE])
SHARE = mask_of([Authority.SHARE])
PROJECTS = {Kind.PROJECT, Kind.BRANCH, Kind.PATH}
BRANCHES = {Kind.BRANCH, Kind.PATH}
PATHS = {Kind.PATH}


@pytest.mark.parametrize(
    ("scope", "target", "kinds"),
    [
        pytest.param("*", "p1", PROJECTS, id="everything-in-a-project"),
        pytest.param("p1", "p1", PROJECTS, id="the-project"),
        pytest.param("p2", "p1", set(), id="another-project"),
        pytest.param("*@main", "p1", BRANCHES, id="a-branch-of-the-project"),
        pytest.param("p1@main:a", "p1", PATHS, id="a-path-in-the-project"),
        pytest.param("p1@*:a", "p1@main", PATHS, id="a-path-on-the-branch"),
        pytest.param("p1", "p1@main", BRANCHES, id="the-branch"),
        pytest.param("p1@main", "p1@main", BRANCHES, id="the-branch-itself"),
        pytest.param("p1@dev", "p1@main", set(), id="another-branch"),
        pytest.param("p1", "p1@main:a", PATHS, id="a-path"),
        pytest.param("p1@main:a/b", "p1@main:a", PATHS, id="a-deeper-path"),
        pytest.param("p1@main:a", "p1@main:a/b", PATHS, id="a-path-above"),
        pytest.param("p1@main:b", "p1@main:a", set(), id="another-path"),
        pytest.param("p1@main:ab", "p1@main:a", set(), id="whole-segments"),
        pytest.param("/skills", "/", {Kind.SECTION}, id="a-section-below"),
        pytest.param("/", "/skills", {Kind.SECTION}, id="a-section-above"),
        pytest.param("/skills", "/reports", set(), id="another-section"),
        pytest.param("/", "p1", set(), id="sections-never-meet-projects"),
        pytest.param("*", "/", set(), id="projects-never-meet-sections"),
    ],
)
def test_kinds_in_the_meet(scope: str, target: str, kinds: set[Kind]) -> None:
    """What kinds of targets lie both in a scope and in a subtree (spec 1.6)."""
    assert kinds == kinds_in_meet(parse_scope(scope), parse_target("acme", target, subtree=True))


RULES = [
    ApprovalRule("on-main", READ, parse_scope("*@main")),
    ApprovalRule("branches", READ, ALL_PROJECTS, Kind.BRANCH),
    ApprovalRule("in-p1", READ, parse_scope("p1")),
    ApprovalRule("deleting", DELETE, ALL_PROJECTS),
    ApprovalRule("skills", READ, parse_scope("/skills")),
]


@pytest.mark.parametrize(
    ("target", "subtree", "authority", "ids"),
    [
        pytest.param("p2@main:a", False, Authority.READ, ("on-main",), id="scope"),
        pytest.param("p2@dev", False, Authority.READ, ("branches",), id="kind"),
        pytest.param("p2@dev:a", False, Authority.READ, (), id="other-kind"),
        pytest.param("p1@main", False, Authority.READ, ("branches", "in-p1", "on-main"), id="sorted-by-id"),
        pytest.param("p2", False, Authority.READ, (), id="project-itself"),
        pytest.param("p2", True, Authority.READ, ("branches", "on-main"), id="anything-in-the-subtree-of-its-kind"),
        pytest.param("p2@dev:a", True, Authority.READ, (), id="no-branch-below-a-path"),
        pytest.param("p2", False, Authority.DELETE, ("deleting",), id="authority"),
        pytest.param("p2", False, Authority.SHARE, (), id="no-rule-for-the-authority"),
        pytest.param("/", False, Authority.READ, (), id="section-above"),
        pytest.param("/", True, Authority.READ, ("skills",), id="section-subtree"),
        pytest.param("/skills/x", False, Authority.READ, ("skills",), id="section"),
    ],
)
def test_approval_rules(target: str, subtree: bool, authority: Authority, ids: tuple[str, ...]) -> None:
    """A rule covers (authority, target, kind), on a subtree anything in it of its kind (spec 1.5, 8 and 1.6)."""
    table = ApprovalTable(RULES)
    assert ids == table.covering(parse_target("acme", target, subtree=subtree), BIT[authority])


def test_approval_table_knows_its_authorities() -> None:
    """One bit operation tells that no rule can apply."""
    assert ApprovalTable(RULES).mask == READ | DELETE
    assert ApprovalTable([]).mask == 0


@pytest.mark.parametrize(
    ("target", "authority", "covering", "meeting"),
    [
        pytest.param("p1@main", Authority.READ, {"d1"}, {"d1", "d2"}, id="path-below"),
        pytest.param("p1@main:a/b", Authority.READ, {"d1", "d2"}, {"d1", "d2"}, id="both"),
        pytest.param("p1@main", Authority.DELETE, set(), set(), id="other-authority"),
        pytest.param("/skills", Authority.READ, set(), set(), id="other-authority-on-sections"),
        pytest.param("p2", Authority.READ, {"d6"}, {"d6"}, id="one-of-two"),
        pytest.param("/skills", Authority.DELETE, {"d3"}, {"d3", "d4"}, id="sections"),
        pytest.param("/", Authority.DELETE, set(), {"d3", "d4"}, id="sections-below"),
    ],
)
def test_denies(target: str, authority: Authority, covering: set[str], meeting: set[str]) -> None:
    """What covers the target, and what meets its subtree."""
    table = DenyTable(
        [
            DenyEntry("d1", "user:ana", READ, parse_scope("p1")),
            DenyEntry("d2", "user:ana", READ, parse_scope("p1@main:a")),
            DenyEntry("d3", "user:ana", DELETE, parse_scope("/skills")),
            DenyEntry("d4", "user:ana", DELETE, parse_scope("/skills/fiber")),
            DenyEntry("d5", "user:ana", SHARE, parse_scope("*")),
            DenyEntry("d6", "user:ana", READ, parse_scope("p2")),
        ]
    )
    wanted, bit = parse_target("acme", target), BIT[authority]
    assert covering == set(table.covering(wanted, bit))
    assert meeting == set(table.meeting(wanted, bit))
    assert table.mask == READ | DELETE | SHARE


def test_entries_are_grouped_by_whom_they_are_for() -> None:
    """Names may hold colons; the order of entries does not show."""
    entries = [
        BindingEntry(name, who, "Viewer", ALL_PROJECTS)
        for name, who in [("b2", "group:a:b"), ("b1", "group:a:b"), ("b3", "user:group:x")]
    ]
    assert {"a:b": (entries[1], entries[0])} == group_by_who(entries, "group:")


@pytest.mark.parametrize(
    ("entry", "of_users", "of_services"),
    [
        pytest.param(RoleEntry("R"), None, None, id="nothing"),
        pytest.param(RoleEntry("R", high_risk=True), Requirement(True, None, ()), None, id="high-risk-is-for-users"),
        pytest.param(
            RoleEntry("R", requires=Conditions(mfa=True)),
            Requirement(True, None, ()),
            Requirement(True, None, ()),
            id="written-mfa-is-for-all",
        ),
    ],
)
def test_high_risk_implies_a_second_factor_for_users(
    entry: RoleEntry, of_users: Requirement | None, of_services: Requirement | None
) -> None:
    """Whatever the credential (spec 1.5)."""
    role = CompiledHeader(PolicyDocument("acme", roles=(entry,))).roles["R"]
    assert (of_users, of_services) == (role.required_of_users, role.required_of_services)


def test_a_header_holds_everything_but_accounts() -> None:
    """Seconds become milliseconds; entries about accounts are left out."""
    denies = tuple(
        DenyEntry(f"d{place}", who, READ, ALL_PROJECTS)
        for place, who in enumerate(["group:g", "role:Member", "agent:x", "user:ana"])
    )
    bindings = (
        BindingEntry("b1", "group:g", "Viewer", ALL_PROJECTS),
        BindingEntry("b2", "user:ana", "Viewer", ALL_PROJECTS),
    )
    header = CompiledHeader(PolicyDocument("acme", 60, bindings=bindings, denies=denies))
    assert (header.organization, header.mfa_max_age) == ("acme", 60_000)
    assert {"g": bindings[:1]} == header.group_bindings
    assert ({"g": denies[:1]}, {"Member": denies[1:2]}, {"x": denies[2:3]}) == (
        header.group_denies,
        header.role_denies,
        header.agent_entries,
    )
    assert header.agent_denies["x"].covering(parse_target("acme", "p1"), READ) == ("d2",)


def test_accounts_with_the_same_roles_share_what_these_give() -> None:
    """Per type of account, since high risk asks for more of users; within bounds."""
    header = CompiledHeader(PolicyDocument("acme"))
    names = ("API Clients", "Member")
    users, services = (header.holding_of(names, is_service=is_service) for is_service in (False, True))
    assert users is header.holding_of(names, is_service=False)
    assert [Requirement(True, None, ()), None] == [entry.requirement for entry in users.ceiling.entries]
    assert [entry.requirement for entry in services.ceiling.entries] == [None, None]
    for place in range(2 * MAX_REMEMBERED_HOLDINGS + 1):
        header.holding_of((str(place),), is_service=False)
    assert len(header.holdings) <= MAX_REMEMBERED_HOLDINGS


def header_of(document: PolicyDocument) -> CompiledHeader:
    """Compile *document*; groups with more than two bindings are large."""
    return CompiledHeader(document, share_groups_above=2)


RULE = ApprovalRule("a1", DELETE, parse_scope("p1"))
BEFORE = PolicyDocument(
    "acme",
    roles=(RoleEntry("Lead", "Designer"),),
    bindings=tuple(
        BindingEntry(f"{group}{place}", f"group:{group}", "Lead", parse_scope(f"p{place}"))
        for group, count in (("few", 2), ("many", 5), ("gone", 3), ("other", 1))
        for place in range(count)
    ),
    denies=(
        DenyEntry("d1", "group:few", READ, ALL_PROJECTS),
        DenyEntry("d2", "role:Member", READ, ALL_PROJECTS),
        DenyEntry("d3", "agent:ag_1", READ, ALL_PROJECTS),
        DenyEntry("d4", "agent:ag_2", READ, ALL_PROJECTS),
    ),
    approvals=(RULE, replace(RULE, id="a2", on=ALL_PROJECTS), replace(RULE, id="a3", authorities=SHARE)),
)


def spelled(header: CompiledHeader) -> tuple[object, ...]:
    """Return what *header* says, to be compared."""
    targets = [parse_target("acme", text) for text in ("p1", "p1@main", "p3")]
    return (
        header.organization,
        header.mfa_max_age,
        header.roles,
        header.group_bindings,
        {name: sorted(one.id for one in group.bindings()) for name, group in header.large_groups.items()},
        {
            name: [group.of_users.narrowest(f"p{place}", None, ()) is not None for place in range(6)]
            for name, group in header.large_groups.items()
        },
        header.group_denies,
        header.role_denies,
        header.agent_entries,
        {name: table.mask for name, table in header.agent_denies.items()},
        header.approvals.rules,
        header.approvals.mask,
        [header.approvals.covering(target, bit) for target in targets for bit in BIT.values()],
        {group: sorted(set(header.roles_bound_to(group))) for group in ("few", "many", "gone", "other", "new")},
    )


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(BEFORE, id="nothing"),
        pytest.param(replace(BEFORE, mfa_max_age_s=7), id="a-setting"),
        pytest.param(replace(BEFORE, roles=()), id="a-role-that-is-gone"),
        pytest.param(replace(BEFORE, roles=(RoleEntry("Lead", "Viewer"),)), id="a-role-that-is-another"),
        pytest.param(replace(BEFORE, bindings=BEFORE.bindings[1:]), id="a-binding-of-few-that-is-gone"),
        pytest.param(replace(BEFORE, bindings=BEFORE.bindings[:-1]), id="a-group-without-bindings"),
        pytest.param(replace(BEFORE, bindings=()), id="no-bindings"),
        pytest.param(replace(BEFORE, bindings=BEFORE.bindings[:4]), id="few-of-many-are-left"),
        pytest.param(
            replace(BEFORE, bindings=(*BEFORE.bindings, *(replace(one, id=f"n{one.id}") for one in BEFORE.bindings))),
            id="all-grow",
        ),
        pytest.param(
            replace(BEFORE, bindings=(*BEFORE.bindings, BindingEntry("x", "group:new", "Admin", parse_scope("p1")))),
            id="a-new-group",
        ),
        pytest.param(
            replace(BEFORE, bindings=tuple(replace(one, who="group:many") for one in BEFORE.bindings)),
            id="all-of-one-group",
        ),
        pytest.param(replace(BEFORE, denies=()), id="no-denies"),
        pytest.param(
            replace(BEFORE, denies=(replace(BEFORE.denies[0], who="role:Member"), *BEFORE.denies[1:3])),
            id="other-denies",
        ),
        pytest.param(replace(BEFORE, approvals=()), id="no-rules"),
        pytest.param(replace(BEFORE, approvals=(replace(RULE, on=parse_scope("p3")),)), id="another-rule"),
        pytest.param(replace(BEFORE, approvals=(*BEFORE.approvals, replace(RULE, id="a0"))), id="a-rule-more"),
    ],
)
def test_revised_is_like_compiled(after: PolicyDocument) -> None:
    """What a change leads to is what compiling everything leads to, there and back."""
    before = header_of(BEFORE)
    revised = before.revised(change_between(BEFORE, after))
    assert spelled(revised) == spelled(header_of(after))
    assert spelled(revised.revised(change_between(after, BEFORE))) == spelled(before) == spelled(header_of(BEFORE))


def test_revised_shares_what_is_the_same() -> None:
    """A change of one group lays nothing else out anew."""
    before = header_of(BEFORE)
    after = before.revised(change_between(BEFORE, replace(BEFORE, bindings=BEFORE.bindings[1:])))
    assert after.large_groups["many"] is before.large_groups["many"]
    assert (after.roles is before.roles, after.approvals is before.approvals) == (True, True)
    assert after.agent_denies["ag_1"] is before.agent_denies["ag_1"]
