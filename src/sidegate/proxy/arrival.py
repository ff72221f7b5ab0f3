"""How a connection of a client begins: what may come before HTTP, and which HTTP it is then."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from sidegate.core.model.value import value
from sidegate.proxy.pieces import PieceReader

HTTP_1: Final = "http/1.1"
HTTP_2: Final = "h2"
"""Names of protocols in ALPN (RFC 7301 section 6)."""


@value
class Arrival:
    """What is known of a connection before anything is said in HTTP.

    Attributes:
        is_secure: The client speaks TLS, with us or with the proxy in front that says so in the PROXY protocol.
        is_relayed: A proxy in front opened the connection for somebody, and said for whom.
        source: The client's address as that proxy said it; None if it does not know. Of no meaning without one.
    """

    is_secure: bool = False
    is_relayed: bool = False
    source: str | None = None


DIRECT: Final = Arrival()
"""A client that came by itself and speaks no TLS."""


class Guest(Protocol):
    """What has a place among the connections of a worker, whatever it speaks.

    Attributes:
        transport: To its client.
        deadline: Monotonic seconds at which it must have moved.
    """

    transport: asyncio.Transport
    deadline: float

    def deadline_passed(self, now: float) -> None:
        """Give up, or set a later deadline."""

    def going_away(self) -> None:
        """The sidecar is about to end (spec 2.8)."""

    def shut_down(self) -> None:
        """The sidecar ends now."""


ProtocolFactory = Callable[[Arrival], PieceReader]
"""Makes what speaks HTTP on a connection that arrived so. It asks for its place (``Gateway.admit``) when it is made."""


@value
class Protocols:
    """What the data port speaks.

    Attributes:
        http1: Also for whoever negotiates nothing.
        by_alpn: Others over TLS, by their name in ALPN; preferred to HTTP/1.1, the first one most.
        cleartext: Without TLS, where nothing can be negotiated; None for the same as *http1*.
    """

    http1: ProtocolFactory
    by_alpn: Mapping[str, ProtocolFactory]
    cleartext: ProtocolFactory | None = None

    @property
    def offered(self) -> tuple[str, ...]:
        """Names for ALPN, preferred first."""
        return (*self.by_alpn, HTTP_1)

    def negotiated(self, name: str | None) -> ProtocolFactory:
        """Return who speaks the protocol that ALPN settled on; None for nothing."""
        return self.http1 if name is None else self.by_alpn.get(name, self.http1)

    @property
    def plain(self) -> ProtocolFactory:
        """Who speaks where there is no TLS."""
        return self.cleartext or self.http1
