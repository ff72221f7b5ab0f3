"""From a matched request to (authority, target), read one way or refused."""

import json

import pytest
from tests.unit.core.routing.plans import ask, from_body, from_header, from_query, route, template

from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import InvariantError, WireError
from sidegate.core.model.target import Kind
from sidegate.core.routing.pattern import parse_pattern
from sidegate.core.routing.resolve import Ask, resolve
from sidegate.core.routing.route import Reading, Route, make_route
from sidegate.core.routing.table import RouteTable

Headers = dict[bytes, tuple[bytes, ...]]


def resolve_one(
    made: Route,
    path: str,
    query: bytes = b"",
    headers: Headers | None = None,
    body: bytes | None = None,
) -> tuple[Ask, ...]:
    """Match *path* against the one route and resolve it for a principal of acme."""
    match = RouteTable([made]).match(made.method, tuple(path[1:].split("/")), query)
    assert match is not None
    return resolve(match, "acme", query, lambda name: (headers or {}).get(name, ()), body)


def texts(asks: tuple[Ask, ...]) -> list[str]:
    """Write asks as ``authority org target kind[ subtree]``."""
    return [
        f"{part.authority} {part.target.org} {part.target.text} {part.target.kind}{' subtree' * part.target.subtree}"
        for part in asks
    ]


FILE = ask(Primitive.READ, org="{org}", project="{project}", branch="{branch}", path="{path}")


@pytest.mark.parametrize(
    ("made", "path", "expected"),
    [
        pytest.param(
            route("GET /{org}/{project}/{branch}/{path*}", FILE),
            "/globex/p1/main/designs/a.json",
            "read globex p1@main:designs/a.json path",
            id="path",
        ),
        pytest.param(
            route("GET /{org}/{project}/{branch}/{path*}", FILE),
            "/globex/p1/main/designs/",
            "read globex p1@main:designs path",
            id="trailing-slash-names-nothing-more",
        ),
        pytest.param(
            route("GET /{org}/{project}/{branch}/{path*}", FILE),
            "/globex/p1/main/\u00fc b/" + "\u00e9" * 100,
            "read globex p1@main:\u00fc b/" + "\u00e9" * 100 + " path",
            id="not-ascii",
        ),
        pytest.param(
            route("GET /{project}", ask(project="{project}")), "/p1", "read acme p1 project", id="org-of-principal"
        ),
        pytest.param(
            route("GET /{branch}:x", ask(Authority.APPROVE, project="p", branch="{branch}")),
            "/main:x",
            "approve acme p@main branch",
            id="suffix-is-cut-off",
        ),
        pytest.param(
            route("GET /v-{branch}-w", ask(project="p", branch="{branch}")),
            "/v-main-w",
            "read acme p@main branch",
            id="affixes-are-cut-off",
        ),
        pytest.param(
            route("GET /{a}/{b}", ask(project="{a}-{b}", branch="x.{a}", path="{b}/in/{a}.json")),
            "/1/2",
            "read acme 1-2@x.1:2/in/1.json path",
            id="templates",
        ),
        pytest.param(
            route("GET /{name}", ask(project="p", branch="b", path="{name}")),
            "/n",
            "read acme p@b:n path",
            id="path-of-one-parameter",
        ),
        pytest.param(
            route("GET /s/{rest*}", ask(section="/skills/{rest}")),
            "/s/fiber/x",
            "read acme /skills/fiber/x section",
            id="section",
        ),
        pytest.param(
            route("GET /s/{rest*}", ask(section="/skills/{rest}")),
            "/s/fiber/",
            "read acme /skills/fiber section",
            id="section-trailing-slash",
        ),
        pytest.param(route("GET /s", ask(section="/")), "/s", "read acme / section", id="all-sections"),
        pytest.param(
            route("DELETE /{project}", ask(Authority.DELETE, project="{project}", subtree=True)),
            "/p1",
            "delete acme p1 project subtree",
            id="subtree",
        ),
        pytest.param(
            route("GET /{x*}", ask(Primitive.GLOB, project="p", branch="b", path=template("{x}", Reading.GLOB))),
            "/designs/*.json",
            "read acme p@b:designs path subtree",
            id="glob-in-the-path",
        ),
    ],
)  # fmt: skip
def test_from_the_path(made: Route, path: str, expected: str) -> None:
    """Targets come from the path's parameters; without an organization it is the principal's (spec 6.2)."""
    assert [expected] == texts(resolve_one(made, path))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/-acme/p/b/f", id="organization-no-name"),
        pytest.param("/acme/p q/b/f", id="project-no-name"),
        pytest.param("/acme/p/.b/f", id="branch-no-name"),
        pytest.param("/acme/\u00fc/b/f", id="project-not-ascii"),
        pytest.param("/acme/" + "p" * 129 + "/b/f", id="project-too-long"),
        pytest.param("/acme/p/b/" + "f" * 256, id="segment-too-long"),
        pytest.param("/acme/p/b/" + "\u00e9" * 128, id="segment-too-long-in-bytes"),
        pytest.param("/acme/p/b/" + "f/" * 64 + "f", id="65-segments"),
        pytest.param("/acme/p/b/..", id="dot-dot"),
        pytest.param("/acme/p/b/a\\b", id="backslash"),
        pytest.param("/acme/p/b/a\x7f", id="control"),
    ],
)
def test_no_names(path: str) -> None:
    """What spec 1.2 does not allow as a name is a malformed request, and the answer does not quote it."""
    with pytest.raises(WireError) as caught:
        resolve_one(route("GET /{org}/{project}/{branch}/{path*}", FILE), path)
    assert (caught.value.status, caught.value.reason) == (400, Reason.MALFORMED_REQUEST)
    assert path.rsplit("/", maxsplit=1)[-1] not in caught.value.detail


