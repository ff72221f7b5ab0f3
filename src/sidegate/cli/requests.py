"""A request as people write it, taken through the routes: what it asks for, or why it is refused before that."""

from collections.abc import Mapping
from typing import Final

from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import value
from sidegate.core.routing.resolve import Ask, resolve
from sidegate.core.routing.route import Route
from sidegate.core.routing.table import RouteTable
from sidegate.core.wire.path import canonical_path, require_encoding_allowed

_FIRST_GRAPHIC: Final = 0x21
_LAST_GRAPHIC: Final = 0x7E
_NO_HEADERS: Final[Mapping[str, str]] = {}

PUBLIC: Final = Decision(Outcome.ALLOW, Reason.PUBLIC_ROUTE, (), Remedy.NONE)


@value
class RoutedRequest:
    """What became of a request before anything is decided.

    Attributes:
        route: The route it matched; None when it could not be read, or none matches.
        asks: What it asks for; empty when *settled* says it all.
        settled: The answer that needs no policy: a public route, or a refusal.
        detail: Why it is refused, in words.
    """

    route: Route | None
    asks: tuple[Ask, ...]
    settled: Decision | None
    detail: str = ""


def route_request(
    routes: RouteTable,
    method: str,
    request_target: str,
    org: str,
    *,
    headers: Mapping[str, str] = _NO_HEADERS,
    body: bytes | None = None,
) -> RoutedRequest:
    """Find what ``method request_target`` asks for when a member of *org* sends it.

    Args:
        routes: The route table.
        method: Upper case, as in the request line.
        request_target: Path and query, as in the request line.
        org: Organization of a target that names none.
        headers: By name in any case; for routes that read one.
        body: For routes that read it.
    """
    path_text, _, query_text = request_target.partition("?")
    route: Route | None = None
    try:
        _require_graphic(request_target)
        path, query = canonical_path(path_text.encode("ascii")), query_text.encode("ascii")
        match = routes.match(method, path.segments, query)
        if match is None:
            return RoutedRequest(None, (), deny(Reason.UNMAPPED_ROUTE), "no route matches")
        route = match.route
        require_encoding_allowed(path, frozenset(route.allow_encoded))
        values = {name.lower().encode(): (text.encode(),) for name, text in headers.items()}
        asks = resolve(match, org, query, lambda name: values.get(name, ()), body)
    except WireError as error:
        return RoutedRequest(route, (), deny(error.reason), error.detail)
    return RoutedRequest(route, asks, None if asks else PUBLIC, "" if asks else "the route is public")


def _require_graphic(request_target: str) -> None:
    if not request_target.startswith("/"):
        raise WireError(
            400, Reason.MALFORMED_REQUEST, "the path does not start with `/`; write it as in a request line"
        )
    if not all(_FIRST_GRAPHIC <= ord(char) <= _LAST_GRAPHIC for char in request_target):
        raise WireError(400, Reason.MALFORMED_REQUEST, "the path holds blanks or no ASCII; percent-encode it")
