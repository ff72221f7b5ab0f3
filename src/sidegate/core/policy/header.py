"""What an organization's policy says that is not about one account, compiled once (spec 5.2)."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final, TypeVar

from sidegate.core.model.authority import BIT, Mask
from sidegate.core.model.target import Kind, Scope, Target
from sidegate.core.model.units import Millis
from sidegate.core.model.value import value
from sidegate.core.policy.binding import CompiledRole
from sidegate.core.policy.builtin import Role, RoleKind
from sidegate.core.policy.document import ApprovalRule, BindingEntry, DenyEntry, PolicyDocument, RoleEntry
from sidegate.core.policy.header_change import HeaderChange
from sidegate.core.policy.large_group import LargeGroup, lay_out_group
from sidegate.core.policy.requirement import requirement_of
from sidegate.core.policy.roles import resolve_roles
from sidegate.core.policy.table import Entry, Node, ScopeTable, SectionTable

GROUP: Final = "group:"
ROLE: Final = "role:"
AGENT: Final = "agent:"
USER: Final = "user:"
SERVICE: Final = "service:"

MAX_REMEMBERED_HOLDINGS: Final = 1024
"""Per policy. Accounts compiled before keep theirs; later ones build them anew."""

E = TypeVar("E", BindingEntry, DenyEntry)
K = TypeVar("K")
V = TypeVar("V")
_BY_ID: Final = attrgetter("id")

SHARE_GROUPS_ABOVE: Final = 64
"""A group with more bindings than this is laid out once for all its members: each of its members would otherwise pay
some 3 µs and 300 bytes for every one of them. Below it, one merged table answers faster than two."""


@value
class Holding:
    """What a set of organization roles gives; most accounts hold one of a few such sets, so they share it.

    Attributes:
        roles: The known organization roles among them, in the order of names.
        sections: What they give on sections; one entry per role and section.
        ceiling: What they allow at most; one entry per role.
    """

    roles: tuple[CompiledRole, ...]
    sections: SectionTable
    ceiling: Node


def _section_entries(roles: Iterable[CompiledRole], *, is_service: bool) -> Iterator[tuple[tuple[str, ...], Entry]]:
    """Yield, for every section that some role names, what each role gives there by its longest section.

    So that one look-up answers for all roles: at the longest section that any of them names, every role has its say.
    """
    listed = list(roles)
    named = {section for held in listed for section in held.role.sections or {}}
    for section in named:
        for held in listed:
            sections = held.role.sections or {}
            for length in range(len(section), -1, -1):
                mask = sections.get(section[:length])
                if mask is not None:
                    yield section, Entry(f"role:{held.role.name}", mask, held.required_of(is_service=is_service))
                    break


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
    """Approval rules by the authority they cover. Immutable.

    Attributes:
        mask: Every authority that some rule covers somewhere.
        rules: All rules, in the order of their ids.
    """

    __slots__ = ("_by_bit", "mask", "rules")

    def __init__(self, rules: Iterable[ApprovalRule]) -> None:
        self.rules = tuple(sorted(rules, key=_BY_ID))
        # Rules by authority and project: an organization may well have one for each of its projects.
        self._by_bit: dict[int, dict[str | None, tuple[ApprovalRule, ...]]] = {}
        by_bit: dict[int, dict[str | None, list[ApprovalRule]]] = {}
        for rule in self.rules:
            for bit in _bits_of(rule):
                by_bit.setdefault(bit, {}).setdefault(rule.on.project, []).append(rule)
        for bit, by_project in by_bit.items():
            self._by_bit[bit] = {project: tuple(listed) for project, listed in by_project.items()}
        self.mask = Mask(sum(self._by_bit))

    def revised(self, gone: Collection[ApprovalRule], come: Collection[ApprovalRule]) -> "ApprovalTable":
        """Return the table without *gone* and with *come*; itself when that is nothing."""
        if not gone and not come:
            return self
        table = ApprovalTable(())
        table._by_bit = dict(self._by_bit)
        touched = {(bit, rule.on.project) for rule in (*gone, *come) for bit in _bits_of(rule)}
        ids = {rule.id for rule in gone}
        rules = [rule for rule in self.rules if rule.id not in ids]
        for rule in come:
            rules.insert(bisect_left(rules, rule.id, key=_BY_ID), rule)
        for bit in {bit for bit, _ in touched}:
            table._by_bit[bit] = dict(table._by_bit.get(bit, {}))
        for bit, project in touched:
            by_project = table._by_bit[bit]
            listed = [rule for rule in by_project.get(project, ()) if rule.id not in ids]
            listed += (rule for rule in come if rule.authorities & bit and rule.on.project == project)
            _put(by_project, project, tuple(sorted(listed, key=_BY_ID)))
        table._by_bit = {bit: by_project for bit, by_project in table._by_bit.items() if by_project}
        table.rules, table.mask = tuple(rules), Mask(sum(table._by_bit))
        return table

    def covering(self, target: Target, bit: int) -> tuple[str, ...]:
        """List the ids of the rules that cover *bit* on *target*, or on anything below it when it is a subtree."""
        by_project = self._by_bit.get(bit)
        if by_project is None:
            return ()
        # A section target has no project, and scopes on sections have none either.
        listed = by_project.get(None, ())
        if target.project is not None:
            listed = (*listed, *by_project.get(target.project, ()))
        judge = _meets if target.subtree else _covers
        return tuple(sorted(rule.id for rule in listed if judge(rule, target)))


def _bits_of(rule: ApprovalRule) -> Iterator[int]:
    return (bit for bit in BIT.values() if rule.authorities & bit)


def _put(by_name: dict[K, tuple[V, ...]], name: K, listed: tuple[V, ...]) -> None:
    """Put *listed* under *name*, or nothing when it is empty."""
    if listed:
        by_name[name] = listed
    else:
        by_name.pop(name, None)


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
        role_entries: The custom ones as written.
        holdings: What was asked of :meth:`holding_of` before.
        group_bindings: By name of the group; of those with few.
        large_groups: Groups with many bindings, by name.
        group_denies: By name of the group.
        role_denies: By name of the organization role.
        agent_denies: By id of the link.
        agent_entries: The same as written.
        approvals: The approval rules.
    """

    __slots__ = (
        "_share_groups_above",
        "agent_denies",
        "agent_entries",
        "approvals",
        "group_bindings",
        "group_denies",
        "holdings",
        "large_groups",
        "mfa_max_age",
        "organization",
        "role_denies",
        "role_entries",
        "roles",
    )

    def __init__(self, document: PolicyDocument, *, share_groups_above: int = SHARE_GROUPS_ABOVE) -> None:
        self.organization = document.organization
        self.mfa_max_age = Millis(document.mfa_max_age_s * 1000)
        self._share_groups_above = share_groups_above
        self.role_entries = document.roles
        # Most organizations have no roles of their own: ten thousand headers in memory share what they come to.
        self.roles = _compile_roles(document.roles) if document.roles else _BUILT_IN
        self.group_bindings: dict[str, tuple[BindingEntry, ...]] = {}
        self.large_groups: dict[str, LargeGroup] = {}
        for name, listed in _grouped(document.bindings, GROUP).items():
            self._put_group(name, listed)
        self.group_denies = group_by_who(document.denies, GROUP)
        self.role_denies = group_by_who(document.denies, ROLE)
        self.agent_entries = group_by_who(document.denies, AGENT)
        self.agent_denies = {agent: DenyTable(listed) for agent, listed in self.agent_entries.items()}
        self.approvals = ApprovalTable(document.approvals)
        self.holdings = {} if document.roles else _HOLDINGS_OF_BUILT_IN

    def revised(self, change: HeaderChange) -> "CompiledHeader":
        """Return the header after *change*. What that does not concern is shared with this one."""
        header = CompiledHeader(
            PolicyDocument(self.organization, mfa_max_age_s=change.mfa_max_age_s),
            share_groups_above=self._share_groups_above,
        )
        header._take_roles(self, change.roles)
        other_roles = names_that_differ(self.roles, header.roles) if header.roles is not self.roles else frozenset()
        header.group_bindings, header.large_groups = dict(self.group_bindings), dict(self.large_groups)
        gone, come = _grouped(change.gone.bindings, GROUP), _grouped(change.come.bindings, GROUP)
        concerned = {name for name, group in self.large_groups.items() if not other_roles.isdisjoint(group.roles)}
        for name in concerned.union(gone, come):
            header._revise_group(name, gone.get(name, ()), come.get(name, ()), other_roles)
        denies = (change.gone.denies, change.come.denies)
        header.group_denies = _regrouped(self.group_denies, GROUP, *denies)
        header.role_denies = _regrouped(self.role_denies, ROLE, *denies)
        header.agent_entries = _regrouped(self.agent_entries, AGENT, *denies)
        header.agent_denies = {
            agent: self.agent_denies[agent] if listed is self.agent_entries.get(agent) else DenyTable(listed)
            for agent, listed in header.agent_entries.items()
        }
        header.approvals = self.approvals.revised(change.gone.approvals, change.come.approvals)
        return header

    def _take_roles(self, before: "CompiledHeader", entries: tuple[RoleEntry, ...]) -> None:
        if entries == before.role_entries:
            self.roles, self.holdings, self.role_entries = before.roles, before.holdings, before.role_entries
        elif entries:
            self.roles, self.holdings, self.role_entries = _compile_roles(entries), {}, entries

    def _revise_group(
        self,
        name: str,
        gone: Collection[BindingEntry],
        come: Collection[BindingEntry],
        other_roles: frozenset[str],
    ) -> None:
        large = self.large_groups.get(name)
        if large is None or large.size - len(gone) + len(come) <= self._share_groups_above:
            before = self.group_bindings.pop(name, ()) if large is None else large.bindings()
            self.large_groups.pop(name, None)
            ids = {binding.id for binding in gone}
            self._put_group(name, [*(one for one in before if one.id not in ids), *come])
        else:
            self.large_groups[name] = large.revised(self.roles, gone, come, other_roles)

    def _put_group(self, name: str, listed: Collection[BindingEntry]) -> None:
        if len(listed) > self._share_groups_above:
            self.large_groups[name] = lay_out_group(self.roles, listed)
        elif listed:
            self.group_bindings[name] = tuple(sorted(listed, key=_BY_ID))

    def roles_bound_to(self, group: str) -> Collection[str]:
        """Return the names of the roles that *group* is given on some scope."""
        large = self.large_groups.get(group)
        return large.roles if large is not None else [one.role for one in self.group_bindings.get(group, ())]

    def holding_of(self, names: tuple[str, ...], *, is_service: bool) -> Holding:
        """Return what holding the organization roles *names*, sorted, gives to a user or to a service account."""
        key = (names, is_service)
        holding = self.holdings.get(key)
        if holding is None:
            roles = tuple(
                role
                for name in names
                if (role := self.roles.get(name)) is not None and role.role.kind is RoleKind.ORGANIZATION
            )
            ceiling = Node(
                Entry(f"role:{held.role.name}", held.role.ceiling, held.required_of(is_service=is_service))
                for held in roles
            )
            holding = Holding(roles, SectionTable(_section_entries(roles, is_service=is_service)), ceiling)
            if len(self.holdings) >= MAX_REMEMBERED_HOLDINGS:
                self.holdings.clear()
            self.holdings[key] = holding
        return holding