def test_64_segments() -> None:
    """A path may have 64 segments, with or without a trailing slash."""
    for end in ("", "/"):
        made = route("GET /{org}/{project}/{branch}/{path*}", FILE)
        (part,) = resolve_one(made, "/acme/p/b/" + "/".join("f" * 64) + end)
        assert len(part.target.path) == 64


@pytest.mark.parametrize("pattern", ["/{path*}", "/{path}"])
def test_encoded_slash_stands_for_segments(pattern: str) -> None:
    """Where a route allows an encoded slash, upstream and proxy agree that it divides segments."""
    made = route(f"GET {pattern}", ask(project="p", branch="b", path="{path}"))
    match = RouteTable([made]).match("GET", ("a/b/c",), b"")
    assert match is not None
    (part,) = resolve(match, "acme", b"", lambda _name: (), None)
    assert part.target.path == ("a", "b", "c")


def test_encoded_slash_may_not_climb() -> None:
    """Dot segments that come out of an encoded slash are refused."""
    made = route("GET /{path*}", ask(project="p", branch="b", path="{path}"))
    match = RouteTable([made]).match("GET", ("a/../b",), b"")
    assert match is not None
    with pytest.raises(WireError):
        resolve(match, "acme", b"", lambda _name: (), None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(b"branch=main", "read acme p@main branch", id="one"),
        pytest.param(b"a=1&branch=m%61in", "read acme p@main branch", id="escaped"),
    ],
)
def test_from_the_query(query: bytes, expected: str) -> None:
    """A part may come from a query parameter that occurs once."""
    assert [expected] == texts(resolve_one(route("GET /", ask(project="p", branch=from_query("branch"))), "/", query))


@pytest.mark.parametrize(
    "query", [b"", b"b=main", b"branch=a&branch=b", b"branch=", b"branch=*", b"branch=a;b=c", b"branch=u%CC%88"]
)
def test_from_the_query_refused(query: bytes) -> None:
    """Missing, repeated, or no name: a malformed request."""
    with pytest.raises(WireError) as caught:
        resolve_one(route("GET /", ask(project="p", branch=from_query("branch"))), "/", query)
    assert caught.value.status == 400


