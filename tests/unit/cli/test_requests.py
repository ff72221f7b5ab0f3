"""A request as people write it, taken through the routes."""

from pathlib import Path

import pytest

from sidegate.cli.requests import PUBLIC, RoutedRequest, route_request
from sidegate.config.routes_file import read_routes
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.routing.table import RouteTable

ROUTES = b"""\
- get: /v1/{project}/{path*}
  authority: read
  target: {branch: main}
- get: /loose/{project}/{path*}
  authority: read
  allow_encoded: [slash]
  target: {branch: main}
- get: /query
  authority: read
  target: {project: {from: query, name: p}}
- get: /header
  authority: read
  target: {project: {from: header, name: X-Project}}
- get: /healthz
  public: true
"""


@pytest.fixture(scope="module")
def table() -> RouteTable:
    """Some routes."""
    return read_routes(ROUTES, "routes.yaml").table


def _targets(routed: RoutedRequest) -> list[str]:
    return [f"{ask.authority} {ask.target.org}/{ask.target.text}" for ask in routed.asks]


@pytest.mark.parametrize(
    ("request_target", "headers", "targets"),
    [
        pytest.param("/v1/p1/a/b", {}, ["read acme/p1@main:a/b"], id="path"),
        pytest.param("/v1/p1/a%20b", {}, ["read acme/p1@main:a b"], id="escape"),
        pytest.param("/loose/p1/a%2Fb", {}, ["read acme/p1@main:a/b"], id="allowed-slash"),
        pytest.param("/query?p=p1&q=2", {}, ["read acme/p1"], id="query"),
        pytest.param("/header", {"x-pROJECT": "p1"}, ["read acme/p1"], id="header-in-any-case"),
    ],
)
def test_what_a_request_asks_for(
    table: RouteTable, request_target: str, headers: dict[str, str], targets: list[str]
) -> None:
    """The route's parts are read from path, query and headers."""
    routed = route_request(table, "GET", request_target, "acme", headers=headers)
    assert (_targets(routed), routed.settled) == (targets, None)


def test_a_public_route(table: RouteTable) -> None:
    """Nothing is asked for, and it is allowed."""
    routed = route_request(table, "GET", "/healthz", "acme")
    assert (routed.asks, routed.settled) == ((), PUBLIC)
    assert PUBLIC.reason is Reason.PUBLIC_ROUTE


@pytest.mark.parametrize(
    ("method", "request_target", "reason", "has_route"),
    [
        pytest.param("POST", "/healthz", Reason.UNMAPPED_ROUTE, False, id="other-method"),
        pytest.param("GET", "/v2", Reason.UNMAPPED_ROUTE, False, id="other-path"),
        pytest.param("GET", "", Reason.MALFORMED_REQUEST, False, id="empty"),
        pytest.param("GET", "http://x/v1/p1/a", Reason.MALFORMED_REQUEST, False, id="absolute"),
        pytest.param("GET", "/v1/p1/ä", Reason.MALFORMED_REQUEST, False, id="no-ascii"),
        pytest.param("GET", "/v1/p1/a b", Reason.MALFORMED_REQUEST, False, id="blank"),
        pytest.param("GET", "/v1/p1/a\n", Reason.MALFORMED_REQUEST, False, id="line-feed"),
        pytest.param("GET", "/v1/p1/../p2/a", Reason.AMBIGUOUS_PATH, False, id="dots"),
        pytest.param("GET", "/v1/p1/a%2Fb", Reason.AMBIGUOUS_PATH, True, id="slash-not-allowed"),
        pytest.param("GET", "/v1/p1/a%00", Reason.AMBIGUOUS_PATH, False, id="nul"),
        pytest.param("GET", "/query", Reason.MALFORMED_REQUEST, True, id="query-missing"),
        pytest.param("GET", "/query?p=p1&p=p2", Reason.MALFORMED_REQUEST, True, id="query-twice"),
        pytest.param("GET", "/header", Reason.MALFORMED_REQUEST, True, id="header-missing"),
        pytest.param("GET", "/v1/p*/a", Reason.MALFORMED_REQUEST, True, id="no-name"),
    ],
)
def test_what_is_refused_before_a_decision(
    table: RouteTable, method: str, request_target: str, reason: Reason, *, has_route: bool
) -> None:
    """The reasons are those that the proxy gives; the route is known if it was found before."""
    routed = route_request(table, method, request_target, "acme")
    assert routed.settled is not None
    assert (routed.settled.outcome, routed.settled.reason, routed.asks) == (Outcome.DENY, reason, ())
    assert (routed.route is not None) is has_route
    assert routed.detail


def test_the_routes_of_the_example_are_found() -> None:
    """The example's routes can be asked for what its own requests ask for."""
    file = Path(__file__).parents[3] / "config" / "routes.yaml"
    table = read_routes(file.read_bytes(), str(file)).table
    routed = route_request(table, "GET", "/v1/orgs/acme/projects/p1/branches/main/files/a.json", "acme")
    assert _targets(routed) == ["read acme/p1@main:a.json"]
