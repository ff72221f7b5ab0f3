"""The bindings of a group that has many, laid out once for all its members and in parts (spec 5.3).

A part holds the bindings on some projects. Where one of a hundred thousand bindings is another, its part is laid out
anew and all others are shared with the layout before: a fraction of a millisecond instead of seconds.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from sidegate.core.model.target import Scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.binding import CompiledRole, compile_binding, is_in_force, is_timed
from sidegate.core.policy.document import BindingEntry
from sidegate.core.policy.requirement import Requirement
from sidegate.core.policy.table import Entry, ScopeTable, SplitTable

_OUTGROWN: Final = 4
"""Times as many bindings as it was divided for, and all of it is divided anew."""


@value
class _Part:
    """Some of a group's bindings.

    Attributes:
        bindings: All of them, in the order of ids.
        of_users: Those that are in force whatever the time, for users.
        of_services: The same for services; the same table unless a role of high risk is bound.
        requirements: What these require, each once.
        timed: Those that begin or end at some time; they are laid out for each member.
        roles: Names of the roles that they give.
    """

    bindings: tuple[BindingEntry, ...]
    of_users: ScopeTable
    of_services: ScopeTable
    requirements: tuple[Requirement, ...]
    timed: tuple[BindingEntry, ...]
    roles: frozenset[str]


def _lay_out(roles: Mapping[str, CompiledRole], bindings: Iterable[BindingEntry]) -> _Part:
    ordered = tuple(sorted(bindings, key=_id_of))
    lasting = [
        binding
        for binding in ordered
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

    users = ScopeTable(of_users())
    services = (
        users
        if is_shared
        else ScopeTable((binding.on, compile_binding(roles, binding, is_service=True)) for binding in lasting)
    )
    return _Part(
        ordered,
        users,
        services,
        tuple(requirements),
        tuple(binding for binding in ordered if is_timed(binding)),
        frozenset(binding.role for binding in ordered),
    )


def _id_of(binding: BindingEntry) -> str:
    return binding.id


class LargeGroup:
    """A group's bindings, laid out once for all its members. Immutable.

    Attributes:
        of_users: Those that are in force whatever the time, for users.
        of_services: The same for services; the same table unless a role of high risk is bound.
        requirements: What these require, each once.
        timed: Those that begin or end at some time; they are laid out for each member.
        roles: Names of the roles that they give.
        parts: What is on all projects, then so many of the others as a power of two.
        size: How many bindings there are.
    """

    __slots__ = ("of_services", "of_users", "parts", "requirements", "roles", "size", "timed")

    def __init__(self, parts: tuple[_Part, ...]) -> None:
        every, named = parts[0], parts[1:]
        self.parts = parts
        self.of_users = SplitTable(every.of_users, tuple(part.of_users for part in named))
        self.of_services = (
            self.of_users
            if all(part.of_users is part.of_services for part in parts)
            else SplitTable(every.of_services, tuple(part.of_services for part in named))
        )
        self.requirements = tuple(dict.fromkeys(one for part in parts for one in part.requirements))
        self.timed = tuple(binding for part in parts for binding in part.timed)
        self.roles = frozenset[str]().union(*(part.roles for part in parts))
        self.size = sum(len(part.bindings) for part in parts)

    def bindings(self) -> Iterator[BindingEntry]:
        """Yield every binding, in no order."""
        for part in self.parts:
            yield from part.bindings

    def revised(
        self,
        roles: Mapping[str, CompiledRole],
        gone: Collection[BindingEntry],
        come: Collection[BindingEntry],
        other_roles: frozenset[str],
    ) -> "LargeGroup":
        """Return what becomes of it; parts that nothing of this concerns are shared.

        Args:
            roles: By name, as they are now.
            gone: Bindings that are here and no more.
            come: Bindings that were not here.
            other_roles: Names of roles that are not what they were.
        """
        count = self.size - len(gone) + len(come)
        if count > _OUTGROWN * (len(self.parts) - 1) ** 2:
            ids = {binding.id for binding in gone}
            kept = (binding for binding in self.bindings() if binding.id not in ids)
            return lay_out_group(roles, (*kept, *come))
        changes: dict[int, tuple[set[str], list[BindingEntry]]] = {}
        for binding in gone:
            changes.setdefault(self._place_of(binding), (set(), []))[0].add(binding.id)
        for binding in come:
            changes.setdefault(self._place_of(binding), (set(), []))[1].append(binding)
        parts = list(self.parts)
        for place, part in enumerate(parts):
            ids, new = changes.get(place, _NOTHING)
            if ids or new or not other_roles.isdisjoint(part.roles):
                parts[place] = _lay_out(roles, [*(one for one in part.bindings if one.id not in ids), *new])
        return LargeGroup(tuple(parts))

    def has_same_bindings(self, other: "LargeGroup") -> bool:
        """Whether *other* has the same bindings; those that share their parts are not compared one by one."""
        if len(self.parts) == len(other.parts):
            pairs = zip(self.parts, other.parts, strict=True)
            return all(one is another or one.bindings == another.bindings for one, another in pairs)
        if self.size != other.size:
            return False
        return {one.id: one for one in self.bindings()} == {one.id: one for one in other.bindings()}

    def _place_of(self, binding: BindingEntry) -> int:
        project = binding.on.project
        return 0 if project is None else 1 + place_of(project, len(self.parts) - 1)


_NOTHING: Final[tuple[set[str], list[BindingEntry]]] = (set(), [])


def place_of(project: str, parts: int) -> int:
    """Return in which of so many *parts*, a power of two, the bindings on *project* are: in this process."""
    return hash(project) & (parts - 1)


def lay_out_group(roles: Mapping[str, CompiledRole], bindings: Collection[BindingEntry]) -> LargeGroup:
    """Lay *bindings* out in parts: as many as each has bindings, about, so that both are few."""
    parts = 1 << (len(bindings).bit_length() // 2)
    every: list[BindingEntry] = []
    named: list[list[BindingEntry]] = [[] for _ in range(parts)]
    for binding in bindings:
        project = binding.on.project
        (every if project is None else named[place_of(project, parts)]).append(binding)
    return LargeGroup(tuple(_lay_out(roles, listed) for listed in (every, *named)))
