"""The data plane of one worker, built from settings."""

import asyncio
import socket
from typing import Final

from sidegate.app.identity import Identity
from sidegate.app.listening import BACKLOG
from sidegate.app.process import Process
from sidegate.config.places import UnixEndpoint, UpstreamUrl
from sidegate.config.settings import Settings
from sidegate.config.settings_model import Completions, CredentialsForwarding, ProblemDetail
from sidegate.core.identity.session import SessionLimits
from sidegate.core.routing.table import RouteTable
from sidegate.core.wire.block import HeaderRules
from sidegate.core.wire.names import NamePolicy
from sidegate.credentials.reverification import Reverifier
from sidegate.proxy.forwarding import Peers
from sidegate.proxy.gateway import Gateway, Limits
from sidegate.proxy.reading import MIN_REVISION, Readings
from sidegate.proxy.refusals import Refusals
from sidegate.proxy.upstream import UpstreamAddress, UpstreamPool
from sidegate.telemetry.log import get_log

_log: Final = get_log("app")

_MILLIS_PER_SECOND: Final = 1000


def build_gateway(process: Process, identity: Identity) -> Gateway:
    """Put the parts of the data plane together, on the running loop."""
    settings, routes = process.blueprint.settings, process.blueprint.routes
    surfaces = {
        surface: SessionLimits(absolute=limits.absolute_ms, idle=limits.idle_ms)
        for surface, limits in settings.sessions.surfaces.items()
    }
    return Gateway(
        loop=asyncio.get_running_loop(),
        clock=process.clock,
        limits=_limits(settings),
        readings=Readings(_header_rules(settings, routes), routes, settings.limits.target_bytes),
        policies=process.policies,
        verifier=identity.verifier,
        reverifier=Reverifier(identity.state, surfaces),
        trail=process.trail,
        pool=UpstreamPool(
            _address(settings.upstream.url),
            limit=settings.upstream.max_connections,
            connect_timeout_s=settings.upstream.connect_timeout_ms / _MILLIS_PER_SECOND,
            tasks=process.tasks,
        ),
        refusals=Refusals(hidden=settings.hide, minimal=settings.problem_detail is ProblemDetail.MINIMAL),
        metrics=process.metrics,
        peers=Peers(settings.trusted_proxies),
        records_completions=settings.audit.completions is Completions.ALL,
    )


class DataPlane:
    """Accepts clients until it is told to stop, then lets them finish.

    Args:
        gateway: What connections share.
        listening: A bound socket.
    """

    def __init__(self, gateway: Gateway, listening: socket.socket) -> None:
        self._gateway = gateway
        self._listening = listening
        self._server: asyncio.Server | None = None

    @property
    def is_accepting(self) -> bool:
        """Whether new connections are taken."""
        return self._server is not None

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._gateway.deadlines.start()
        make = loop.create_unix_server if self._listening.family == socket.AF_UNIX else loop.create_server
        self._server = await make(self._gateway.accept, sock=self._listening, backlog=BACKLOG)
        _log.info("listener_opened", address=_name_of(self._listening))

    async def drain(self, hurried: asyncio.Event, timeout_s: float) -> None:
        """Accept no more, let requests in flight finish, then close what is left (spec 2.8).

        Args:
            hurried: Ends the waiting early.
            timeout_s: Ends the waiting anyway.
        """
        gateway = self._gateway
        if self._server is not None:
            self._server.close()
            self._server = None
        gateway.draining = True
        for client in list(gateway.connections):
            client.close_if_idle()
        if gateway.connections:
            waits = {asyncio.ensure_future(gateway.emptied.wait()), asyncio.ensure_future(hurried.wait())}
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        if gateway.connections:
            _log.warning("connections_cut", connections=len(gateway.connections))
        for client in list(gateway.connections):
            client.transport.abort()
        # The ends of these are told to their exchanges in the loop's next turn.
        await asyncio.sleep(0)
        gateway.deadlines.stop()
        gateway.pool.close()


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        head_bytes=limits.head_bytes,
        target_bytes=limits.target_bytes,
        head_timeout_s=limits.head_timeout_ms / _MILLIS_PER_SECOND,
        idle_timeout_s=limits.idle_timeout_ms / _MILLIS_PER_SECOND,
        response_timeout_s=settings.upstream.response_timeout_ms / _MILLIS_PER_SECOND,
        min_body_rate=limits.min_body_rate,
        connections=limits.connections,
        in_flight=limits.in_flight,
        max_body_bytes=limits.max_body_bytes,
        body_json_bytes=limits.body_json_bytes,
    )


def _header_rules(settings: Settings, routes: RouteTable) -> HeaderRules:
    decisive = frozenset((MIN_REVISION, *(name for route in routes.routes for name in route.needs_headers)))
    return HeaderRules(
        names=NamePolicy(settings.api_keys.header.encode("ascii"), decisive),
        cookie=settings.sessions.cookie.encode("ascii"),
        keep_credentials=settings.forwarding.credentials is CredentialsForwarding.PASS,
        max_fields=settings.limits.headers,
    )


def _address(url: UpstreamUrl) -> UpstreamAddress:
    if isinstance(url.endpoint, UnixEndpoint):
        return UpstreamAddress("", 0, str(url.endpoint.path))
    return UpstreamAddress(url.endpoint.host, url.endpoint.port, None)


def _name_of(listening: socket.socket) -> str:
    name = listening.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"
