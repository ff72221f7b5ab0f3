"""What is other in a header than in the one before it (spec 5.2, 5.3)."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from sidegate.core.model.value import value
from sidegate.core.policy.document import ApprovalRule, BindingEntry, Candidate, DenyEntry, RoleEntry

E = TypeVar("E")


@value
class HeaderEntries:
    """Entries of a header: bindings of groups, denies that are not about one account, approval rules."""

    bindings: tuple[BindingEntry, ...] = ()
    denies: tuple[DenyEntry, ...] = ()
    approvals: tuple[ApprovalRule, ...] = ()

    def __len__(self) -> int:
        return len(self.bindings) + len(self.denies) + len(self.approvals)


@value
class HeaderChange:
    """What became of a header.

    Attributes:
        mfa_max_age_s: As it is now.
        roles: All custom roles, as they are now.
        gone: Entries as they were; of one that changed, too.
        come: Entries as they are; of one that changed, too.
    """

    mfa_max_age_s: int
    roles: tuple[RoleEntry, ...]
    gone: HeaderEntries = HeaderEntries()
    come: HeaderEntries = HeaderEntries()

    def beside(self, candidate: Candidate, roles: tuple[RoleEntry, ...]) -> "HeaderChange":
        """Return what it does to the header with *candidate*, which did not change, laid over it.

        What the candidate replaces or removes is not seen through it, before nor after.

        Args:
            candidate: See there.
            roles: As they are with it.
        """
        hidden = frozenset(candidate.remove)
        hidden_bindings = hidden | {one.id for one in candidate.bindings}
        hidden_denies = hidden | {one.id for one in candidate.denies}
        hidden_approvals = hidden | {one.id for one in candidate.approvals}

        def seen(entries: HeaderEntries) -> HeaderEntries:
            return HeaderEntries(
                tuple(one for one in entries.bindings if one.id not in hidden_bindings),
                tuple(one for one in entries.denies if one.id not in hidden_denies),
                tuple(one for one in entries.approvals if one.id not in hidden_approvals),
            )

        return HeaderChange(self.mfa_max_age_s, roles, seen(self.gone), seen(self.come))


def differences(
    before: Iterable[E], after: Iterable[E], name_of: Callable[[E], str]
) -> tuple[tuple[E, ...], tuple[E, ...]]:
    """Return what of *before* is not in *after*, and what of *after* was not in *before*."""
    old = {name_of(entry): entry for entry in before}
    new = {name_of(entry): entry for entry in after}
    return (
        tuple(entry for name, entry in old.items() if new.get(name) != entry),
        tuple(entry for name, entry in new.items() if old.get(name) != entry),
    )
