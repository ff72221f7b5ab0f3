"""A WebSocket once it is open: bytes both ways, with back-pressure, until somebody ends it (spec 2.6, 2.7)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.value import hot_value
from sidegate.core.trail.record import Ending
from sidegate.core.wire.frames import GOING_AWAY, FrameTracker, close_frame
from sidegate.proxy.deadlines import TICK_S
from sidegate.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from sidegate.proxy.client import ClientConnection
    from sidegate.proxy.gateway import Gateway

OnEnd = Callable[[Ending, Reason | None], None]
"""Told once how a tunnel ended."""

FRAME_S: Final = 3 * TICK_S
"""How long the rest of a frame that has begun may take once the tunnel is being ended; with what it takes to notice a
revocation this stays below the second of spec 2.7."""

PARTING_S: Final = 1.0
"""How long a client may take to read the close frame and to end its side."""

FLUSH_S: Final = 10.0
"""How long an upstream may take to read what the client sent before it left."""

_NEVER = float("inf")


@hot_value
class _Parting:
    """How a tunnel is being ended by us: told to the client as *code* and *text*."""

    ending: Ending
    reason: Reason | None
    code: int
    text: str


class Tunnel:
    """Two connections joined into one.

    Args:
        gateway: The data plane.
        client: One side.
        upstream: The other.
        first: What was carried down with the answer that opened the tunnel.
        on_end: Told how it ended.

    Attributes:
        bytes_in: Bytes from the client so far.
        bytes_out: Bytes to the client so far; a close frame of ours does not count.
    """

    __slots__ = ("_client", "_frames", "_gateway", "_on_end", "_parting", "_upstream", "bytes_in", "bytes_out")

    def __init__(
        self,
        gateway: "Gateway",
        client: "ClientConnection",
        upstream: UpstreamConnection,
        first: bytes,
        on_end: OnEnd,
    ) -> None:
        self._gateway = gateway
        self._client = client
        self._upstream = upstream
        self._on_end = on_end
        self._frames = FrameTracker()
        self._frames.feed(first)
        self._parting: _Parting | None = None
        self.bytes_in = 0
        self.bytes_out = len(first)
        client.serving = client.body = self
        client.deadline = _NEVER
        upstream.listener = self
        client.resume()
        if client.is_full:
            self.client_full()

    # From the client.

    def client_data(self, data: bytes) -> None:
        """Carry bytes up; none any more once the tunnel is being ended."""
        if self._parting is None:
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
        upstream = self._upstream
        upstream.listener = None
        if self._parting is not None:
            upstream.discard()
        elif upstream.open:
            # What was carried up still drains: a close frame among it is the client's last word.
            upstream.transport.close()
            self._gateway.loop.call_later(FLUSH_S, upstream.discard)
        self._tell(Ending.CLIENT_CLOSED)

    def deadline_passed(self, now: float) -> None:
        """The frame that was to end before the tunnel does has not ended in time."""
        del now
        self._break()

    # From the upstream.

    def upstream_data(self, data: bytes) -> None:
        """Carry bytes down."""
        if self._parting is not None:
            data = data[: self._frames.feed_to_boundary(data)]
        else:
            self._frames.feed(data)
        self.bytes_out += len(data)
        self._client.transport.write(data)
        if self._parting is not None and self._frames.at_boundary:
            self._part(self._parting)

    def upstream_full(self) -> None:
        """Stop carrying up."""
        self._client.pause()

    def upstream_drained(self) -> None:
        """Carry up again."""
        self._client.resume()

    def upstream_lost(self, error: Exception | None) -> None:
        """The upstream ended the tunnel."""
        if self._parting is not None:
            self._break()
            return
        if error is None:
            self._client.finish(keep=False)
        else:
            self._client.serving = self._client.body = None
            self._client.cut()
        self._tell(Ending.UPSTREAM_CLOSED)

    # From within.

    def end(self, ending: Ending, reason: Reason | None, code: int, text: str) -> None:
        """End the tunnel: nothing goes up any more, and nothing comes down but the rest of a frame that has begun.

        Args:
            ending: As it is recorded.
            reason: As it is recorded.
            code: Of the close frame that the client gets (RFC 6455 section 7.4).
            text: Its reason, at most 123 bytes.
        """
        if self._parting is not None:
            return
        self._parting = _Parting(ending, reason, code, text)
        if self._frames.at_boundary:
            self._part(self._parting)
        elif self._frames.is_lost:
            self._break()
        else:
            self._client.deadline = self._gateway.deadlines.now + FRAME_S
            self._client.resume()

    def going_away(self) -> None:
        """The sidecar is about to end, and a tunnel does not end by itself (spec 2.8)."""
        self.end(Ending.SHUTDOWN, None, GOING_AWAY, "going away")

    def shut_down(self) -> None:
        """The sidecar ends now."""
        self.end(Ending.SHUTDOWN, None, GOING_AWAY, "going away")
        if self._client.serving is self:
            self._break()

    def _part(self, parting: _Parting) -> None:
        """Say goodbye between two frames."""
        self._upstream.discard()
        if not self._frames.is_closed:
            self._client.transport.write(close_frame(parting.code, parting.text))
        self._client.finish(keep=False)
        self._client.end_within(PARTING_S)
        self._tell(parting.ending)

    def _break(self) -> None:
        """End both connections within a frame: the client must not take what it has for a whole message."""
        self._upstream.discard()
        self._client.serving = self._client.body = None
        self._client.cut()
        self._tell(Ending.SHUTDOWN)

    def _tell(self, ending: Ending) -> None:
        parting = self._parting
        if parting is None:
            self._on_end(ending, None)
        else:
            self._on_end(parting.ending, parting.reason)