def _grouped(entries: Iterable[E], prefix: str) -> dict[str, list[E]]:
    grouped: dict[str, list[E]] = {}
    size = len(prefix)
    for entry in entries:
        if entry.who.startswith(prefix):
            grouped.setdefault(entry.who[size:], []).append(entry)
    return grouped


def group_by_who(entries: Iterable[E], prefix: str) -> dict[str, tuple[E, ...]]:
    """Group the *entries* whose ``who`` starts with *prefix* by what follows it, each group in the order of ids."""
    return {name: tuple(sorted(listed, key=_BY_ID)) for name, listed in _grouped(entries, prefix).items()}


def _regrouped(
    before: dict[str, tuple[DenyEntry, ...]], prefix: str, gone: Iterable[DenyEntry], come: Iterable[DenyEntry]
) -> dict[str, tuple[DenyEntry, ...]]:
    old, new = _grouped(gone, prefix), _grouped(come, prefix)
    if not old and not new:
        return before
    grouped = dict(before)
    for name in {*old, *new}:
        ids = {entry.id for entry in old.get(name, ())}
        listed = [*(entry for entry in grouped.get(name, ()) if entry.id not in ids), *new.get(name, ())]
        _put(grouped, name, tuple(sorted(listed, key=_BY_ID)))
    return grouped


def names_that_differ(one: Mapping[str, K], other: Mapping[str, K]) -> frozenset[str]:
    """Return the names under which *one* and *other* do not hold the same."""
    return frozenset(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _compiled_role(role: Role) -> CompiledRole:
    return CompiledRole(
        role,
        required_of_users=requirement_of(role.requires, implied_mfa=role.high_risk),
        required_of_services=requirement_of(role.requires),
    )


def _compile_roles(entries: Iterable[RoleEntry]) -> Mapping[str, CompiledRole]:
    return {name: _compiled_role(role) for name, role in resolve_roles(entries).items()}


_BUILT_IN: Final = _compile_roles(())
_HOLDINGS_OF_BUILT_IN: Final[dict[tuple[tuple[str, ...], bool], Holding]] = {}
