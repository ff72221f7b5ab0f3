"""Whom a candidate concerns, so that it costs nobody else anything (spec 1.8, 7)."""

from collections.abc import Mapping

from sidegate.core.model.value import value
from sidegate.core.policy.header import CompiledHeader, names_that_differ
from sidegate.core.policy.large_group import LargeGroup
from sidegate.core.policy.subject import SubjectRecord


@value
class Concern:
    """What a candidate changes outside the accounts' own records.

    Attributes:
        everyone: Approval rules, denies on links, or the like.
        roles: Roles that mean something else, or that a deny names differently.
        groups: Groups with other bindings or denies.
    """

    everyone: bool
    roles: frozenset[str]
    groups: frozenset[str]

    def reaches(self, enforced: SubjectRecord | None, candidate: SubjectRecord | None, header: CompiledHeader) -> bool:
        """Whether an account with these records could be decided differently under the candidate."""
        if enforced != candidate or self.everyone:
            return True
        if enforced is None:
            return False
        if not self.groups.isdisjoint(enforced.groups) or not self.roles.isdisjoint(enforced.roles):
            return True
        if not self.roles:
            return False
        if any(binding.role in self.roles for binding in enforced.bindings):
            return True
        return any(not self.roles.isdisjoint(header.roles_bound_to(group)) for group in enforced.groups)


def concern_of(enforced: CompiledHeader, candidate: CompiledHeader) -> Concern:
    """Compare the headers of the enforced policy and of the one with the candidate laid over it."""
    return Concern(
        everyone=(
            enforced.approvals.rules != candidate.approvals.rules or enforced.agent_entries != candidate.agent_entries
        ),
        roles=(
            names_that_differ(enforced.roles, candidate.roles)
            | names_that_differ(enforced.role_denies, candidate.role_denies)
        ),
        groups=(
            names_that_differ(enforced.group_bindings, candidate.group_bindings)
            | names_that_differ(enforced.group_denies, candidate.group_denies)
            | _large_that_differ(enforced.large_groups, candidate.large_groups)
        ),
    )


def _large_that_differ(one: Mapping[str, LargeGroup], other: Mapping[str, LargeGroup]) -> frozenset[str]:
    return frozenset(
        name
        for name in one.keys() | other.keys()
        if name not in one or name not in other or not one[name].has_same_bindings(other[name])
    )
