"""One account in the form in which it is decided."""

import pytest

from sidegate.core.model.authority import ALL_AUTHORITIES, NO_AUTHORITY, Authority, Mask, mask_of
from sidegate.core.model.decision import Decision
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import ALL_PROJECTS, parse_scope, parse_section, parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.binding import is_in_force
from sidegate.core.policy.document import (
    BindingEntry,
    BindingState,
    Conditions,
    DenyEntry,
    PolicyDocument,
    RoleEntry,
)
from sidegate.core.policy.header import CompiledHeader
from sidegate.core.policy.requirement import Requirement
from sidegate.core.policy.subject import (
    ACCOUNT_INACTIVE,
    NOT_A_MEMBER,
    ShadowSubject,
    Subject,
    SubjectRecord,
)
from sidegate.core.policy.table import Entry

READ = mask_of([Authority.READ])
WRITE = mask_of([Authority.WRITE])
NOW = UnixMillis(1_000)
MFA = Requirement(True, None, ())
ANA, CI = "user:ana", "service:ci"


def at(offset: int) -> UnixMillis:
    """An instant near :data:`NOW`."""
    return UnixMillis(NOW + offset)


def binding(binding_id: str = "b1", role: str = "Viewer", on: str = "p1", **more: object) -> BindingEntry:
    """A binding of the account under test."""
    return BindingEntry(binding_id, "user:ana", role, parse_scope(on), **more)  # type: ignore[arg-type]


def subject(record: SubjectRecord | None, document: PolicyDocument | None = None) -> Subject:
    """The account of *record* compiled against *document*."""
    header = CompiledHeader(document or PolicyDocument("acme"))
    return Subject(header, record, "user:ana" if record is None else record.account)


def entries_on(compiled: Subject, text: str, now: UnixMillis = NOW) -> tuple[Entry, ...]:
    """The entries of the narrowest node that covers *text*; empty when there is none."""
    target = parse_target("acme", text)
    node = compiled.grants(now).narrowest(target.project, target.branch, target.path)
    return () if node is None else node.entries


@pytest.mark.parametrize(
    ("not_before", "not_after", "state", "expected"),
    [
        pytest.param(None, None, BindingState.ACTIVE, True, id="always"),
        pytest.param(None, None, BindingState.TO_BE_REMOVED, True, id="to-be-removed-still-holds"),
        pytest.param(None, None, BindingState.TO_BE_ADDED, False, id="to-be-added-does-not-yet"),
        pytest.param(None, None, BindingState.REMOVED, False, id="removed"),
        pytest.param(at(1), None, BindingState.ACTIVE, False, id="one-ms-before-it-begins"),
        pytest.param(at(0), None, BindingState.ACTIVE, True, id="at-its-beginning"),
        pytest.param(at(-1), None, BindingState.ACTIVE, True, id="after-its-beginning"),
        pytest.param(None, at(1), BindingState.ACTIVE, True, id="one-ms-before-its-end"),
        pytest.param(None, at(0), BindingState.ACTIVE, False, id="at-its-end"),
        pytest.param(None, at(-1), BindingState.ACTIVE, False, id="after-its-end"),
        pytest.param(at(0), at(1), BindingState.ACTIVE, True, id="within"),
        pytest.param(at(0), at(0), BindingState.ACTIVE, False, id="empty-window"),
        pytest.param(at(0), at(1), BindingState.TO_BE_ADDED, False, id="within-but-pending"),
    ],
)
def test_in_force(
    not_before: UnixMillis | None, not_after: UnixMillis | None, state: BindingState, expected: bool
) -> None:
    """Unless not yet begun, at its end, or to be added or removed (spec 1.5); the compiled grants say the same."""
    entry = binding(not_before=not_before, not_after=not_after, state=state)
    assert expected is is_in_force(entry, NOW)
    compiled = subject(SubjectRecord("user:ana", bindings=(entry,)))
    assert expected is bool(entries_on(compiled, "p1"))


def test_grants_follow_the_clock_both_ways() -> None:
    """Beginnings and ends take effect on time without any message; an earlier time gives the earlier answer."""
    entries = (
        binding("early", not_after=at(10)),
        binding("late", not_before=at(5), not_after=at(20)),
        binding("always", on="p2"),
    )
    compiled = subject(SubjectRecord("user:ana", bindings=entries))
    expected = {-1: ["early"], 4: ["early"], 5: ["early", "late"], 10: ["late"], 19: ["late"], 20: []}
    for offset in (*expected, *reversed(expected)):
        assert expected[offset] == [entry.key for entry in entries_on(compiled, "p1", at(offset))]
        assert [entry.key for entry in entries_on(compiled, "p2", at(offset))] == ["always"]
    assert compiled.standing is None


def test_grants_are_not_compiled_again_within_an_interval() -> None:
    """Only a beginning or an end costs anything."""
    compiled = subject(SubjectRecord("user:ana", bindings=(binding(not_before=at(5)), binding("b2", not_after=at(10)))))
    assert compiled.grants(at(5)) is compiled.grants(at(9))
    assert compiled.grants(at(9)) is not compiled.grants(at(10))


