"""Route files: from an HTTP request to what it asks for (spec 6.2)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Final

from sidegate.config.explain import Below, validate
from sidegate.config.files import read_file
from sidegate.config.route_reader import RouteReader
from sidegate.config.routes_model import WrittenRoute
from sidegate.config.yaml_tree import read_tree
from sidegate.core.model.errors import ConfigError, Position, Problem
from sidegate.core.model.value import value
from sidegate.core.routing.ambiguity import find_conflicts
from sidegate.core.routing.route import Route
from sidegate.core.routing.table import RouteTable

MAX_ROUTES_BYTES: Final = 8 << 20


@value
class LoadedRoutes:
    """A route file that can be used.

    Attributes:
        table: Its routes, ready to match.
        positions: Where each route was written, by its id.
    """

    table: RouteTable
    positions: Mapping[str, Position]


def load_routes(path: FilePath) -> LoadedRoutes:
    """Read a route file.

    Raises:
        ConfigError: Carries everything that is wrong, each with file, line and column.
    """
    content, problem = read_file(path)
    if problem is not None:
        raise ConfigError((problem,))
    return read_routes(content, str(path))


def read_routes(content: bytes, file: str) -> LoadedRoutes:
    """Read the *content* of a route file called *file*.

    Raises:
        ConfigError: Carries everything that is wrong, each with file, line and column.
    """
    tree = read_tree(content, file, MAX_ROUTES_BYTES)
    problems = list(tree.problems)
    if tree.data is None:
        problems = problems or [Problem(tree.position(()), "file", "is empty", "write a list of routes; [] for none")]
        raise ConfigError(tuple(problems))
    if not isinstance(tree.data, list):
        problems.append(Problem(tree.position(()), "file", "is not a list", "write a list of routes, each with a `-`"))
        raise ConfigError(tuple(problems))
    routes: list[tuple[Route, Position]] = []
    for number, data in enumerate(tree.data):
        # One by one, so that a mistake in one route hides none of another.
        entry, wrong = validate(WrittenRoute, data, Below(tree, (number,)))
        problems += wrong
        if entry is None:
            continue
        reader = RouteReader(entry, tree, (number,))
        route = reader.read()
        problems += reader.problems
        if route is not None:
            routes.append((route, tree.position((number,))))
    problems += find_clashes(routes)
    if problems:
        raise ConfigError(tuple(sorted(problems, key=_in_order)))
    return LoadedRoutes(RouteTable([route for route, _ in routes]), {route.id: place for route, place in routes})


def _in_order(problem: Problem) -> tuple[int, int, str]:
    place = problem.position
    return (0, 0, problem.key) if place is None else (place.line, place.column, problem.key)


def find_clashes(routes: Sequence[tuple[Route, Position]]) -> Iterator[Problem]:
    """Yield every pair of routes between which nothing decides, and every id that is given twice."""
    places = {id(route): place for route, place in routes}
    conflicts = find_conflicts([route for route, _ in routes])
    for conflict in conflicts:
        first = places[id(conflict.first)]
        what = f"{conflict.what} (line {first.line})"
        yield Problem(places[id(conflict.second)], conflict.second.id, what, conflict.hint)
    seen: dict[str, Position] = {}
    for route, place in routes:
        if route.id in seen and not any(
            conflict.second is route for conflict in find_conflicts([r for r, _ in routes])
        ):
            what = f"is already the id of the route of line {seen[route.id].line}"
            yield Problem(place, route.id, what, "give each route its own `id`")
        seen.setdefault(route.id, place)
