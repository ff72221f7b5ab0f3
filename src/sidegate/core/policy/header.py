"""What an organization's policy says that is not about one account, compiled once (spec 5.2)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

from sidegate.core.model.authority import BIT, NO_AUTHORITY, Mask
from sidegate.core.model.target import Kind, Scope, Target
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.builtin import Role, RoleKind
from sidegate.core.policy.document import (
    NO_CONDITIONS,
    ApprovalRule,
    BindingEntry,
    BindingState,
    DenyEntry,
    PolicyDocument,
    RoleEntry,
)
from sidegate.core.policy.requirement import Requirement, requirement_of
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

SHARE_GROUPS_ABOVE: Final = 64
"""A group with more bindings than this is laid out once for all its members: each of its members would otherwise pay
some 3 µs and 300 bytes for every one of them. Below it, one merged table answers faster than two."""


@value
class CompiledRole:
    """A role and what using it requires of each type of account: high risk implies a second factor for users only."""

    role: Role
    required_of_users: Requirement | None
    required_of_services: Requirement | None

    def required_of(self, *, is_service: bool) -> Requirement | None:
        """Return what using the role requires of a service account, or of a user."""
        return self.required_of_services if is_service else self.required_of_users


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
        large_groups: Tables of groups with many bindings, by name; the bindings bounded in time are not in them.
        group_denies: By name of the group.
        role_denies: By name of the organization role.
        agent_denies: By id of the link.
        approvals: The approval rules.
    """

    __slots__ = (
        "_holdings",
        "agent_denies",
        "agent_entries",
        "approvals",
        "group_bindings",
        "group_denies",
        "large_groups",
        "mfa_max_age",
        "organization",
        "role_denies",
        "roles",
    )

    def __init__(self, document: PolicyDocument, *, share_groups_above: int = SHARE_GROUPS_ABOVE) -> None:
        self.organization = document.organization
        self.mfa_max_age = Millis(document.mfa_max_age_s * 1000)
        # Most organizations have no roles of their own: ten thousand headers in memory share what they come to.
        self.roles = _compile_roles(document.roles) if document.roles else _BUILT_IN
        self.group_bindings = group_by_who(document.bindings, GROUP)
        self.large_groups = {
            name: _large_group(self.roles, listed)
            for name, listed in self.group_bindings.items()
            if len(listed) > share_groups_above
        }
        self.group_denies = group_by_who(document.denies, GROUP)
        self.role_denies = group_by_who(document.denies, ROLE)
        self.agent_entries = group_by_who(document.denies, AGENT)
        self.agent_denies = {agent: DenyTable(listed) for agent, listed in self.agent_entries.items()}
        self.approvals = ApprovalTable(document.approvals)
        self._holdings = {} if document.roles else _HOLDINGS_OF_BUILT_IN

    def holding_of(self, names: tuple[str, ...], *, is_service: bool) -> Holding:
        """Return what holding the organization roles *names*, sorted, gives to a user or to a service account."""
        key = (names, is_service)
        holding = self._holdings.get(key)
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
            if len(self._holdings) >= MAX_REMEMBERED_HOLDINGS:
                self._holdings.clear()
            self._holdings[key] = holding
        return holding


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


@value
class LargeGroup:
    """A group's bindings, laid out once for all its members.

    Attributes:
        of_users: Those that are in force whatever the time, for users.
        of_services: The same for services; the same table unless a role of high risk is bound.
        requirements: What these require, each once.
        timed: Those that begin or end at some time; they are laid out for each member.
    """

    of_users: ScopeTable
    of_services: ScopeTable
    requirements: tuple[Requirement, ...]
    timed: tuple[BindingEntry, ...]


def _large_group(roles: Mapping[str, CompiledRole], bindings: Iterable[BindingEntry]) -> LargeGroup:
    timed = tuple(binding for binding in bindings if is_timed(binding))
    lasting = [
        binding
        for binding in bindings
        if not is_timed(binding) and binding.on.section is None and is_in_force(binding, UnixMillis(0))
    ]
    requirements: dict[Requirement, None] = {}
    is_shared = True

    def of_users() -> Iterator[tuple[Scope, Entry]]:
        nonlocal is_shared
        for binding in lasting:
            of_user = compile_binding(roles, binding, is_service=False)
            of_service = compile_binding(roles, binding, is_service=True)
            is_shared = is_shared and of_user == of_service
            requirements.update((one.requirement, None) for one in (of_user, of_service) if one.requirement is not None)
            yield binding.on, of_user

    # One by one: a hundred thousand entries in a list of their own would be freed at once, and hold up other threads.
    users = ScopeTable(of_users())
    services = (
        users
        if is_shared
        else ScopeTable((binding.on, compile_binding(roles, binding, is_service=True)) for binding in lasting)
    )
    return LargeGroup(users, services, tuple(requirements), timed)


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


def _compile_roles(entries: Iterable[RoleEntry]) -> Mapping[str, CompiledRole]:
    return {name: _compiled_role(role) for name, role in resolve_roles(entries).items()}


_BUILT_IN: Final = _compile_roles(())
_HOLDINGS_OF_BUILT_IN: Final[dict[tuple[tuple[str, ...], bool], Holding]] = {}
