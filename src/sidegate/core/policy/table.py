"""Entries laid out by scope, so that what covers a target is found by a few dictionary look-ups.

The narrowest scope that covers a target (spec 1.5, 6) is unique: two scopes that cover the same target and name as much
of it are the same scope. So all entries of one scope share a :class:`Node`, and the first node on the way from the most
to the least specific spelling of the target is the answer.

Whatever a scope covers, it covers everything below: scopes are cones. So what holds *below* a target (spec 1.6) is
decided at finitely many places, the tops of the intersections of the scopes with what lies below the target; see
:func:`_narrowest_below`.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar, final

from sidegate.core.model.authority import ALL_AUTHORITIES, Mask
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.target import Scope, Target
from sidegate.core.model.value import value
from sidegate.core.policy.requirement import Requirement

Path = tuple[str, ...]
K = TypeVar("K")

MAX_REMEMBERED_SUBTREES: Final = 256
"""Per table. A subtree that is not remembered costs one pass over the scopes of its project."""

MAX_REMEMBERED_MERGES: Final = 256
"""Per account. Putting two nodes together costs a few microseconds."""


@value
class Entry:
    """One line that gives or withholds *mask*; *key* is what ``Decision.because`` cites."""

    key: str
    mask: Mask
    requirement: Requirement | None = None


@final
class Node:
    """All entries of one place.

    Attributes:
        mask: What the entries without a requirement give.
        conditional: What the entries with a requirement would give.
        entries: As compiled, in the order of their keys.
        granted: Decisions made of the entries without a requirement, by authority bit; see :meth:`grant`.
        rank: Of two nodes that cover the same target, the higher one is the narrower; see :func:`rank_of`.
    """

    __slots__ = ("_refused", "conditional", "entries", "granted", "mask", "rank")

    def __init__(self, entries: Iterable[Entry], rank: int = 0) -> None:
        self.rank = rank
        self.entries: tuple[Entry, ...] = tuple(sorted(entries, key=_key_of))
        mask = 0
        conditional = 0
        for entry in self.entries:
            if entry.requirement is None:
                mask |= entry.mask
            else:
                conditional |= entry.mask
        self.mask = mask
        self.conditional = conditional
        self.granted: dict[int, Decision] = _NOTHING_YET
        self._refused: Decision | None = None

    def keys(self) -> tuple[str, ...]:
        """List the keys of all entries, sorted, each once."""
        if len(self.entries) == 1:
            return (self.entries[0].key,)
        return tuple(dict.fromkeys(entry.key for entry in self.entries))

    def keys_giving(self, bit: int) -> tuple[str, ...]:
        """List the keys of the entries without a requirement that give *bit*, sorted, each once."""
        if len(self.entries) == 1:
            return self.keys() if self.mask & bit else ()
        giving = (entry.key for entry in self.entries if entry.mask & bit and entry.requirement is None)
        return tuple(dict.fromkeys(giving))

    def grant(self, bit: int) -> Decision:
        """Return the allow for *bit*, which no entry with a requirement gives; built once and shared."""
        decision = self.granted.get(bit)
        if decision is None:
            decision = Decision(Outcome.ALLOW, Reason.GRANTED, self.keys_giving(bit), Remedy.NONE)
            if self.granted is _NOTHING_YET:
                self.granted = {}
            self.granted[bit] = decision
        return decision

    def refuse(self, reason: Reason) -> Decision:
        """Return the deny for *reason* because of all entries. A node refuses for one reason only, so it is shared."""
        refused = self._refused
        if refused is None or refused.reason is not reason:
            refused = self._refused = deny(reason, self.keys())
        return refused


# Shared by every node that has not decided yet: an empty dict of its own would be a third of a node's memory.
_NOTHING_YET: Final[dict[int, Decision]] = {}


def _key_of(entry: Entry) -> str:
    return entry.key


def rank_of(project: str | None, branch: str | None, path: Path) -> int:
    """Return the specificity of a scope (spec 1.5, 6) as one number: at most 64 segments, so the parts never mix."""
    return (project is not None) << 8 | (branch is not None) << 7 | len(path)


# Most places have no paths.
_NO_PATHS: Final[dict[Path, Node]] = {}


class Place:
    """Nodes by path: of one branch of one project, or of the sections."""

    __slots__ = ("_lengths", "_paths", "_root")

    def __init__(self, entries: dict[Path, list[Entry]], rank: int = 0) -> None:
        root = entries.get(())
        self._root = None if root is None else Node(root, rank)
        nodes = {path: Node(listed, rank + len(path)) for path, listed in entries.items() if path}
        self._paths = nodes or _NO_PATHS
        self._lengths = tuple(sorted({len(path) for path in self._paths}, reverse=True))

    def narrowest(self, path: Path) -> Node | None:
        """Return the node of the longest path that is *path* or lies above it."""
        if path and self._lengths:
            size = len(path)
            for length in self._lengths:
                if length <= size:
                    node = self._paths.get(path[:length])
                    if node is not None:
                        return node
        return self._root

    def covering(self, path: Path) -> list[Node]:
        """List every node whose path is *path* or lies above it, the narrowest first."""
        nodes = []
        for length in self._lengths:
            node = self._paths.get(path[:length]) if length <= len(path) else None
            if node is not None:
                nodes.append(node)
        if self._root is not None:
            nodes.append(self._root)
        return nodes

    def below(self, path: Path) -> Iterator[tuple[Path, Node]]:
        """Yield every node whose path extends *path*."""
        size = len(path)
        for deeper, node in self._paths.items():
            if len(deeper) > size and deeper[:size] == path:
                yield deeper, node

    @property
    def root(self) -> Node | None:
        """The node of the empty path."""
        return self._root


class _Branches:
    """Places of one project, or of every project: one for every branch and one for each that is named."""

    __slots__ = ("every", "named")

    def __init__(self, project: str | None, entries: dict[str | None, dict[Path, list[Entry]]]) -> None:
        every = entries.get(None)
        self.every = None if every is None else Place(every, rank_of(project, None, ()))
        self.named = {
            branch: Place(listed, rank_of(project, branch, ()))
            for branch, listed in entries.items()
            if branch is not None
        }

    def narrowest(self, branch: str | None, path: Path) -> Node | None:
        if branch is not None:
            place = self.named.get(branch)
            if place is not None:
                node = place.narrowest(path)
                if node is not None:
                    return node
        return None if self.every is None else self.every.narrowest(path)

    def covering(self, branch: str | None, path: Path) -> list[Node]:
        """List every node that covers the place, those that name the branch first."""
        nodes = []
        if branch is not None and branch in self.named:
            nodes.extend(self.named[branch].covering(path))
        if self.every is not None:
            nodes.extend(self.every.covering(path))
        return nodes

    def places_below(self, branch: str | None) -> Iterator[tuple[str | None, Place]]:
        """Yield (branch at the top of the intersection, place) of all that meets what lies below *branch*."""
        if self.every is not None:
            yield branch, self.every
        if branch is None:
            yield from self.named.items()
        elif branch in self.named:
            yield branch, self.named[branch]


@value
class Below:
    """What decides below a target.

    Attributes:
        common: What every one of *nodes* gives without a requirement; everything when there are none.
        nodes: Those that are the narrowest somewhere below.
    """

    common: Mask
    nodes: tuple[Node, ...]


def _remember(memo: dict[K, Below], key: K, nodes: tuple[Node, ...]) -> Below:
    common = int(ALL_AUTHORITIES)
    for node in nodes:
        common &= node.mask
    if len(memo) >= MAX_REMEMBERED_SUBTREES:
        memo.clear()
    below = Below(Mask(common), nodes)
    memo[key] = below
    return below


class ScopeTable:
    """Entries on projects by scope.

    Attributes:
        mask: Union over all entries, conditional or not: what cannot be in here need not be looked up.
    """

    __slots__ = ("_below", "_every", "_projects", "mask")

    def __init__(self, entries: Iterable[tuple[Scope, Entry]]) -> None:
        grouped: dict[str | None, dict[str | None, dict[Path, list[Entry]]]] = {}
        mask = 0
        for scope, entry in entries:
            mask |= entry.mask
            branches = grouped.setdefault(scope.project, {})
            branches.setdefault(scope.branch, {}).setdefault(scope.path, []).append(entry)
        self.mask = mask
        every = grouped.pop(None, None)
        self._every = None if every is None else _Branches(None, every)
        # Most bindings name a project and nothing else. Such a project is its one node: a third of the memory, and the
        # look-up ends there, since that node covers everything in the project.
        self._projects: dict[str | None, Node | _Branches] = {}
        # One by one out of what was grouped: a hundred thousand small dicts freed at once would hold up other threads.
        for project in tuple(grouped):
            branches = grouped.pop(project)
            self._projects[project] = (
                Node(branches[None][()], rank_of(project, None, ()))
                if _is_whole_project(branches)
                else _Branches(project, branches)
            )
        self._below: dict[tuple[str | None, str | None, Path], Below] = {}

    def narrowest(self, project: str | None, branch: str | None, path: Path) -> Node | None:
        """Return the node of the highest specificity that covers the place; None when nothing covers it.

        *branch* None means the project itself, which only scopes on all its branches cover.
        """
        found = self._projects.get(project)
        if found is not None:
            if type(found) is Node:
                return found
            node = found.narrowest(branch, path)
            if node is not None:
                return node
        return None if self._every is None else self._every.narrowest(branch, path)

    def covering(self, target: Target) -> list[Node]:
        """List every node that covers the project, branch or path *target*, the narrowest first."""
        nodes: list[Node] = []
        found = self._projects.get(target.project)
        if isinstance(found, Node):
            nodes.append(found)
        elif found is not None:
            nodes.extend(found.covering(target.branch, target.path))
        if self._every is not None:
            nodes.extend(self._every.covering(target.branch, target.path))
        return nodes

    def meeting(self, target: Target) -> Iterator[Node]:
        """Yield every node whose scope covers *target* or something below it."""
        yield from self.covering(target)
        for _, _, node in self._tops(target):
            yield node

    def below(self, target: Target) -> Below:
        """Return the nodes that are the narrowest somewhere below *target*, in a fixed order."""
        return _narrowest_below(self, self._below, target)

    def tops_below(self, target: Target) -> set[tuple[str | None, Path]]:
        """Return (branch, path) of the top of each scope's intersection with what lies below *target*."""
        return {(branch, path) for branch, path, _ in self._tops(target)}

    def _tops(self, target: Target) -> Iterator[tuple[str | None, Path, Node]]:
        """Yield (branch, path, node) of each intersection that is not the whole subtree of *target*."""
        found = self._projects.get(target.project)
        for branches in (found, self._every):
            if not isinstance(branches, _Branches):
                continue
            for branch, place in branches.places_below(target.branch):
                if branch != target.branch and place.root is not None:
                    yield branch, (), place.root
                for path, node in place.below(target.path):
                    yield branch, path, node


