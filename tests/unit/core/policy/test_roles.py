"""From role entries to resolved roles."""

import pytest

from sidegate.core.model.authority import ALL_AUTHORITIES, NO_AUTHORITY, Authority, Mask, mask_of
from sidegate.core.policy.builtin import BUILT_IN_ROLES, Role, RoleKind
from sidegate.core.policy.document import Conditions, RoleEntry
from sidegate.core.policy.roles import cycle_through, resolve_roles
from sidegate.core.policy.validate_roles import role_findings

READ = mask_of([Authority.READ])
RUN = mask_of([Authority.RUN])
APPROVE = mask_of([Authority.APPROVE])
SOLVE = mask_of([Authority.SOLVE])
DESIGNER = BUILT_IN_ROLES["Designer"].authorities


def resolve(*entries: RoleEntry) -> Role | None:
    """The role that the last of *entries* becomes."""
    return resolve_roles(entries).get(entries[-1].name)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param(RoleEntry("R", authorities=READ), Role("R", RoleKind.PROJECT, READ), id="own-authorities"),
        pytest.param(RoleEntry("R"), Role("R", RoleKind.PROJECT), id="nothing-given"),
        pytest.param(
            RoleEntry("R", "Designer", add=APPROVE, remove=SOLVE),
            Role("R", RoleKind.PROJECT, Mask((DESIGNER | APPROVE) & ~SOLVE)),
            id="clone-add-remove",
        ),
        pytest.param(
            RoleEntry("R", "Designer", add=SOLVE, remove=SOLVE),
            Role("R", RoleKind.PROJECT, Mask(DESIGNER & ~SOLVE)),
            id="remove-counts-after-add",
        ),
        pytest.param(
            RoleEntry("R", "Designer", authorities=READ, add=RUN),
            Role("R", RoleKind.PROJECT, Mask(READ | RUN)),
            id="given-authorities-replace-cloned",
        ),
        pytest.param(
            RoleEntry("R", sections={("audit",): READ}),
            Role("R", RoleKind.ORGANIZATION, NO_AUTHORITY, {("audit",): READ}),
            id="sections-make-an-organization-role",
        ),
        pytest.param(
            RoleEntry("R", ceiling=READ),
            Role("R", RoleKind.ORGANIZATION, NO_AUTHORITY, {}, READ),
            id="ceiling-makes-an-organization-role",
        ),
        pytest.param(
            RoleEntry("R", "Member", ceiling=READ),
            Role("R", RoleKind.ORGANIZATION, NO_AUTHORITY, BUILT_IN_ROLES["Member"].sections, READ),
            id="clone-keeps-sections",
        ),
        pytest.param(
            RoleEntry("R", "Member", sections={}),
            Role("R", RoleKind.ORGANIZATION, NO_AUTHORITY, {}, ALL_AUTHORITIES),
            id="given-empty-sections-replace",
        ),
        pytest.param(
            RoleEntry("R", "Organization admin"),
            Role("R", RoleKind.ORGANIZATION, NO_AUTHORITY, {(): ALL_AUTHORITIES}, ALL_AUTHORITIES, high_risk=True),
            id="high-risk-is-cloned-implied-bindings-are-not",
        ),
        pytest.param(
            RoleEntry("R", "Organization admin", high_risk=False),
            Role("R", RoleKind.ORGANIZATION, NO_AUTHORITY, {(): ALL_AUTHORITIES}, ALL_AUTHORITIES),
            id="given-high-risk-replaces",
        ),
        pytest.param(
            RoleEntry("R", "Field operator", requires=Conditions(mfa=True)),
            Role(
                "R",
                RoleKind.ORGANIZATION,
                NO_AUTHORITY,
                {},
                BUILT_IN_ROLES["Field operator"].ceiling,
                Conditions(mfa=True, surfaces=("mobile",)),
            ),
            id="conditions-key-by-key",
        ),
        pytest.param(
            RoleEntry("R", "Field operator", requires=Conditions(surfaces=("web",), sources=())),
            Role(
                "R",
                RoleKind.ORGANIZATION,
                NO_AUTHORITY,
                {},
                BUILT_IN_ROLES["Field operator"].ceiling,
                Conditions(surfaces=("web",), sources=()),
            ),
            id="condition-replaced",
        ),
    ],
)
def test_one_entry(entry: RoleEntry, expected: Role) -> None:
    """Given fields replace the cloned ones (spec 1.3, 6.3)."""
    assert expected == resolve(entry)


