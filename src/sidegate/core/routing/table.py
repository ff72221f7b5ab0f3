"""Find the one route that a request matches, or none (spec 6.2)."""

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.value import hot_value
from sidegate.core.routing.ambiguity import find_conflicts, routes_by_method
from sidegate.core.routing.pattern import Shape
from sidegate.core.routing.query import read_parameter
from sidegate.core.routing.route import Route


@hot_value
class Match:
    """A request and its route.

    Attributes:
        route: What it matched.
        segments: The decoded segments of the canonical path, as given to :meth:`RouteTable.match`.
    """

    route: Route
    segments: tuple[str, ...]


class _Node:
    """What may follow after the same segments. Every node lies at one depth, so a match visits it at most once."""

    __slots__ = ("affix_lengths", "affixed", "ending", "fixed", "is_plain", "parameter", "tail")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.affixed: dict[tuple[str, str], _Node] = {}
        self.affix_lengths: tuple[tuple[int, int], ...] = ()
        self.parameter: _Node | None = None
        self.tail: tuple[Route, ...] = ()
        self.ending: tuple[Route, ...] = ()
        self.is_plain = True  # nothing but fixed segments can follow: no way back is needed


def _plant(root: _Node, route: Route) -> None:
    node = root
    for segment in route.pattern.segments:
        match segment.shape:
            case Shape.FIXED:
                node = node.fixed.setdefault(segment.prefix, _Node())
                continue
            case Shape.AFFIXED:
                child = node.affixed.setdefault((segment.prefix, segment.suffix), _Node())
                node.affix_lengths = tuple(sorted({(len(prefix), len(suffix)) for prefix, suffix in node.affixed}))
            case Shape.PARAMETER:
                child = node.parameter = node.parameter if node.parameter is not None else _Node()
            case Shape.TAIL:
                node.is_plain = False
                node.tail = _by_rank((*node.tail, route))
                return
            case _:
                assert_never(segment.shape)
        node.is_plain = False
        node = child
    node.ending = _by_rank((*node.ending, route))


def _by_rank(routes: Iterable[Route]) -> tuple[Route, ...]:
    # Routes on one node differ only in the query that they require; of two that a request can match both, one
    # requires all that the other does and more (else they are a load error): most first.
    return tuple(sorted(routes, key=lambda route: len(route.query), reverse=True))


def _choose(routes: tuple[Route, ...], query: bytes) -> Route | None:
    for route in routes:
        if not route.query or all(read_parameter(query, name) == wanted for name, wanted in route.query):
            return route
    return None


def _find(node: _Node, segments: tuple[str, ...], at: int, query: bytes) -> Route | None:
    count = len(segments)
    while at < count:
        segment = segments[at]
        child = node.fixed.get(segment)
        if child is not None:
            if node.is_plain:
                node = child
                at += 1
                continue
            found = _find(child, segments, at + 1, query)
            if found is not None:
                return found
        if not segment:
            return None
        if node.affix_lengths:
            found = _find_affixed(node, segments, at, query)
            if found is not None:
                return found
        child = node.parameter
        if child is not None:
            if not node.tail:
                node = child
                at += 1
                continue
            found = _find(child, segments, at + 1, query)
            if found is not None:
                return found
        return _choose(node.tail, query)
    return _choose(node.ending, query)


def _find_affixed(node: _Node, segments: tuple[str, ...], at: int, query: bytes) -> Route | None:
    # Two affixed segments may take the same text and differ further on, so the best of all has to be found.
    best: Route | None = None
    segment = segments[at]
    size = len(segment)
    for before, behind in node.affix_lengths:
        if size > before + behind:
            child = node.affixed.get((segment[:before], segment[size - behind :]))
            found = None if child is None else _find(child, segments, at + 1, query)
            if found is not None and (best is None or found.rank > best.rank):
                best = found
    return best


class RouteTable:
    """All routes, compiled to one tree per method.

    A look-up costs one dictionary access per segment, whatever the number of routes; it visits more than one branch
    only where a fixed segment and a parameter stand side by side.

    Raises:
        ConfigError: Two routes can match the same request with equal rank.
    """

    __slots__ = ("_roots", "routes")

    def __init__(self, routes: Sequence[Route]) -> None:
        conflicts = find_conflicts(routes)
        if conflicts:
            raise ConfigError(
                tuple(Problem(None, conflict.second.id, conflict.what, conflict.hint) for conflict in conflicts)
            )
        self.routes: Final = tuple(routes)
        self._roots: dict[str, _Node] = {}
        for method, own in routes_by_method(routes).items():
            root = self._roots[method] = _Node()
            for route in own:
                _plant(root, route)

    def __reduce__(self) -> "tuple[type[RouteTable], tuple[tuple[Route, ...]]]":
        # Handed to another process by what it is made of: compiled, it would be made with no arguments and fail.
        return RouteTable, (self.routes,)

    def match(self, method: str, segments: tuple[str, ...], query: bytes) -> Match | None:
        """Return the route of the greatest rank that matches, or None (the request is then refused).

        Args:
            method: Upper case, as in the request line.
            segments: Decoded and checked segments of the canonical path; the last one is ``""`` for a trailing slash,
                ``("",)`` for ``/``, empty for the asterisk form.
            query: Raw query without the ``?``; read only where a route requires a parameter's value.

        Raises:
            WireError: 400: a parameter that a candidate route requires occurs twice, or the query cannot be read in
                one way.
        """
        root = self._roots.get(method)
        if root is None:
            return None
        route = _find(root, segments, 0, query)
        return None if route is None else Match(route, segments)
