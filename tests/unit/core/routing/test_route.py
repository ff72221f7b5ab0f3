"""What a route says about itself, so that the data path reads no more of a request than it must."""

import pytest
from tests.unit.core.routing.plans import ask, from_body, from_header, from_query, route

from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.routing.route import METHODS, Route


@pytest.mark.parametrize(
    ("line", "more", "expected"),
    [
        pytest.param("GET /v1/{org}", {}, "GET /v1/{org}", id="method-and-pattern"),
        pytest.param("GET /r", {"query": {"b": "2", "a": "1"}}, "GET /r?a=1&b=2", id="with-query"),
        pytest.param("GET /r", {"route_id": "mine"}, "mine", id="given"),
    ],
)
def test_id(line: str, more: dict[str, object], expected: str) -> None:
    """The id is method, pattern and required query unless one is given."""
    assert expected == route(line, **more).id


FACTS = ("needs_body", "needs_query", "needs_org", "path_only", "line_only")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(route("GET /{org}", ask(org="{org}", section="/")), {"path_only", "line_only"}, id="path"),
        pytest.param(
            route("GET /{project}", ask(project="{project}")),
            {"needs_org", "path_only", "line_only"},
            id="organization-of-the-principal",
        ),
        pytest.param(
            route("GET /", ask(org="o", project=from_query("p"))), {"needs_query", "line_only"}, id="reads-the-query"
        ),
        pytest.param(
            route("GET /", ask(org="o", section="/"), query={"a": "1"}),
            {"needs_query", "line_only"},
            id="requires-a-query-value",
        ),
        pytest.param(route("GET /", ask(org="o", project=from_header("x"))), set(), id="reads-a-header"),
        pytest.param(route("GET /", ask(org="o", project=from_body("/p"))), {"needs_body"}, id="reads-the-body"),
        pytest.param(
            route("GET /", ask(org="o", section="/"), ask(org="o", project=from_body("/p"))),
            {"needs_body"},
            id="second-part-reads-the-body",
        ),
    ],
)
def test_what_is_read(made: Route, expected: set[str]) -> None:
    """The route knows which parts of a request its asks depend on."""
    assert expected == {fact for fact in FACTS if getattr(made, fact)}


def test_headers_that_are_read() -> None:
    """A route that reads the body also reads how the body is declared."""
    assert route("GET /", ask(project=from_header("x-p"))).needs_headers == {b"x-p"}
    body = route("GET /", ask(project=from_body("/p"), branch=from_header("x-b")))
    assert body.needs_headers == {b"x-b", b"content-type", b"content-encoding"}
    assert route("GET /").needs_headers == frozenset()


@pytest.mark.parametrize("primitive", [Primitive.GLOB, Primitive.GREP])
def test_glob_and_grep_reach_the_subtree(primitive: Primitive) -> None:
    """Glob and Grep always ask for the whole subtree, with the authority of the primitive (spec 1.6)."""
    plan = ask(primitive, project="p")
    assert (Authority.READ, primitive, True) == (plan.authority, plan.primitive, plan.target.subtree)


def test_an_authority_or_a_primitive_is_asked() -> None:
    """A route may name either; the primitive brings its authority."""
    assert (ask(Authority.SHARE, project="p").authority, ask(Authority.SHARE).primitive) == (Authority.SHARE, None)
    assert not ask(Primitive.EDIT, project="p").target.subtree
    assert ask(Primitive.EDIT).authority is Authority.WRITE


def test_methods_are_those_ever_forwarded() -> None:
    """CONNECT and TRACE cannot be routed (spec 2.1)."""
    assert len(set(METHODS)) == len(METHODS)
    assert not {"CONNECT", "TRACE"} & set(METHODS)
