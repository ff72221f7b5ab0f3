"""A WebSocket once it is open: bytes both ways, with back-pressure (spec 2.6)."""

from typing import TYPE_CHECKING

from sidegate.core.trail.record import Ending
from sidegate.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidegate.proxy.client import ClientConnection

_NEVER = float("inf")


class Tunnel:
    """Two connections joined into one.

    Attributes:
        bytes_in: Bytes from the client so far.
        bytes_out: Bytes to the client so far.
    """

    __slots__ = ("_client", "_on_end", "_upstream", "bytes_in", "bytes_out")

    def __init__(
        self, client: "ClientConnection", upstream: UpstreamConnection, first: int, on_end: "Callable[[Ending], None]"
    ) -> None:
        """Join the connections; *first* bytes were carried down already."""
        self._client = client
        self._upstream = upstream
        self._on_end = on_end
        self.bytes_in = 0
        self.bytes_out = first
        client.serving = client.body = self
        client.deadline = _NEVER
        upstream.listener = self
        client.resume()

    def client_data(self, data: bytes) -> None:
        """Carry bytes up."""
        self.bytes_in += len(data)
        self._upstream.transport.write(data)

    def client_full(self) -> None:
        """Stop carrying down."""
        self._upstream.transport.pause_reading()

    def client_drained(self) -> None:
        """Carry down again."""
        if self._upstream.open:
            self._upstream.transport.resume_reading()

    def client_gone(self) -> None:
        """The client ended the tunnel."""
        self._upstream.listener = None
        if self._upstream.open:
            # What was carried up still drains: a close frame among it is the client's last word.
            self._upstream.transport.close()
        self._on_end(Ending.CLIENT_CLOSED)

    def deadline_passed(self, now: float) -> None:
        """Not called: a tunnel has no deadline."""
        del now

    def upstream_data(self, data: bytes) -> None:
        """Carry bytes down."""
        self.bytes_out += len(data)
        self._client.transport.write(data)

    def upstream_full(self) -> None:
        """Stop carrying up."""
        self._client.pause()

    def upstream_drained(self) -> None:
        """Carry up again."""
        self._client.resume()

    def upstream_lost(self, error: Exception | None) -> None:
        """The upstream ended the tunnel."""
        self._client.serving = self._client.body = None
        if error is None:
            self._client.transport.close()
        else:
            self._client.transport.abort()
        self._on_end(Ending.UPSTREAM_CLOSED)
