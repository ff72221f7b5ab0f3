"""The client's side of the data path: finds heads in the stream and serves one request after the other."""

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final, Protocol, cast

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.wire.block import HeaderBlock
from sidegate.core.wire.fields import has_stray_line_end
from sidegate.proxy.arrival import Arrival
from sidegate.proxy.exchange import Exchange
from sidegate.proxy.forwarding import UNIX_PEER, Origin, Peer, origin_of
from sidegate.proxy.pieces import PieceReader
from sidegate.proxy.reading import STRAY_LINE_END, Request, Unreadable
from sidegate.proxy.upstream import WRITE_HIGH_WATER

if TYPE_CHECKING:
    from sidegate.proxy.gateway import Gateway

LINGER_S: Final = 2.0
"""How long a closing connection is read on (and thrown away), so that the answer is not lost to a reset."""
LINGER_BYTES: Final = 256 * 1024
DRAIN_WINDOW_S: Final = 10.0
"""Over which it is judged whether a client still takes what was written for it (spec 2.8)."""

_RESET: Final = struct.pack("ii", 1, 0)
"""``SO_LINGER`` with no time: closing sends a reset and throws away what was not sent."""

_NEVER: Final = float("inf")
_HEAD_END: Final = b"\r\n\r\n"


class BodySink(Protocol):
    """Takes the bytes that follow a request head."""

    def client_data(self, data: bytes) -> None:
        """Bytes of the body, and maybe of what follows it."""


class Serving(Protocol):
    """What serves the current request."""

    def client_full(self) -> None:
        """The client does not read; send no more for now."""

    def client_drained(self) -> None:
        """Send on."""

    def client_gone(self) -> None:
        """The client's connection is gone."""

    def deadline_passed(self, now: float) -> None:
        """Nothing moved for too long."""

    def going_away(self) -> None:
        """The sidecar is about to end: what has no end of its own comes to one now (spec 2.8)."""

    def shut_down(self) -> None:
        """The sidecar ends now, and so does this."""


