"""The table finds the route of the greatest rank, and agrees with a slow spelling of the rules."""

import itertools
import pickle
import random
from collections.abc import Sequence

import pytest
from tests.unit.core.routing.plans import route

from sidegate.core.model.errors import ConfigError, WireError
from sidegate.core.routing.ambiguity import find_conflicts
from sidegate.core.routing.pattern import Shape
from sidegate.core.routing.route import Route
from sidegate.core.routing.table import RouteTable


def segments(path: str) -> tuple[str, ...]:
    """Split a canonical path as the wire does."""
    return tuple(path[1:].split("/"))


def matched(table: RouteTable, method: str, path: str, query: bytes = b"") -> str | None:
    """Return the id of the route found, or None."""
    match = table.match(method, segments(path), query)
    return None if match is None else match.route.id


@pytest.mark.parametrize(
    ("lines", "request_line", "expected"),
    [
        pytest.param(["GET /a/b", "GET /a/{x}"], "GET /a/b", "GET /a/b", id="fixed-beats-parameter"),
        pytest.param(["GET /a/b", "GET /a/{x}"], "GET /a/c", "GET /a/{x}", id="parameter-takes-the-rest"),
        pytest.param(["GET /a/{x}", "GET /a/{x*}"], "GET /a/c", "GET /a/{x}", id="parameter-beats-tail"),
        pytest.param(["GET /a/{x}", "GET /a/{x*}"], "GET /a/c/d", "GET /a/{x*}", id="tail-takes-the-deeper"),
        pytest.param(["GET /a/{x}/c", "GET /{y}/b/c"], "GET /a/b/c", "GET /a/{x}/c", id="leftmost-difference-decides"),
        pytest.param(["GET /a/b/c", "GET /a/{x}/d"], "GET /a/b/d", "GET /a/{x}/d", id="back-out-of-a-fixed-branch"),
        pytest.param(["GET /{x}:glob", "GET /{x}"], "GET /m:glob", "GET /{x}:glob", id="affixed-beats-parameter"),
        pytest.param(["GET /{x}:glob", "GET /m:glob"], "GET /m:glob", "GET /m:glob", id="fixed-beats-affixed"),
        pytest.param(["GET /{x}:glob", "GET /{x}"], "GET /:glob", "GET /{x}", id="affix-alone-is-a-plain-name"),
        pytest.param(["GET /{x}:glob/b", "GET /{x}/c"], "GET /m:glob/c", "GET /{x}/c", id="back-out-of-an-affixed"),
        pytest.param(["GET /{x}:g/{y}", "GET /v-{x}/b"], "GET /v-1:g/b", "GET /v-{x}/b", id="best-of-two-affixed-wins"),
        pytest.param(
            ["GET /v-{x}/b", "GET /{x}:g/{y}"], "GET /v-1:g/b", "GET /v-{x}/b", id="best-of-two-affixed-in-any-order"
        ),
        pytest.param(["GET /a"], "GET /a/", None, id="trailing-slash-is-another-path"),
        pytest.param(["GET /a/"], "GET /a/", "GET /a/", id="trailing-slash-asked-for"),
        pytest.param(["GET /a/{x}"], "GET /a/", None, id="parameter-never-empty"),
        pytest.param(["GET /a/{x*}"], "GET /a/", None, id="tail-never-empty"),
        pytest.param(["GET /a/{x*}"], "GET /a/b/", "GET /a/{x*}", id="tail-with-trailing-slash"),
        pytest.param(["GET /a/{x*}"], "GET /a", None, id="tail-needs-a-segment"),
        pytest.param(["GET /"], "GET /", "GET /", id="root"),
        pytest.param(["GET /a"], "POST /a", None, id="other-method"),
        pytest.param(["GET /a"], "HEAD /a", "GET /a", id="head-follows-get"),
        pytest.param(["GET /a", "HEAD /a"], "HEAD /a", "HEAD /a", id="own-head-route"),
        pytest.param(["GET /a", "HEAD /a"], "GET /a", "GET /a", id="own-head-route-leaves-get"),
        pytest.param(["HEAD /{x}", "GET /a"], "HEAD /a", "GET /a", id="inherited-fixed-beats-own-parameter"),
        pytest.param(["HEAD /a"], "GET /a", None, id="get-never-follows-head"),
        pytest.param(["GET /a", "GET /a/{x}"], "GET /b", None, id="unmapped"),
        pytest.param(["PROPFIND /{x*}"], "PROPFIND /a/b", "PROPFIND /{x*}", id="webdav"),
    ],
)
def test_precedence(lines: list[str], request_line: str, expected: str | None) -> None:
    """Fixed beats affixed beats parameter beats tail, from left to right; HEAD follows GET (spec 6.2)."""
    method, _, path = request_line.partition(" ")
    assert expected == matched(RouteTable([route(line) for line in lines]), method, path)