def test_from_a_header() -> None:
    """A part may come from a header that occurs once; blanks around the value are not part of it."""
    made = route("GET /", ask(project="p", branch="b", path=from_header("x-path")))
    headers: Headers = {b"x-path": (b" designs/\xc3\xbc \t",)}
    assert texts(resolve_one(made, "/", headers=headers)) == ["read acme p@b:designs/\u00fc path"]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((), id="missing"),
        pytest.param((b"a", b"a"), id="twice"),
        pytest.param((b"",), id="empty"),
        pytest.param((b"\xff",), id="not-utf-8"),
        pytest.param((b"u\xcc\x88",), id="not-nfc"),
        pytest.param((b"/designs",), id="absolute"),
    ],
)
def test_from_a_header_refused(values: tuple[bytes, ...]) -> None:
    """Missing, repeated, or no name: a malformed request."""
    with pytest.raises(WireError) as caught:
        resolve_one(route("GET /", ask(project="p", branch="b", path=from_header("h"))), "/", headers={b"h": values})
    assert caught.value.status == 400


GLOB = route(
    "POST /{project}/{branch}:glob",
    ask(Primitive.GLOB, project="{project}", branch="{branch}", path=from_body("/pattern", Reading.GLOB)),
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        pytest.param("designs/**/*.json", "read acme p@main:designs path subtree", id="literal-prefix"),
        pytest.param("**/*.json", "read acme p@main branch subtree", id="wildcard-first"),
        pytest.param("designs/\u00fc.json", "read acme p@main:designs/\u00fc.json path subtree", id="no-wildcard"),
    ],
)
def test_glob_from_the_body(pattern: str, expected: str) -> None:
    """A pattern's target is its longest prefix of literal segments, and all below it (spec 1.6)."""
    body = json.dumps({"pattern": pattern}).encode()
    assert [expected] == texts(resolve_one(GLOB, "/p/main:glob", body=body))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(None, {}, id="no-body"),
        pytest.param(b"{}", {}, id="missing"),
        pytest.param(b'{"pattern": 1}', {}, id="number"),
        pytest.param(b'{"pattern": ["a"]}', {}, id="list"),
        pytest.param(b'{"pattern": "a", "pattern": "a"}', {}, id="repeated"),
        pytest.param(b'{"pattern": "../a"}', {}, id="climbs"),
        pytest.param(b'{"pattern": "u\\u0308"}', {}, id="not-nfc"),
        pytest.param(b'{"pattern": "a"}', {b"content-type": (b"text/plain",)}, id="declared-as-text"),
        pytest.param(b'{"pattern": "a"}', {b"content-encoding": (b"gzip",)}, id="declared-as-encoded"),
    ],
)
def test_body_refused(body: bytes | None, headers: Headers) -> None:
    """A body that decides is one JSON text with the member in it, or a malformed request."""
    with pytest.raises(WireError) as caught:
        resolve_one(GLOB, "/p/main:glob", headers=headers, body=body)
    assert (caught.value.status, caught.value.reason) == (400, Reason.MALFORMED_REQUEST)


def test_second_target() -> None:
    """A route may ask for several parts; the body is read for all of them."""
    made = route(
        "POST /{project}/{branch}:merge",
        ask(Authority.APPROVE, project="{project}", branch="{branch}"),
        ask(Authority.READ, project="{project}", branch=from_body("/source")),
        ask(Authority.READ, project=from_body("/other/project"), branch="{branch}"),
    )
    body = b'{"source": "x", "other": {"project": "q"}}'
    expected = ["approve acme p@main branch", "read acme p@x branch", "read acme q@main branch"]
    assert expected == texts(resolve_one(made, "/p/main:merge", body=body))


def test_public_route_asks_nothing() -> None:
    """There is nothing to decide about a public route."""
    made = make_route("GET", parse_pattern("/healthz"), ())
    assert made.public
    assert resolve_one(made, "/healthz") == ()


def test_primitive_is_passed_on() -> None:
    """The record of a request names the primitive that its route names."""
    (part,) = resolve_one(GLOB, "/p/main:glob", body=b'{"pattern": "a"}')
    assert (part.primitive, part.target.kind) == (Primitive.GLOB, Kind.PATH)


def test_target_of_nothing() -> None:
    """A plan that names neither a section nor a project is a bug of whoever loaded it, never an allow."""
    with pytest.raises(InvariantError):
        resolve_one(route("GET /", ask(org="acme")), "/")