def _is_whole_project(branches: dict[str | None, dict[Path, list[Entry]]]) -> bool:
    return len(branches) == 1 and None in branches and branches[None].keys() == {()}


class SplitTable:
    """One scope table in parts, each with the entries of some projects: a part can be replaced by itself.

    Args:
        every: Entries that name no project.
        named: As many as a power of two; those of a project are in the part that its hash leads to.
    """

    __slots__ = ("_every", "_last", "_named")

    def __init__(self, every: ScopeTable, named: tuple[ScopeTable, ...]) -> None:
        self._every = every
        self._named = named
        self._last = len(named) - 1

    def narrowest(self, project: str | None, branch: str | None, path: Path) -> Node | None:
        """Like :meth:`ScopeTable.narrowest`: whatever names the project is narrower than what names none."""
        if project is not None:
            node = self._named[hash(project) & self._last].narrowest(project, branch, path)
            if node is not None:
                return node
        return self._every.narrowest(project, branch, path)

    def tops_below(self, target: Target) -> set[tuple[str | None, Path]]:
        """Like :meth:`ScopeTable.tops_below`."""
        tops = self._every.tops_below(target)
        if target.project is not None:
            tops |= self._named[hash(target.project) & self._last].tops_below(target)
        return tops


class LayeredTable:
    """Several scope tables that answer like one holding all their entries.

    So that a group's thousands of bindings are laid out once and not for each of its members.
    """

    __slots__ = ("_below", "_layers", "_merged")

    def __init__(self, layers: Iterable[ScopeTable | SplitTable]) -> None:
        self._layers = tuple(layers)
        self._below: dict[tuple[str | None, str | None, Path], Below] = {}
        # By the ids of nodes that the layers keep alive.
        self._merged: dict[tuple[int, ...], Node] = {}

    def narrowest(self, project: str | None, branch: str | None, path: Path) -> Node | None:
        """Like :meth:`ScopeTable.narrowest`: the node of the highest rank, entries of equal ones put together."""
        best: list[Node] = []
        for layer in self._layers:
            node = layer.narrowest(project, branch, path)
            if node is not None:
                if best and node.rank > best[0].rank:
                    best = [node]
                elif not best or node.rank == best[0].rank:
                    best.append(node)
        if len(best) > 1:
            return self._merge(best)
        return best[0] if best else None

    def below(self, target: Target) -> Below:
        """Like :meth:`ScopeTable.below`."""
        return _narrowest_below(self, self._below, target)

    def tops_below(self, target: Target) -> set[tuple[str | None, Path]]:
        """Like :meth:`ScopeTable.tops_below`."""
        return set().union(*(layer.tops_below(target) for layer in self._layers))

    def _merge(self, nodes: list[Node]) -> Node:
        key = tuple(id(node) for node in nodes)
        merged = self._merged.get(key)
        if merged is None:
            if len(self._merged) >= MAX_REMEMBERED_MERGES:
                self._merged.clear()
            merged = Node([entry for node in nodes for entry in node.entries], nodes[0].rank)
            self._merged[key] = merged
        return merged


