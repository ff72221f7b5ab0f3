"""One binding in the form in which it is decided (spec 1.5)."""

from collections.abc import Mapping

from sidegate.core.model.authority import NO_AUTHORITY
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.builtin import Role
from sidegate.core.policy.document import NO_CONDITIONS, BindingEntry, BindingState
from sidegate.core.policy.requirement import Requirement, requirement_of
from sidegate.core.policy.table import Entry


@value
class CompiledRole:
    """A role and what using it requires of each type of account: high risk implies a second factor for users only."""

    role: Role
    required_of_users: Requirement | None
    required_of_services: Requirement | None

    def required_of(self, *, is_service: bool) -> Requirement | None:
        """Return what using the role requires of a service account, or of a user."""
        return self.required_of_services if is_service else self.required_of_users


def compile_binding(roles: Mapping[str, CompiledRole], binding: BindingEntry, *, is_service: bool) -> Entry:
    """Compile one binding. One of an unknown role, or of no project role, stands in its place and gives nothing."""
    known = roles.get(binding.role)
    if known is None:
        return Entry(binding.id, NO_AUTHORITY)
    if binding.when == NO_CONDITIONS:
        return Entry(binding.id, known.role.authorities, known.required_of(is_service=is_service))
    implied_mfa = known.role.high_risk and not is_service
    return Entry(
        binding.id,
        known.role.authorities,
        requirement_of(known.role.requires, binding.when, implied_mfa=implied_mfa),
    )


def is_timed(binding: BindingEntry) -> bool:
    """Whether *binding* begins or ends at some time."""
    return binding.not_before is not None or binding.not_after is not None


def is_in_force(binding: BindingEntry, now: UnixMillis) -> bool:
    """Whether *binding* has effect at *now*: begun, not over, neither pending nor removed (spec 1.5)."""
    if binding.state in {BindingState.TO_BE_ADDED, BindingState.REMOVED}:
        return False
    if binding.not_before is not None and binding.not_before > now:
        return False
    return binding.not_after is None or now < binding.not_after
