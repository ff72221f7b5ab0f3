"""What an organization's policy says that is not about one account, compiled once (spec 5.2)."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from sidegate.core.model.authority import BIT, Mask
from sidegate.core.model.target import Kind, Scope, Target
from sidegate.core.model.units import Millis
from sidegate.core.model.value import value
from sidegate.core.policy.builtin import Role
from sidegate.core.policy.document import ApprovalRule, BindingEntry, DenyEntry, PolicyDocument
from sidegate.core.policy.requirement import Requirement, requirement_of
from sidegate.core.policy.roles import resolve_roles
from sidegate.core.policy.table import Entry, Node, ScopeTable, SectionTable

GROUP: Final = "group:"
ROLE: Final = "role:"
AGENT: Final = "agent:"
USER: Final = "user:"
SERVICE: Final = "service:"

E = TypeVar("E", BindingEntry, DenyEntry)


@value
class CompiledRole:
    """A role and what using it requires of each type of account: high risk implies a second factor for users only."""

    role: Role
    required_of_users: Requirement | None
    required_of_services: Requirement | None


class DenyTable:
    """Deny entries by scope.

    Attributes:
        mask: Every authority that some entry withholds somewhere.
    """

    __slots__ = ("_projects", "_sections", "mask")

    def __init__(self, entries: Iterable[DenyEntry]) -> None:
        projects: list[tuple[Scope, Entry]] = []
        sections: list[tuple[tuple[str, ...], Entry]] = []
        mask = 0
        for deny in entries:
            mask |= deny.authorities
            entry = Entry(deny.id, deny.authorities)
            if deny.on.section is not None:
                sections.append((deny.on.section, entry))
            else:
                projects.append((deny.on, entry))
        self._projects = ScopeTable(projects)
        self._sections = SectionTable(sections)
        self.mask = mask

    def covering(self, target: Target, bit: int) -> tuple[str, ...]:
        """List the ids of the entries that withhold *bit* on *target*."""
        if target.section is None:
            return _keys_withholding(self._projects.covering(target), bit) if self._projects.mask & bit else ()
        return _keys_withholding(self._sections.covering(target.section), bit) if self._sections.mask & bit else ()

    def meeting(self, target: Target, bit: int) -> tuple[str, ...]:
        """List the ids of the entries that withhold *bit* on *target* or on something below it."""
        if target.section is None:
            return _keys_withholding(self._projects.meeting(target), bit) if self._projects.mask & bit else ()
        return _keys_withholding(self._sections.meeting(target.section), bit) if self._sections.mask & bit else ()


def _keys_withholding(nodes: Iterable[Node], bit: int) -> tuple[str, ...]:
    keys: tuple[str, ...] = ()
    for node in nodes:
        if node.mask & bit:
            keys += node.keys_giving(bit)
    return keys


class ApprovalTable:
    """Approval rules by the authority they cover.

    Attributes:
        mask: Every authority that some rule covers somewhere.
        rules: All rules, in the order of their ids.
    """

    __slots__ = ("_by_bit", "mask", "rules")

    def __init__(self, rules: Iterable[ApprovalRule]) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: rule.id))
        # Rules by authority and project: an organization may well have one for each of its projects.
        self._by_bit: dict[int, dict[str | None, list[ApprovalRule]]] = {}
        mask = 0
        for rule in self.rules:
            mask |= rule.authorities
            for bit in BIT.values():
                if rule.authorities & bit:
                    self._by_bit.setdefault(bit, {}).setdefault(rule.on.project, []).append(rule)
        self.mask = Mask(mask)

    def covering(self, target: Target, bit: int) -> tuple[str, ...]:
        """List the ids of the rules that cover *bit* on *target*, or on anything below it when it is a subtree."""
        by_project = self._by_bit.get(bit)
        if by_project is None:
            return ()
        # A section target has no project, and scopes on sections have none either.
        listed = by_project.get(None, [])
        if target.project is not None:
            listed = [*listed, *by_project.get(target.project, [])]
        judge = _meets if target.subtree else _covers
        return tuple(sorted(rule.id for rule in listed if judge(rule, target)))


def _covers(rule: ApprovalRule, target: Target) -> bool:
    return rule.kind in {None, target.kind} and rule.on.covers(target)


def _meets(rule: ApprovalRule, target: Target) -> bool:
    """Whether *rule* covers anything of its kind in the subtree of *target* (spec 1.6)."""
    kinds = kinds_in_meet(rule.on, target)
    return bool(kinds) if rule.kind is None else rule.kind in kinds


def kinds_in_meet(scope: Scope, target: Target) -> frozenset[Kind]:
    """Return the kinds of targets that lie both in *scope* and in the subtree of *target*."""
    if scope.section is not None or target.section is not None:
        if scope.section is None or target.section is None or not _on_one_line(scope.section, target.section):
            return frozenset()
        return _SECTIONS
    if (
        scope.project not in {None, target.project}
        or (target.branch is not None and scope.branch not in {None, target.branch})
        or not _on_one_line(scope.path, target.path)
    ):
        return frozenset()
    if scope.path or target.path:
        return _PATHS
    return _PROJECTS if scope.branch is None and target.branch is None else _BRANCHES


_SECTIONS: Final = frozenset({Kind.SECTION})
_PATHS: Final = frozenset({Kind.PATH})
_BRANCHES: Final = frozenset({Kind.BRANCH, Kind.PATH})
_PROJECTS: Final = frozenset({Kind.PROJECT, Kind.BRANCH, Kind.PATH})


def _on_one_line(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


class CompiledHeader:
    """Everything of one policy but its subjects; immutable after construction.

    Attributes:
        organization: Its name.
        mfa_max_age: How old a second factor may be.
        roles: Every role, built-in and custom, by name.
        group_bindings: By name of the group.
        group_denies: By name of the group.
        role_denies: By name of the organization role.
        agent_denies: By id of the link.
        approvals: The approval rules.
    """

    __slots__ = (
        "agent_denies",
        "agent_entries",
        "approvals",
        "group_bindings",
        "group_denies",
        "mfa_max_age",
        "organization",
        "role_denies",
        "roles",
    )

    def __init__(self, document: PolicyDocument) -> None:
        self.organization = document.organization
        self.mfa_max_age = Millis(document.mfa_max_age_s * 1000)
        self.roles: Mapping[str, CompiledRole] = {
            name: _compiled_role(role) for name, role in resolve_roles(document.roles).items()
        }
        self.group_bindings = group_by_who(document.bindings, GROUP)
        self.group_denies = group_by_who(document.denies, GROUP)
        self.role_denies = group_by_who(document.denies, ROLE)
        self.agent_entries = group_by_who(document.denies, AGENT)
        self.agent_denies = {agent: DenyTable(listed) for agent, listed in self.agent_entries.items()}
        self.approvals = ApprovalTable(document.approvals)


def group_by_who(entries: Iterable[E], prefix: str) -> dict[str, tuple[E, ...]]:
    """Group the *entries* whose ``who`` starts with *prefix* by what follows it, each group in the order of ids."""
    grouped: dict[str, list[E]] = {}
    size = len(prefix)
    for entry in entries:
        if entry.who.startswith(prefix):
            grouped.setdefault(entry.who[size:], []).append(entry)
    return {name: tuple(sorted(listed, key=lambda entry: entry.id)) for name, listed in grouped.items()}


def _compiled_role(role: Role) -> CompiledRole:
    return CompiledRole(
        role,
        required_of_users=requirement_of(role.requires, implied_mfa=role.high_risk),
        required_of_services=requirement_of(role.requires),
    )