Grants = ScopeTable | LayeredTable
"""What the bindings of an account come to."""


def _narrowest_below(table: Grants, memo: dict[tuple[str | None, str | None, Path], Below], target: Target) -> Below:
    """Return the nodes of *table* that are the narrowest somewhere below *target*, in the order of their places.

    A scope is the narrowest somewhere below the target exactly when it is so at the top of its intersection with what
    lies below: a narrower one that covers the top covers the whole intersection. A scope on every branch has its top on
    a branch that nothing names.
    """
    key = (target.project, target.branch, target.path)
    below = memo.get(key)
    if below is None:
        distinct = {
            id(node): node
            for branch, path in sorted(table.tops_below(target), key=_written)
            if (node := table.narrowest(target.project, branch, path)) is not None
        }
        below = _remember(memo, key, tuple(distinct.values()))
    return below


def _written(top: tuple[str | None, Path]) -> tuple[str, Path]:
    return (top[0] or "", top[1])


class SectionTable:
    """Entries on sections of the organization, by scope."""

    __slots__ = ("_below", "_place", "mask")

    def __init__(self, entries: Iterable[tuple[Path, Entry]]) -> None:
        grouped: dict[Path, list[Entry]] = {}
        mask = 0
        for section, entry in entries:
            mask |= entry.mask
            grouped.setdefault(section, []).append(entry)
        self.mask = mask
        self._place = Place(grouped)
        self._below: dict[Path, Below] = {}

    def narrowest(self, section: Path) -> Node | None:
        """Return the node of the longest section that covers *section*."""
        return self._place.narrowest(section)

    def covering(self, section: Path) -> list[Node]:
        """List every node that covers *section*, the longest first."""
        return self._place.covering(section)

    def meeting(self, section: Path) -> Iterator[Node]:
        """Yield every node that covers *section* or something below it."""
        yield from self._place.covering(section)
        for _, node in self._place.below(section):
            yield node

    def below(self, section: Path) -> Below:
        """Return the nodes below *section*, in the order of their sections."""
        below = self._below.get(section)
        if below is None:
            nodes = tuple(node for _, node in sorted(self._place.below(section), key=lambda top: top[0]))
            below = _remember(self._below, section, nodes)
        return below
