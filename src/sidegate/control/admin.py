"""The admin port: an HTTP server of its own on a loopback address (spec 6.6)."""

import socket
from collections.abc import Collection, Sequence
from typing import Final, Protocol, TypedDict

from aiohttp import web

from sidegate.control.answers import MAX_BODY_BYTES, json_answer, text_answer
from sidegate.control.guard import guard, protect
from sidegate.control.negotiation import JSON, TEXT, choose
from sidegate.control.route import Route
from sidegate.telemetry.log import get_log

_log: Final = get_log("control")

_SHUTDOWN_S: Final = 2.0


class ServerOptions(TypedDict):
    """What aiohttp's server is told."""

    keepalive_timeout: float
    auto_decompress: bool
    max_field_size: int
    max_headers: int


SERVER_OPTIONS: Final = ServerOptions(
    keepalive_timeout=30.0,
    auto_decompress=False,  # a body that unpacks to a thousand times its size would be unpacked before anybody looks
    max_field_size=8190,
    max_headers=64,
)


class Part(Protocol):
    """Something that answers a few routes."""

    def routes(self) -> tuple[Route, ...]:
        """Return what to serve."""


class _Index:
    """The list of routes, for who comes without knowing any."""

    __slots__ = ("_routes",)

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    async def index(self, request: web.Request) -> web.Response:
        """List the routes."""
        if choose(request.headers.get("Accept", ""), (TEXT, JSON)) == JSON:
            listed = [{"method": route.method, "path": route.path, "meaning": route.meaning} for route in self._routes]
            return json_answer({"routes": listed})
        width = max(len(str(route)) for route in self._routes)
        lines = [f"{route!s:{width}}  {route.meaning}" for route in self._routes]
        return text_answer("Sidegate, admin port\n\n" + "\n".join(lines) + "\n")


def admin_application(parts: Sequence[Part], hosts: Collection[str] = ()) -> web.Application:
    """Put the routes of all *parts* behind the guard.

    Args:
        parts: What to serve.
        hosts: Names under which the port may be asked, beside localhost and every IP address.
    """
    served = [route for part in parts for route in part.routes()]
    routes = [Route("GET", "/", "this list", _Index(served).index), *served]
    application = web.Application(
        middlewares=[
            guard(
                frozenset(host.lower() for host in hosts),
                [str(route) for route in routes],
                [route.handler for route in routes if route.is_relayed],
            )
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    application.on_response_prepare.append(protect)
    for route in routes:
        if route.method == "GET":
            application.router.add_get(route.path, route.handler)
        else:
            application.router.add_route(route.method, route.path, route.handler)
    return application


class AdminServer:
    """Serves an application on a socket that is bound already.

    Args:
        application: From :func:`admin_application`.
    """

    __slots__ = ("_runner",)

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=_SHUTDOWN_S,
            **SERVER_OPTIONS,
        )

    async def start(self, listening: socket.socket) -> None:
        """Begin to answer on *listening*, TCP or Unix, which is then this server's to close."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        _log.info("admin_opened", address=_name_of(listening))

    async def close(self) -> None:
        """Stop. Requests in progress get two seconds."""
        await self._runner.cleanup()


def _name_of(listening: socket.socket) -> str:
    name = listening.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