def test_asterisk_form() -> None:
    """``OPTIONS *`` has no segments, and no path is taken for it."""
    table = RouteTable([route("OPTIONS *"), route("OPTIONS /{x}")])
    found = table.match("OPTIONS", (), b"")
    assert found is not None
    assert found.route.pattern.text == "*"
    assert matched(table, "OPTIONS", "/*") == "OPTIONS /{x}"


WITH_QUERY = [
    route("GET /r", query={"service": "pack"}, route_id="pack"),
    route("GET /r", query={"service": "pack", "v": "2"}, route_id="pack-2"),
    route("GET /r", query={"service": "other"}, route_id="other"),
    route("GET /r", route_id="bare"),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(b"", "bare", id="no-query"),
        pytest.param(b"x=1", "bare", id="another-parameter"),
        pytest.param(b"service=pack", "pack", id="required"),
        pytest.param(b"x=1&service=pack", "pack", id="required-behind-another"),
        pytest.param(b"service=p%61ck", "pack", id="escaped"),
        pytest.param(b"s%65rvice=pack", "pack", id="escaped-name"),
        pytest.param(b"service=pack&v=2", "pack-2", id="more-required-outranks"),
        pytest.param(b"service=pack&v=3", "pack", id="more-required-not-met"),
        pytest.param(b"service=other", "other", id="other-value"),
        pytest.param(b"service=Pack", "bare", id="case-matters"),
        pytest.param(b"service", "bare", id="no-value"),
    ],
)
def test_required_query_outranks(query: bytes, expected: str) -> None:
    """A route that requires a parameter's value outranks the same route without (spec 6.2)."""
    assert expected == matched(RouteTable(WITH_QUERY), "GET", "/r", query)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(b"service=pack&service=other", id="twice"),
        pytest.param(b"service=pack&s%65rvice=pack", id="twice-once-escaped"),
        pytest.param(b"service=pack;v=2", id="semicolon"),
        pytest.param(b"service=%zz", id="malformed-escape"),
        pytest.param(b"service=%ff", id="not-utf-8"),
    ],
)
def test_required_query_in_two_ways(query: bytes) -> None:
    """A query that decides which route is meant is never read in one of two ways: 400, not the lesser route."""
    with pytest.raises(WireError) as caught:
        RouteTable(WITH_QUERY).match("GET", ("r",), query)
    assert caught.value.status == 400


def test_query_is_not_read_where_no_route_requires_it() -> None:
    """The query of other routes is the upstream's business."""
    assert matched(RouteTable([route("GET /r")]), "GET", "/r", b"a=1;a=2&%zz") == "GET /r"


def test_conflicts_never_become_a_table() -> None:
    """Every undecided pair is in the error."""
    with pytest.raises(ConfigError) as caught:
        RouteTable([route("GET /{x}"), route("GET /{y}"), route("PUT /a"), route("PUT /a", route_id="again")])
    assert [problem.key for problem in caught.value.problems] == ["GET /{y}", "again"]


# --- against a slow spelling of the rules ---------------------------------------------------------------------------

PARTS = ["a", "b", "{}", "{}:g", "a{}", "{}b", "b{}:g"]
TEXTS = ["a", "b", "x", "ax", "axb", "ax:g", "bx:g", "b:g"]  # holds a witness for every pair of PARTS that overlaps
QUERIES = [{}, {}, {}, {"q": "1"}, {"q": "2"}, {"r": "1"}, {"q": "1", "r": "1"}]
QUERY_TEXTS = [b"", b"q=1", b"q=2", b"r=1", b"q=1&r=1", b"q=2&r=1"]
PATHS = [
    path + end
    for count in (1, 2)
    for path in itertools.product(TEXTS, repeat=count)
    for end in ((), ("",), ("x",))
]  # fmt: skip


