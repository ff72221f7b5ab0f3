"""One binding, compiled."""

import pytest

from sidegate.core.model.authority import NO_AUTHORITY
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.binding import compile_binding, is_in_force, is_timed
from sidegate.core.policy.document import BindingEntry, BindingState, Conditions, PolicyDocument, RoleEntry
from sidegate.core.policy.header import CompiledHeader
from sidegate.core.policy.requirement import Requirement

ROLES = CompiledHeader(PolicyDocument("acme", roles=(RoleEntry("Risky", "Designer", high_risk=True),))).roles
MFA = Requirement(True, None, ())


@pytest.mark.parametrize(
    ("state", "begins", "ends", "expected"),
    [
        pytest.param(BindingState.ACTIVE, None, None, True, id="always"),
        pytest.param(BindingState.ACTIVE, 10, None, True, id="begins-now"),
        pytest.param(BindingState.ACTIVE, 11, None, False, id="begins-later"),
        pytest.param(BindingState.ACTIVE, None, 10, False, id="over-now"),
        pytest.param(BindingState.ACTIVE, None, 11, True, id="over-later"),
        pytest.param(BindingState.TO_BE_REMOVED, None, None, True, id="to-be-removed"),
        pytest.param(BindingState.TO_BE_ADDED, None, None, False, id="to-be-added"),
        pytest.param(BindingState.REMOVED, None, None, False, id="removed"),
    ],
)
def test_in_force(state: BindingState, begins: int | None, ends: int | None, expected: bool) -> None:
    """From its first instant to before its last one, while it is neither pending nor removed (spec 1.5)."""
    first, last = (None if one is None else UnixMillis(one) for one in (begins, ends))
    binding = BindingEntry("b1", "user:ana", "Viewer", ALL_PROJECTS, first, last, state)
    assert is_in_force(binding, UnixMillis(10)) is expected
    assert is_timed(binding) is (begins is not None or ends is not None)


@pytest.mark.parametrize(
    ("role", "when", "of_user", "of_service"),
    [
        pytest.param("Viewer", Conditions(), None, None, id="plain"),
        pytest.param("Viewer", Conditions(mfa=True), MFA, MFA, id="its-own-condition"),
        pytest.param("Risky", Conditions(), MFA, None, id="high-risk-is-for-users"),
        pytest.param(
            "Risky",
            Conditions(surfaces=("web",)),
            Requirement(True, frozenset({"web"}), ()),
            Requirement(False, frozenset({"web"}), ()),
            id="both",
        ),
    ],
)
def test_requirements(role: str, when: Conditions, of_user: Requirement | None, of_service: Requirement | None) -> None:
    """Conditions of role and binding together; high risk asks users, not services, for a second factor."""
    binding = BindingEntry("b1", "user:ana", role, ALL_PROJECTS, when=when)
    compiled = [compile_binding(ROLES, binding, is_service=is_service) for is_service in (False, True)]
    assert [one.requirement for one in compiled] == [of_user, of_service]
    assert {one.mask for one in compiled} == {ROLES[role].role.authorities}


def test_nobody_knows_the_role() -> None:
    """It stands in its place and gives nothing."""
    entry = compile_binding(ROLES, BindingEntry("b1", "user:ana", "Nobody", ALL_PROJECTS), is_service=False)
    assert (entry.key, entry.mask) == ("b1", NO_AUTHORITY)