def test_clones_of_clones_in_any_order() -> None:
    """The order of entries does not matter (P6)."""
    first, second = RoleEntry("A", "Designer", add=APPROVE), RoleEntry("B", "A", remove=SOLVE)
    expected = Mask((DESIGNER | APPROVE) & ~SOLVE)
    for entries in ([first, second], [second, first]):
        assert expected == resolve_roles(entries)["B"].authorities


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(Conditions(), Conditions(True, ("web",), ()), id="nothing-given"),
        pytest.param(Conditions(mfa=False), Conditions(False, ("web",), ()), id="mfa-taken-back"),
        pytest.param(Conditions(surfaces=()), Conditions(True, (), ()), id="surfaces"),
    ],
)
def test_conditions_of_a_clone(given: Conditions, expected: Conditions) -> None:
    """The cloned ones, overridden key by key (spec 6.3)."""
    origin = RoleEntry("Q", "Viewer", requires=Conditions(True, ("web",), ()))
    role = resolve(origin, RoleEntry("R", "Q", requires=given))
    assert role is not None
    assert expected == role.requires


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([RoleEntry("R", "Nobody")], id="unknown"),
        pytest.param([RoleEntry("Q", "Nobody"), RoleEntry("R", "Q")], id="clone-of-unknown"),
        pytest.param([RoleEntry("R", "R")], id="itself"),
        pytest.param([RoleEntry("Q", "R"), RoleEntry("R", "Q")], id="circle"),
        pytest.param([RoleEntry("P", "Q"), RoleEntry("Q", "P"), RoleEntry("R", "P")], id="into-a-circle"),
    ],
)
def test_what_cannot_be_resolved_is_unknown(entries: list[RoleEntry]) -> None:
    """So a binding to it grants nothing (spec 1.5)."""
    assert None is resolve(*entries)


def test_built_in_roles_cannot_be_modified() -> None:
    """An entry under the name of one counts for nothing (spec 1.3)."""
    assert dict(BUILT_IN_ROLES) == resolve_roles([RoleEntry("Viewer", authorities=ALL_AUTHORITIES)])


@pytest.mark.parametrize(
    ("name", "circle"),
    [
        pytest.param("A", ("A", "B"), id="circle"),
        pytest.param("C", (), id="leads-into-a-circle"),
        pytest.param("D", ("D",), id="itself"),
        pytest.param("E", (), id="built-in"),
        pytest.param("F", (), id="none"),
        pytest.param("?", (), id="unknown"),
    ],
)
def test_circles(name: str, circle: tuple[str, ...]) -> None:
    """Only those in the circle are told, not everyone who clones into it."""
    entries = {
        "A": RoleEntry("A", "B"),
        "B": RoleEntry("B", "A"),
        "C": RoleEntry("C", "A"),
        "D": RoleEntry("D", "D"),
        "E": RoleEntry("E", "Viewer"),
        "F": RoleEntry("F"),
    }
    assert circle == cycle_through(name, entries)


@pytest.mark.parametrize("step", [pytest.param(1, id="first-to-last"), pytest.param(-1, id="last-to-first")])
def test_a_long_chain_of_clones(step: int) -> None:
    """Each role is resolved once, however many others it stands for: what a file costs grows with its length."""
    entries = [RoleEntry(f"r{n}", f"r{n + 1}") for n in range(20_000)] + [RoleEntry("r20000", authorities=READ)]
    resolved = resolve_roles(entries[::step])
    assert {role.authorities for name, role in resolved.items() if name not in BUILT_IN_ROLES} == {READ}
    assert len(resolved) == len(BUILT_IN_ROLES) + 20_001
    assert not list(role_findings(entries, resolved))
