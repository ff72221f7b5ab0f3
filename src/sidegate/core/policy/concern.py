"""Whom a candidate concerns, so that it costs nobody else anything (spec 1.8, 7)."""

from collections.abc import Mapping
from typing import TypeVar

from sidegate.core.model.value import value
from sidegate.core.policy.header import CompiledHeader
from sidegate.core.policy.subject import SubjectRecord

K = TypeVar("K")


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
        bound = list(enforced.bindings)
        for group in enforced.groups:
            bound.extend(header.group_bindings.get(group, ()))
        return any(binding.role in self.roles for binding in bound)


def concern_of(enforced: CompiledHeader, candidate: CompiledHeader) -> Concern:
    """Compare the headers of the enforced policy and of the one with the candidate laid over it."""
    return Concern(
        everyone=(
            enforced.approvals.rules != candidate.approvals.rules or enforced.agent_entries != candidate.agent_entries
        ),
        roles=_changed(enforced.roles, candidate.roles) | _changed(enforced.role_denies, candidate.role_denies),
        groups=(
            _changed(enforced.group_bindings, candidate.group_bindings)
            | _changed(enforced.group_denies, candidate.group_denies)
        ),
    )


def _changed(one: Mapping[str, K], other: Mapping[str, K]) -> frozenset[str]:
    return frozenset(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