def random_route(chance: random.Random, number: int) -> Route:
    """Make a route of one or two segments over a small alphabet."""
    parts = [chance.choice(PARTS).replace("{}", f"{{p{place}}}") for place in range(chance.choice([1, 2, 2]))]
    end = chance.choice(["", "", "", "/", "/{rest*}"])
    line = f"{chance.choice(['GET', 'GET', 'HEAD'])} /{'/'.join(parts)}{end}"
    return route(line, query=chance.choice(QUERIES), route_id=f"r{number}")


def takes(candidate: Route, method: str, path: tuple[str, ...], query: bytes) -> bool:
    """Read the rules as they are written: method, every segment, every required parameter."""
    if candidate.method != method and (candidate.method, method) != ("GET", "HEAD"):
        return False
    pairs = dict(pair.split("=") for pair in query.decode().split("&") if pair)
    if any(pairs.get(name) != wanted for name, wanted in candidate.query):
        return False
    own = candidate.pattern.segments
    if own[-1].shape is Shape.TAIL:
        head = own[:-1]
        rest = path[len(head) :]
        return len(rest) > 0 and rest[0] != "" and all(map(type(own[0]).takes, head, path))
    return len(own) == len(path) and all(segment.takes(text) for segment, text in zip(own, path, strict=True))


def spelling(candidate: Route) -> object:
    """Say what a route matches, whatever its method and the names of its parameters."""
    shapes = [(segment.shape, segment.prefix, segment.suffix) for segment in candidate.pattern.segments]
    return shapes, candidate.query


def candidates(routes: Sequence[Route], method: str, path: tuple[str, ...], query: bytes) -> list[Route]:
    """Return every route that takes the request; an own HEAD route stands for the GET route of the same spelling."""
    found = [candidate for candidate in routes if takes(candidate, method, path, query)]
    heads = [spelling(candidate) for candidate in found if candidate.method == "HEAD"]
    return [candidate for candidate in found if candidate.method == method or spelling(candidate) not in heads]


def outranks(one: Route, other: Route) -> bool:
    """Say whether *one* is meant rather than *other*: by shape from the left, then by requiring all and more."""
    if one.pattern.rank != other.pattern.rank:
        return one.pattern.rank > other.pattern.rank
    return set(one.query) > set(other.query)


def test_conflicts_are_exactly_the_undecided_pairs() -> None:
    """On generated tables: a pair is a conflict exactly when some request matches both and neither outranks."""
    chance = random.Random(6)
    with_conflicts = 0
    for _ in range(120):
        routes = [random_route(chance, number) for number in range(6)]
        undecided = {
            (one.id, other.id)
            for method in ("GET", "HEAD")
            for path in PATHS
            for query in QUERY_TEXTS
            for one, other in itertools.combinations(candidates(routes, method, path, query), 2)
            if not outranks(one, other) and not outranks(other, one)
        }
        found = {(conflict.first.id, conflict.second.id) for conflict in find_conflicts(routes)}
        assert undecided == found, [candidate.pattern.text for candidate in routes]
        with_conflicts += bool(found)
    assert 20 < with_conflicts < 100  # the generator makes both kinds


def test_match_is_the_one_that_outranks_all_others() -> None:
    """On generated tables without conflicts: the route found is the one that outranks every other that matches."""
    chance = random.Random(62)
    matches = 0
    for _ in range(150):
        routes: list[Route] = []
        for number in range(30):
            more = random_route(chance, number)
            if not find_conflicts([*routes, more]):
                routes.append(more)
        table = RouteTable(routes)
        for path in chance.sample(PATHS, 60):
            method, query = chance.choice(["GET", "HEAD"]), chance.choice(QUERY_TEXTS)
            all_of_them = candidates(routes, method, path, query)
            best = [one for one in all_of_them if all(one is other or outranks(one, other) for other in all_of_them)]
            found = table.match(method, path, query)
            assert [one.id for one in best] == ([] if found is None else [found.route.id])
            matches += len(best)
    assert matches > 1000


def test_table_goes_to_another_process() -> None:
    """Who reads hands it to who serves, in the compiled form as well; it finds the same there."""
    lines = ["GET /a/{x}", "GET /a/b", "GET /{x}:glob", "PUT /a/{x*}"]
    table = pickle.loads(pickle.dumps(RouteTable([route(line) for line in lines])))
    assert [matched(table, "GET", path) for path in ("/a/b", "/a/c", "/m:glob", "/n")] == [
        "GET /a/b",
        "GET /a/{x}",
        "GET /{x}:glob",
        None,
    ]
    assert [one.id for one in table.routes] == lines