def test_untimed_grants_stand() -> None:
    """The clock is not even looked at."""
    compiled = subject(SubjectRecord("user:ana", bindings=(binding(),)))
    assert compiled.standing is compiled.grants(at(0))


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        pytest.param(None, NOT_A_MEMBER, id="no-member"),
        pytest.param(SubjectRecord("user:ana"), None, id="active"),
        pytest.param(SubjectRecord("user:ana", AccountState.SUSPENDED), ACCOUNT_INACTIVE, id="suspended"),
        pytest.param(SubjectRecord("user:ana", AccountState.DEPROVISIONED), ACCOUNT_INACTIVE, id="deprovisioned"),
    ],
)
def test_refusal(record: SubjectRecord | None, refusal: Decision | None) -> None:
    """Check 2."""
    assert refusal == subject(record).refusal


def test_groups_bring_bindings_and_denies() -> None:
    """Each group once, however often it is listed."""
    document = PolicyDocument(
        "acme",
        bindings=(BindingEntry("g1", "group:fiber", "Designer", parse_scope("p1")),),
        denies=(DenyEntry("d1", "group:fiber", WRITE, ALL_PROJECTS), DenyEntry("d2", "group:x", READ, ALL_PROJECTS)),
    )
    compiled = subject(SubjectRecord("user:ana", groups=("fiber", "fiber", "unknown"), bindings=(binding(),)), document)
    assert [entry.key for entry in entries_on(compiled, "p1")] == ["b1", "g1"]
    assert compiled.denies is not None
    assert compiled.denies.covering(parse_target("acme", "p1"), WRITE) == ("d1",)
    assert compiled.denies.covering(parse_target("acme", "p1"), READ) == ()


def test_role_denies_hold_by_name() -> None:
    """Whether or not the role is known or its conditions are met (spec 1.5)."""
    document = PolicyDocument("acme", denies=(DenyEntry("d1", "role:Forgotten", READ, ALL_PROJECTS),))
    compiled = subject(SubjectRecord("user:ana", roles=("Forgotten",)), document)
    assert compiled.denies is not None
    assert compiled.denies.covering(parse_target("acme", "p1"), READ) == ("d1",)


def test_nothing_withheld_is_nothing_to_look_at() -> None:
    """None rather than an empty table."""
    assert None is subject(SubjectRecord("user:ana")).denies


@pytest.mark.parametrize(
    ("role", "mask", "requirement"),
    [
        pytest.param("Viewer", READ, None, id="built-in"),
        pytest.param("Nobody knows", NO_AUTHORITY, None, id="unknown-role-takes-its-place-and-gives-nothing"),
        pytest.param("Member", NO_AUTHORITY, None, id="organization-role-gives-nothing"),
        pytest.param("Risky", WRITE, MFA, id="high-risk-project-role"),
    ],
)
def test_bound_roles(role: str, mask: Mask, requirement: Requirement | None) -> None:
    """A binding that gives nothing still takes part in which is the narrowest (spec 1.5)."""
    document = PolicyDocument("acme", roles=(RoleEntry("Risky", authorities=WRITE, high_risk=True),))
    compiled = subject(SubjectRecord("user:ana", bindings=(binding(role=role),)), document)
    assert (Entry("b1", mask, requirement),) == entries_on(compiled, "p1")


@pytest.mark.parametrize(
    ("account", "when", "requirement"),
    [
        pytest.param("user:ana", Conditions(), MFA, id="user"),
        pytest.param("service:ci", Conditions(), None, id="service"),
        pytest.param(
            "user:ana", Conditions(surfaces=("web",)), Requirement(True, frozenset({"web"}), ()), id="user-and-when"
        ),
        pytest.param(
            "service:ci",
            Conditions(surfaces=("web",)),
            Requirement(False, frozenset({"web"}), ()),
            id="service-and-when",
        ),
    ],
)
def test_high_risk_by_type_of_account(account: str, when: Conditions, requirement: Requirement | None) -> None:
    """A second factor is implied for users only, beside the binding's own conditions."""
    document = PolicyDocument("acme", roles=(RoleEntry("Risky", authorities=WRITE, high_risk=True),))
    compiled = subject(SubjectRecord(account, bindings=(binding(role="Risky", when=when),)), document)
    assert (Entry("b1", WRITE, requirement),) == entries_on(compiled, "p1")


def test_implied_bindings_carry_the_conditions_of_their_role() -> None:
    """They stand on ``*`` beside whatever is bound there (spec 1.3, 1.5)."""
    compiled = subject(SubjectRecord("user:ana", roles=("Organization admin",), bindings=(binding(on="*"),)))
    implied = Entry("role:Organization admin", ALL_AUTHORITIES, MFA)
    assert (Entry("b1", READ), implied) == entries_on(compiled, "p9")


def test_a_binding_on_a_section_covers_no_project() -> None:
    """A scope on sections never covers projects (spec 1.5, 7)."""
    assert entries_on(subject(SubjectRecord("user:ana", bindings=(binding(on="/"),))), "p1") == ()


