"""What a client has to say before it may speak HTTP, and which HTTP it then speaks."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from sidegate.proxy.arrival import DIRECT, ProtocolFactory, Protocols
from sidegate.proxy.gateway import Gateway

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


def open_entrance(gateway: Gateway) -> Entrance:
    """Put together what comes before HTTP."""
    plain = protocols_of(gateway).plain
    return lambda: plain(DIRECT)