class ClientConnection(PieceReader):
    """One connection of a client.

    Bytes are held until a head is whole, and a head is read whole, so that no verdict depends on how it was cut.

    Attributes:
        serving: What serves the current request; None between requests.
        body: Where bytes go while the request's body is read; None holds them back.
        deadline: Monotonic seconds at which the connection must have moved.
    """

    __slots__ = (
        "_arrival",
        "_gateway",
        "_held",
        "_is_complete",
        "_is_full",
        "_lingering",
        "_origin",
        "_paused",
        "_peer",
        "_scanned",
        "_unsent",
        "body",
        "deadline",
        "serving",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, gateway: "Gateway", arrival: Arrival) -> None:
        self._gateway = gateway
        self._arrival = arrival
        self._held = bytearray()
        self._scanned = 0
        self._paused = False
        self._lingering = -1
        self._is_complete = False
        self._is_full = False
        self._unsent = 0
        self.serving: Serving | None = None
        self.body: BodySink | None = None
        self.deadline = _NEVER
        self._peer: Peer = UNIX_PEER
        self._origin: tuple[HeaderBlock | None, Origin] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = transport = cast("asyncio.Transport", transport)
        if not self._gateway.admit(self):
            transport.write(self._gateway.overloaded_answer)
            transport.close()
            return
        name = transport.get_extra_info("peername")
        self._peer = self._gateway.peers.at(name[0] if isinstance(name, tuple) else None, self._arrival)
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.deadline = self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s

    def join(self, transport: asyncio.Transport, peer: Peer, before: "ClientConnection | None") -> None:
        """Serve one stream of a connection that has its place already.

        Args:
            transport: Carries the stream.
            peer: The other end of the connection.
            before: Served another stream of it; None if none did.
        """
        self.transport = transport
        self._peer = peer
        if before is not None:
            self._origin = before._origin  # noqa: SLF001  of the same class
        self.deadline = self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._lingering >= 0:
            self._discard(data)
        elif self.body is not None:
            self.body.client_data(data)
        elif self.serving is not None:
            self.hold(data)
        elif self._held:
            self._held += data
            self._find_head(bytes(self._held))
        else:
            # The bytes of a head that was read before, and nothing behind it: its end need not be looked for.
            known = self._gateway.readings.known(data)
            if known is None:
                self._find_head(data)
            else:
                self._serve(known)

    def eof_received(self) -> bool:
        """See asyncio.Protocol. A client may end its side and still read its answer."""
        self._is_complete = True
        return self.serving is not None and self.body is None

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = True
        if self.serving is not None:
            self.serving.client_full()
        elif self._lingering < 0:
            self._wait_for_draining()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = False
        if self.serving is not None:
            self.serving.client_drained()
        elif self._lingering < 0:
            self._go_on()

    @property
    def is_full(self) -> bool:
        """Whether the client has to read before more is written for it."""
        return self._is_full

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        self._gateway.dismiss(self)
        serving, self.serving, self.body = self.serving, None, None
        if serving is not None:
            serving.client_gone()

    def deadline_passed(self, now: float) -> None:
        """See :class:`sidegate.proxy.deadlines.Watched`."""
        if self.serving is not None:
            self.serving.deadline_passed(now)
        elif self._is_full or self._lingering >= 0:
            self._judge_draining(now)
        elif self._held:
            self.refuse(WireError(408, Reason.REQUEST_TIMEOUT, "the request head did not arrive in time"))
        else:
            # Not a close and nothing more: what the client does not take would keep the connection for ever.
            self._begin_to_linger()
            self.transport.close()

    def end_within(self, seconds: float) -> None:
        """After :meth:`finish`: end after so long at the latest, whatever the client has taken by then."""
        self._unsent = 0
        self.deadline = self._gateway.deadlines.now + seconds

    def going_away(self) -> None:
        """The sidecar is about to end: a connection that serves nothing is closed soon, one that does by its answer."""
        if self.serving is not None:
            self.serving.going_away()
        elif not self._held and not self._is_full and self._lingering < 0:
            self.deadline = min(self.deadline, self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s)

    def shut_down(self) -> None:
        """The sidecar ends now."""
        if self.serving is not None:
            self.serving.shut_down()
        else:
            self.transport.abort()

    def refuse(self, error: WireError) -> None:
        """Refuse what cannot be read."""
        self._held.clear()
        self._serve(Request(Unreadable(error)))

    def hold(self, data: bytes) -> None:
        """Keep bytes that cannot be used yet, and read no more until :meth:`read_on`."""
        self._held += data
        self.pause()

    def take_held(self) -> bytes:
        """Hand out the bytes held back."""
        held = bytes(self._held)
        self._held.clear()
        return held

    def origin(self, block: HeaderBlock | None) -> Origin:
        """Tell where a request with these headers comes from; clients send the same ones again and again."""
        known = self._origin
        if known is not None and known[0] is block:
            return known[1]
        origin = origin_of(self._peer, self._gateway.peers.trusted, block)
        self._origin = (block, origin)
        return origin

    def pause(self) -> None:
        """Stop reading from the client."""
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read from the client again."""
        if self._is_complete and self.body is not None:
            # It ended its side before anybody read its body, and what there was of it was not the whole.
            self.transport.close()
        elif self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def finish(self, *, keep: bool) -> None:
        """End the current request; go on with the next one if *keep*, else close after what was written."""
        self.serving = None
        self.body = None
        if not keep or (self._is_complete and not self._held):
            self._linger()
        elif self._is_full:
            self._wait_for_draining()
        elif self._paused or self._held:
            self._go_on()
        else:
            self.deadline = self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s

    def cut(self) -> None:
        """End the connection at once, and so that a body which ends with it is not taken for a whole one (RFC 9112
        section 8): by a reset where a plain close would look like its end."""
        end = self.transport.get_extra_info("socket")
        if end is not None:
            with contextlib.suppress(OSError):
                twin = socket.socket(fileno=end.fileno())
                try:
                    twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                finally:
                    twin.detach()
        self.transport.abort()

    def _go_on(self) -> None:
        """Wait for the next request, or serve the one that is here already."""
        self.deadline = self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s
        self.resume()
        if self._held:
            # Not from here: a client that pipelines thousands of requests must not nest as many calls.
            self._gateway.loop.call_soon(self._read_held)

    def _read_held(self) -> None:
        idle = self.serving is None and self._lingering < 0 and not self._is_full
        if idle and self._held and not self.transport.is_closing():
            self._scanned = 0
            self._find_head(bytes(self._held))

    def _find_head(self, data: bytes) -> None:
        limit = self._gateway.limits.head_bytes
        end = data.find(_HEAD_END, max(0, self._scanned - 3))
        if end < 0 or end > limit:
            self._wait_for_head(data, limit)
            return
        self._held.clear()
        self._scanned = 0
        rest = data[end + 4 :]
        if rest:
            self._held += rest
        self._serve(self._gateway.readings.read(data[: end + 4]))

    def _serve(self, request: Request) -> None:
        self.serving = exchange = Exchange(self._gateway, self, request)
        exchange.begin()

    def _wait_for_head(self, data: bytes, limit: int) -> None:
        """Keep the beginning of a head, unless it can never become a good one."""
        # Two bytes back: the CR of a line end may have come before its LF.
        if has_stray_line_end(data, max(0, self._scanned - 2), limit):
            self.refuse(WireError(400, Reason.MALFORMED_REQUEST, STRAY_LINE_END))
        elif len(data) > limit:
            detail = f"the request head is longer than {limit} bytes"
            self.refuse(WireError(431, Reason.HEAD_TOO_LARGE, detail))
        elif self._is_complete:
            self.transport.close()
        else:
            if not self._held:
                self._held += data
            if not self._scanned:
                self.deadline = self._gateway.deadlines.now + self._gateway.limits.head_timeout_s
            self._scanned = len(data)

    def _linger(self) -> None:
        """Close so that the client can read its answer: end our side, throw away what still comes, then close."""
        self._held.clear()
        if self.transport.is_closing():
            return
        self._begin_to_linger()
        self.resume()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _wait_for_draining(self) -> None:
        """Take no more requests: what a client does not read would pile up behind what it asked for before."""
        self.pause()
        self._begin_draining()

    def _begin_to_linger(self) -> None:
        self._lingering = 0
        self._begin_draining()
        if not self._unsent:
            self.deadline = self._gateway.deadlines.now + LINGER_S

    def _begin_draining(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = self._gateway.deadlines.now + DRAIN_WINDOW_S

    def _judge_draining(self, now: float) -> None:
        """Give a client that takes its answer more time, and end one that does not."""
        left = self.transport.get_write_buffer_size()
        least = max(1, int(self._gateway.limits.min_body_rate * DRAIN_WINDOW_S))
        if left and self._unsent - left >= least:
            self._begin_draining()
        elif self._unsent and not left and self._lingering >= 0:
            self._unsent = 0
            self.deadline = now + LINGER_S
        else:
            self.deadline = _NEVER
            # A reset would take back what the kernel has still to deliver.
            self.cut() if left else self.transport.abort()

    def _discard(self, data: bytes) -> None:
        self._lingering += len(data)
        if self._lingering > LINGER_BYTES:
            self.transport.abort()
