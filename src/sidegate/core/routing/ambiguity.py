"""Routes that can match the same request with equal rank: a load error, found exactly (spec 6.2)."""

from collections.abc import Sequence
from itertools import combinations

from sidegate.core.model.value import value
from sidegate.core.routing.pattern import Segment, Shape
from sidegate.core.routing.route import Route


@value
class Conflict:
    """Two routes between which nothing decides.

    Attributes:
        first: The one that stands first in the file.
        second: The other.
        what: What is wrong, to follow the name of *second*.
        hint: What to do next.
    """

    first: Route
    second: Route
    what: str
    hint: str


def routes_by_method(routes: Sequence[Route]) -> dict[str, list[Route]]:
    """Group *routes* by the method of the requests that they can match. HEAD follows GET, unless a HEAD route of the
    same pattern and query stands in its place."""
    groups: dict[str, list[Route]] = {}
    for route in routes:
        groups.setdefault(route.method, []).append(route)
    if "GET" in groups:
        own = groups.get("HEAD", [])
        replaced = {_spelling(route) for route in own}
        groups["HEAD"] = own + [route for route in groups["GET"] if _spelling(route) not in replaced]
    return groups


def find_conflicts(routes: Sequence[Route]) -> tuple[Conflict, ...]:
    """Return every pair of routes that some request matches both of with equal rank."""
    places = {id(route): place for place, route in enumerate(routes)}
    seen: set[tuple[int, int]] = set()
    conflicts: list[Conflict] = []
    for group in routes_by_method(routes).values():
        for alike in _alike(group):
            for one, other in combinations(alike, 2):
                first, second = sorted((one, other), key=lambda route: places[id(route)])
                pair = (places[id(first)], places[id(second)])
                if pair not in seen and _is_undecided(first, second):
                    seen.add(pair)
                    conflicts.append(_conflict(first, second))
    return tuple(sorted(conflicts, key=lambda conflict: places[id(conflict.second)]))


def _conflict(first: Route, second: Route) -> Conflict:
    if _spelling(first) == _spelling(second):
        return Conflict(
            first, second, f"asks for the same requests as `{first.id}`", "keep one, or let one require a `query` value"
        )
    return Conflict(
        first,
        second,
        f"can match the same request as `{first.id}` with equal rank",
        "make one more specific: a fixed segment, or a `query` value that the other does not require",
    )


def _spelling(route: Route) -> tuple[tuple[tuple[Shape, str, str], ...], tuple[tuple[str, str], ...]]:
    """What a route matches, whatever its parameters are called."""
    return tuple((part.shape, part.prefix, part.suffix) for part in route.pattern.segments), route.query


def _alike(routes: Sequence[Route]) -> list[list[Route]]:
    """Group routes of equal path rank with the same fixed segments: no others can be undecided between them."""
    buckets: dict[tuple[str | Shape, ...], list[Route]] = {}
    for route in routes:
        key = tuple(part.prefix if part.shape is Shape.FIXED else part.shape for part in route.pattern.segments)
        buckets.setdefault(key, []).append(route)
    return list(buckets.values())


def _is_undecided(first: Route, second: Route) -> bool:
    """Whether a request can match both, given that the ranks of their paths and their fixed segments are equal."""
    pairs = zip(first.pattern.segments, second.pattern.segments, strict=True)
    if not all(_can_take_same(one, other) for one, other in pairs):
        return False
    mine, theirs = dict(first.query), dict(second.query)
    if any(theirs.get(name, wanted) != wanted for name, wanted in mine.items()):
        return False  # no request has both values: a parameter that occurs twice is refused
    # One that requires all that the other does, and more, outranks it. Anything else is undecided.
    return mine == theirs or not (mine.items() < theirs.items() or theirs.items() < mine.items())


def _can_take_same(one: Segment, other: Segment) -> bool:
    # The longer prefix, any character, the longer suffix: matches both exactly when the shorter ones fit in.
    prefixes = sorted((one.prefix, other.prefix), key=len)
    suffixes = sorted((one.suffix, other.suffix), key=len)
    return prefixes[1].startswith(prefixes[0]) and suffixes[1].endswith(suffixes[0])
