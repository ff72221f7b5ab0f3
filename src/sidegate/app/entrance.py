"""What a client has to say before it may speak HTTP, and which HTTP it then speaks."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from sidegate.app.process import Process
from sidegate.config.settings_model import ProxyProtocol
from sidegate.proxy.arrival import DIRECT, ProtocolFactory, Protocols
from sidegate.proxy.gateway import Gateway
from sidegate.proxy.proxy_protocol import Complaints, HeaderAwaiter

Entrance = Callable[[], asyncio.BaseProtocol]
"""Makes the first protocol of a new connection."""

# By their names in ALPN, preferred first: over TLS each is offered before HTTP/1.1, and speaks where it is chosen.
_BEYOND_HTTP_1: Final[Mapping[str, Callable[[Gateway], ProtocolFactory]]] = {}


def protocols_of(gateway: Gateway) -> Protocols:
    """Return what the data port speaks."""
    return Protocols(
        http1=gateway.accept,
        by_alpn={name: make(gateway) for name, make in _BEYOND_HTTP_1.items()},
    )


def open_entrance(gateway: Gateway, process: Process) -> Entrance:
    """Put together what comes before HTTP. Called on the running loop.

    Raises:
        ConfigError: Certificate or key cannot be used.
    """
    first = _after_tls(protocols_of(gateway), gateway, process)
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
    from sidegate.proxy.tls_clients import ClientLink  # noqa: PLC0415 - see above

    make = partial(make_server_context, offered=protocols.offered)
    contexts = RenewedContext(listen_files(tls), make, process.clock, process.metrics)
    contexts.start(process.tasks)
    return lambda arrival: ClientLink(gateway, contexts, protocols, arrival)
