"""What every request to the admin port passes: it is for programs and people of this host, never for web pages."""

from collections.abc import Collection
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from aiohttp import HttpVersion10, web
from aiohttp.typedefs import Middleware

from sidegate.control.answers import AdminError, problem_answer
from sidegate.control.route import Handler
from sidegate.telemetry.log import get_log

_log: Final = get_log("control")

_LOCAL: Final = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "sidegate",
}


def host_of(header: str) -> str | None:
    """Return the host of a Host header in lower case, without its port; None if it is not host[:port]."""
    if header.startswith("["):
        host, bracket, port = header[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
        port = port[1:]
    else:
        host, _, port = header.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return None
    return host.lower() or None


def is_address(host: str) -> bool:
    """Whether *host* is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _require_host(request: web.Request, hosts: Collection[str]) -> None:
    """Refuse a name that somebody else's DNS may point here.

    A web page can make a browser send requests to a name of its own that resolves to this host, and read the answers
    (DNS rebinding). It cannot do so with an address: the page would have had to come from that address. No browser
    speaks HTTP/1.0 without a Host; the health checks of balancers do (HAProxy's ``option httpchk GET /readyz``).
    """
    given = request.headers.getall("Host", [])
    if not given and request.version == HttpVersion10:
        return
    host = host_of(given[0]) if len(given) == 1 else None
    if host is None or not (host in _LOCAL or host in hosts or is_address(host)):
        raise AdminError(
            HTTPStatus.MISDIRECTED_REQUEST,
            "the Host of the request is not one of this admin port",
            "ask by address or as localhost, or add the name to the hosts of the admin port",
        )


def _require_same_site(request: web.Request) -> None:
    """Refuse what a web page of another origin sends; there is no CORS here to allow it."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    origins = request.headers.getall("Origin", [])
    own = f"{request.scheme}://{request.headers.get('Host', '')}"
    if site not in {"none", "same-origin"} or any(origin != own for origin in origins):
        raise AdminError(
            HTTPStatus.FORBIDDEN,
            "the request comes from a web page of another origin",
            "the admin port answers programs and people, not pages; use curl or the `sidegate` command",
        )


def _require_json(request: web.Request) -> None:
    """Refuse a body of another type: it is also the only kind that a page cannot send without asking first."""
    is_json = request.content_type == "application/json" and "Content-Encoding" not in request.headers
    if request.method == "POST" and not is_json:
        raise AdminError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "the body is not declared as plain JSON",
            "send Content-Type: application/json and no Content-Encoding",
        )


def _of_aiohttp(error: web.HTTPException, routes: Collection[str]) -> AdminError:
    match error:
        case web.HTTPNotFound():
            return AdminError(
                HTTPStatus.NOT_FOUND, "there is no such route", "these there are", {"routes": sorted(routes)}
            )
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return AdminError(HTTPStatus.METHOD_NOT_ALLOWED, "the route has other methods", f"use {allowed}")
        case _:
            return AdminError(HTTPStatus(error.status), error.reason, "see `GET /` for the routes of this port")


def guard(hosts: Collection[str], routes: Collection[str], relayed: Collection[Handler] = ()) -> Middleware:
    """Return the middleware around every handler.

    Args:
        hosts: Names, in lower case, under which the port may be asked, beside localhost and every address.
        routes: What the page of an unknown route lists.
        relayed: Handlers of requests that others pass on; these bring the headers of whoever sent them.
    """

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if handler not in relayed:
                _require_host(request, hosts)
                _require_same_site(request)
                _require_json(request)
            response = await handler(request)
        except AdminError as error:
            response = problem_answer(error)
        except web.HTTPException as error:
            response = problem_answer(_of_aiohttp(error, routes))
            if isinstance(error, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        except Exception as error:  # noqa: BLE001  the outermost rim of this port: whatever breaks is answered and logged
            _log.error("admin_request_failed", method=request.method, route=request.path, exc_info=error)
            failure = AdminError(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the request could not be answered", "see the log of this process"
            )
            response = problem_answer(failure)
        return response

    return checked


async def protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the protective headers on every answer just before its head goes out, a streamed one's too."""
    response.headers.update(_HEADERS)
