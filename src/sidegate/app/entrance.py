"""What a client has to say before it may speak HTTP, and which HTTP it then speaks."""

import asyncio
from collections.abc import Callable
from functools import partial

from sidegate.app.process import Process
from sidegate.config.choices import HttpProtocol, ProxyProtocol
from sidegate.config.held import Settings
from sidegate.proxy.arrival import DIRECT, HTTP_2, ProtocolFactory, Protocols
from sidegate.proxy.gateway import Gateway
from sidegate.proxy.proxy_protocol import Complaints, HeaderAwaiter

Entrance = Callable[[], asyncio.BaseProtocol]
"""Makes the first protocol of a new connection."""


def protocols_of(gateway: Gateway, settings: Settings) -> Protocols:
    """Return what the data port speaks."""
    listen = settings.listen
    wanted = HttpProtocol.H2C if listen.tls is None else HttpProtocol.H2
    if wanted not in listen.protocols:
        return Protocols(http1=gateway.accept, by_alpn={})
    # Imported where HTTP/2 may be spoken only: its engine costs memory.
    from sidegate.proxy.http2.connection import Http2Connection  # noqa: PLC0415 - see above
    from sidegate.proxy.http2.prior_knowledge import PrefaceAwaiter  # noqa: PLC0415 - see above
    from sidegate.proxy.http2.speaker import Speaker  # noqa: PLC0415 - see above

    http1, http2 = gateway.accept, partial(Http2Connection, Speaker(gateway, settings.limits.streams))
    if wanted is HttpProtocol.H2:
        return Protocols(http1=http1, by_alpn={HTTP_2: http2})
    return Protocols(http1=http1, by_alpn={}, cleartext=partial(PrefaceAwaiter, gateway, http1, http2))


def open_entrance(gateway: Gateway, process: Process) -> Entrance:
    """Put together what comes before HTTP. Called on the running loop.

    Raises:
        ConfigError: Certificate or key cannot be used.
    """
    first = _after_tls(protocols_of(gateway, process.blueprint.settings), gateway, process)
    if process.blueprint.settings.listen.proxy_protocol is ProxyProtocol.REQUIRED:
        complaints = Complaints()
        return lambda: HeaderAwaiter(gateway, first, complaints)
    return lambda: first(DIRECT)


def _after_tls(protocols: Protocols, gateway: Gateway, process: Process) -> ProtocolFactory:
    """Return who speaks first where nothing precedes TLS."""
    tls = process.blueprint.settings.listen.tls
    if tls is None:
        return protocols.plain
    # Imported where there is TLS only: to know certificates costs memory.
    from sidegate.app.certificates import listen_files  # noqa: PLC0415 - see above
    from sidegate.app.tls import RenewedContext, make_server_context  # noqa: PLC0415 - see above
    from sidegate.proxy.tls_clients import ClientLink, Handshakes  # noqa: PLC0415 - see above

    make = partial(make_server_context, offered=protocols.offered)
    contexts = RenewedContext(listen_files(tls), make, process.clock, process.metrics)
    contexts.start(process.tasks)
    handshakes = Handshakes()
    return lambda arrival: ClientLink(gateway, contexts, protocols, handshakes, arrival)