def test_ceilings_are_one_entry_per_role() -> None:
    """Unknown and project roles held through membership give nothing."""
    record = SubjectRecord("user:ana", roles=("Operator", "Member", "Member", "Viewer", "Nobody knows"))
    compiled = subject(record)
    assert compiled.ceiling.keys() == ("role:Member", "role:Operator")
    assert compiled.ceiling.mask == ALL_AUTHORITIES


@pytest.mark.parametrize(
    ("section", "entries"),
    [
        pytest.param("/", {"Administrator": ALL_AUTHORITIES, "Member": READ}, id="root"),
        pytest.param("/identity", {"Administrator": NO_AUTHORITY, "Member": READ}, id="longest-gives-nothing"),
        pytest.param("/identity/roles", {"Administrator": NO_AUTHORITY, "Member": READ}, id="below-it"),
        pytest.param("/projects", {"Administrator": ALL_AUTHORITIES, "Member": WRITE}, id="longest-of-the-other"),
        pytest.param("/skills", {"Administrator": ALL_AUTHORITIES, "Member": READ}, id="nobody-names-it"),
    ],
)
def test_each_role_speaks_by_its_longest_section(section: str, entries: dict[str, Mask]) -> None:
    """At any section every role is heard (spec 1.5, 4)."""
    compiled = subject(SubjectRecord("user:ana", roles=("Administrator", "Member")))
    node = compiled.sections.narrowest(parse_section(section))
    assert node is not None
    assert {f"role:{name}": mask for name, mask in entries.items()} == {entry.key: entry.mask for entry in node.entries}


def test_a_role_without_a_section_says_nothing_there() -> None:
    """``/reports`` of Operator is not ``/skills``."""
    compiled = subject(SubjectRecord("user:ana", roles=("Operator",)))
    assert None is compiled.sections.narrowest(("skills",))
    assert None is compiled.sections.narrowest(())


def test_requirements_are_listed() -> None:
    """Of organization roles and of bindings in force."""
    entries = (
        binding(when=Conditions(mfa=True)),
        binding("b2", when=Conditions(surfaces=("web",)), state=BindingState.REMOVED),
        binding("b3"),
    )
    compiled = subject(SubjectRecord("user:ana", roles=("Field operator",), bindings=entries))
    assert [Requirement(False, frozenset({"mobile"}), ()), MFA] == list(compiled.requirements(NOW))


def test_a_shadow_is_compiled_once_and_late() -> None:
    """A candidate that is never asked costs nothing."""
    shadow = ShadowSubject(CompiledHeader(PolicyDocument("acme")), SubjectRecord("user:ana"), "user:ana")
    assert shadow.subject() is shadow.subject()
    assert (shadow.subject().account, shadow.subject().refusal) == ("user:ana", None)


@pytest.mark.parametrize("share_groups_above", [0, 100], ids=["shared", "merged"])
@pytest.mark.parametrize("account", [ANA, CI])
def test_large_groups_are_laid_out_once(account: str, share_groups_above: int) -> None:
    """With the same answers: lasting and timed bindings, conditions by type of account, requirements."""
    document = PolicyDocument(
        "acme",
        roles=(RoleEntry("Risky", authorities=WRITE, high_risk=True),),
        bindings=(
            BindingEntry("g1", "group:fiber", "Risky", parse_scope("p1")),
            BindingEntry("g2", "group:fiber", "Viewer", parse_scope("p1"), not_after=at(10)),
            BindingEntry("g3", "group:fiber", "Viewer", parse_scope("p1"), state=BindingState.REMOVED),
            BindingEntry("g4", "group:fiber", "Viewer", parse_scope("/")),
        ),
    )
    header = CompiledHeader(document, share_groups_above=share_groups_above)
    record = SubjectRecord(account, groups=("fiber",), bindings=(binding(),))
    compiled = Subject(header, record, account)
    risky = Entry("g1", WRITE, MFA if account == ANA else None)
    assert (Entry("b1", READ), risky, Entry("g2", READ)) == entries_on(compiled, "p1", at(9))
    assert (Entry("b1", READ), risky) == entries_on(compiled, "p1", at(10))
    # A shared table is for all members, so it lists what either type of account is asked for.
    assert {MFA} >= set(compiled.requirements(NOW)) >= ({MFA} if account == ANA else set())


def test_members_of_a_large_group_share_its_table() -> None:
    """One for all, and one for users and services unless a role of high risk is bound."""
    many = tuple(BindingEntry(f"g{place}", "group:fiber", "Viewer", parse_scope(f"p{place}")) for place in range(65))
    header = CompiledHeader(PolicyDocument("acme", bindings=many))
    assert {"fiber"} == header.large_groups.keys()
    assert header.large_groups["fiber"].of_users is header.large_groups["fiber"].of_services
    smaller = CompiledHeader(PolicyDocument("acme", bindings=many[:64]))
    assert smaller.large_groups == {}
