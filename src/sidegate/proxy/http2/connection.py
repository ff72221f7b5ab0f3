"""One connection of a client that speaks HTTP/2 (RFC 9113)."""

import asyncio
from typing import Final, cast

from h2.events import DataReceived, RemoteSettingsChanged, RequestReceived, StreamReset, TrailersReceived, WindowUpdated
from h2.exceptions import H2Error

from sidegate.core.model.errors import WireError
from sidegate.core.wire.http2_frames import (
    FRAME_HEAD,
    Allowance,
    Code,
    FrameGate,
    Http2Fault,
    Kind,
    frame,
    goaway,
    window_update,
)
from sidegate.core.wire.http2_request import EITHER, HTTP, HTTPS, require_trailers, speaks_grpc
from sidegate.proxy.arrival import Arrival
from sidegate.proxy.client import DRAIN_WINDOW_S, LINGER_BYTES, LINGER_S, ClientConnection
from sidegate.proxy.forwarding import UNIX_PEER, Peer
from sidegate.proxy.http2.engine import Engine
from sidegate.proxy.http2.outlet import Outlet
from sidegate.proxy.http2.speaker import Speaker
from sidegate.proxy.http2.stream import Stream
from sidegate.proxy.pieces import PieceReader
from sidegate.proxy.upstream import WRITE_HIGH_WATER

FRAMES_AT_A_TIME: Final = 16
"""Frames looked at in one turn of the loop. A request costs some 200 microseconds; others have their turn between."""

RESETS: Final = 200
RESETS_PER_SECOND: Final = 20
"""Streams that a client may give up, or make us give up: so many at once, so many per second after that, and one for
each that is answered (CVE-2023-44487, CVE-2025-8671)."""

MAX_ABANDONED: Final = 128
"""Streams that are remembered because more of their payload may be on its way."""

HIGHEST_STREAM: Final = 2**31 - 1
_NEVER: Final = float("inf")

REFUSED: Final = frame(Kind.SETTINGS, 0, 0, b"") + goaway(0, Code.ENHANCE_YOUR_CALM, "too many connections; retry")
"""What a connection beyond the limit is told."""


class Http2Connection(PieceReader):
    """One connection, and its streams.

    Args:
        speaker: What it shares with others.
        arrival: How it came.

    Attributes:
        transport: To the client.
        deadline: Monotonic seconds at which it must have moved. Streams have deadlines of their own.
    """

    __slots__ = (
        "_abandoned",
        "_arrival",
        "_before",
        "_engine",
        "_farewell",
        "_gate",
        "_gateway",
        "_head_deadline",
        "_idle_deadline",
        "_is_complete",
        "_is_paused",
        "_is_reading",
        "_last",
        "_lingering",
        "_outlet",
        "_peer",
        "_resets",
        "_schemes",
        "_speaker",
        "_streams",
        "_unsent",
        "deadline",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, speaker: Speaker, arrival: Arrival) -> None:
        gateway = speaker.gateway
        now = gateway.deadlines.now
        self._speaker = speaker
        self._gateway = gateway
        self._arrival = arrival
        self._peer: Peer = UNIX_PEER
        self._schemes: tuple[bytes, ...] = HTTPS if arrival.is_secure else HTTP
        self._gate = FrameGate(2 * gateway.limits.head_bytes, now)
        self._engine = Engine(speaker.sections, speaker.streams, gateway.limits.head_bytes)
        self._outlet = Outlet(self._engine, self._gate, gateway.loop, self._over)
        self._resets = Allowance(RESETS, RESETS_PER_SECOND, now)
        self._streams: dict[int, Stream] = {}
        # Streams that ended with more of their payload maybe on its way, in order.
        self._abandoned: dict[int, None] = {}
        self._before: ClientConnection | None = None
        self._last = 0
        self._head_deadline = self._idle_deadline = self._farewell = _NEVER
        self._is_paused = False
        self._is_reading = False
        self._is_complete = False
        self._lingering = -1
        self._unsent = 0
        self.deadline = _NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = self._outlet.transport = transport = cast("asyncio.Transport", transport)
        gateway = self._gateway
        if not gateway.admit(self):
            self._lingering = 0
            transport.write(REFUSED)
            transport.close()
            return
        name = transport.get_extra_info("peername")
        self._peer = gateway.peers.at(name[0] if isinstance(name, tuple) else None, self._arrival)
        if self._peer.is_trusted:
            self._schemes = EITHER
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._head_deadline = gateway.deadlines.now + gateway.limits.head_timeout_s
        self._idle_deadline = gateway.deadlines.now + gateway.limits.idle_timeout_s
        self._wait()
        self._outlet.flush_soon()

    # Reading.

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._lingering >= 0:
            self._discard(data)
            return
        try:
            self._gate.feed(data)
        except Http2Fault as fault:
            self._fail(fault.code, fault.detail)
            return
        if not self._is_reading:
            self._read()

    def _read(self) -> None:
        """Look at some frames, and at the others after everybody else had a turn."""
        self._is_reading = False
        if self._lingering >= 0 or self.transport.is_closing():
            return
        now = self._gateway.deadlines.now
        try:
            for _ in range(FRAMES_AT_A_TIME):
                whole = self._gate.next(now)
                if whole is None:
                    break
                self._take(whole)
                if self._lingering >= 0:
                    return
            else:
                self._is_reading = True
                self._gateway.loop.call_soon(self._read)
        except Http2Fault as fault:
            self._fail(fault.code, fault.detail)
            return
        self._throttle()
        self._wait()
        self._outlet.flush_soon()
        if self._gate.leaving or self._is_complete:
            self._part()

    def _take(self, whole: bytes) -> None:
        """Let the engine make something of one frame."""
        if whole[3] == Kind.DATA and self._abandoned and self._drop_late(whole):
            return
        try:
            events = self._engine.receive_data(whole)
        except H2Error:
            # It has written a GOAWAY frame of its own.
            self._give_up(b"")
            return
        if not events and whole[3] == Kind.DATA:
            # Behind the end of its stream, and answered so by the engine; once is enough.
            self._abandon(int.from_bytes(whole[5:FRAME_HEAD], "big"))
            self._count_reset()
        for event in events:
            match event:
                case RequestReceived():
                    self._open(event.stream_id, ended=event.stream_ended is not None)
                case DataReceived():
                    ended = event.stream_ended is not None
                    self._receive(event.stream_id, event.data or b"", event.flow_controlled_length or 0, ended=ended)
                case TrailersReceived():
                    self._take_trailers(event.stream_id)
                case StreamReset():
                    self._forget(event.stream_id)
                case WindowUpdated():
                    self._open_window(event.stream_id or 0)
                case RemoteSettingsChanged():
                    self._outlet.go_on()
                case _:
                    pass  # answered by the engine, or nothing to us: priorities, acknowledgements, extensions

    def _drop_late(self, whole: bytes) -> bool:
        """Drop payload that was on its way when we gave its stream up; the engine would answer each frame of it."""
        number = int.from_bytes(whole[5:FRAME_HEAD], "big")
        if number not in self._abandoned:
            return False
        self._gate.spend(self._gateway.deadlines.now)
        if len(whole) > FRAME_HEAD:
            self._outlet.write(window_update(0, len(whole) - FRAME_HEAD))
        return True

    def _open(self, number: int, *, ended: bool) -> None:
        """Begin to serve a request."""
        section = self._engine.decoder.section
        if len(self._streams) >= self._speaker.streams or self._farewell == 0.0:
            self._engine.reset_stream(number, Code.REFUSED_STREAM)
            self._count_reset()
            return
        self._last = number
        client = ClientConnection(self._gateway, self._arrival)
        stream = Stream(self._speaker, self._outlet, number, client, ended=ended)
        self._streams[number] = stream
        stream.join(self._peer, self._before)
        self._before = client
        try:
            request = self._speaker.read_request(section, self._schemes, ended=ended)
        except WireError as error:
            stream.refuse(error, is_grpc=speaks_grpc(section))
        else:
            stream.begin(request)

    def _open_window(self, number: int) -> None:
        """The client takes more, of one stream or of all."""
        if not number:
            self._outlet.go_on()
        elif (stream := self._streams.get(number)) is not None:
            self._outlet.send(stream)

    def _receive(self, number: int, data: bytes, size: int, *, ended: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            self._engine.acknowledge_received_data(size, number)
        elif not stream.receive(data, size, ended=ended):
            self._outlet.reset(stream, Code.PROTOCOL_ERROR)
            self._count_reset()

    def _take_trailers(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        try:
            require_trailers(self._engine.decoder.section)
        except WireError:
            self._outlet.reset(stream, Code.PROTOCOL_ERROR)
            self._count_reset()
        else:
            self._receive(number, b"", 0, ended=True)

    def _forget(self, number: int) -> None:
        """The client gave a stream up, or the engine did for what the client sent on it."""
        stream = self._streams.get(number)
        if stream is not None:
            self._outlet.drop(stream)
            # At once: what waits for its record is then not forwarded.
            stream.lost(None)
        self._abandon(number)
        self._count_reset()

    def _abandon(self, number: int) -> None:
        self._abandoned[number] = None
        if len(self._abandoned) > MAX_ABANDONED:
            del self._abandoned[next(iter(self._abandoned))]

    def _count_reset(self) -> None:
        if not self._resets.spend(1, self._gateway.deadlines.now):
            raise Http2Fault(Code.ENHANCE_YOUR_CALM, "too many streams that were given up")

    # From streams.

    def _over(self, stream: Stream) -> None:
        """Nothing more belongs to *stream*."""
        if self._streams.pop(stream.number, None) is None:
            return
        if stream.is_sent:
            self._resets.earn(1)
        if not stream.has_ended:
            self._abandon(stream.number)
        self._gateway.loop.call_soon(stream.lost, None)
        if not self._streams:
            self._idle_deadline = self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s
            self._wait()
            if self._gate.leaving or self._is_complete or self._farewell == 0.0:
                self._gateway.loop.call_soon(self._part)

    # Writing.

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._outlet.is_full = True
        self._begin_draining()
        self._throttle()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._outlet.is_full = False
        if self._lingering < 0:
            self._outlet.go_on()
            self._throttle()
            self._wait()

    def _throttle(self) -> None:
        """Read no more while there is something left to look at, or the client does not read its answers."""
        wanted = self._lingering >= 0 or not (self._is_reading or self._outlet.is_full)
        if wanted is not self._is_paused or self.transport.is_closing():
            return
        self._is_paused = not wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    # Time.

    def _wait(self) -> None:
        """Set the deadline for what is waited for now."""
        if self._lingering >= 0 or self._outlet.is_full:
            return  # set when that began
        if self._gate.opened and not self._gate.in_section:
            self._head_deadline = _NEVER
        elif self._head_deadline == _NEVER:
            self._head_deadline = self._gateway.deadlines.now + self._gateway.limits.head_timeout_s
        idle = _NEVER if self._streams or not self._gate.opened else self._idle_deadline
        self.deadline = min(self._head_deadline, idle, self._farewell or _NEVER)

    def deadline_passed(self, now: float) -> None:
        """See :class:`sidegate.proxy.deadlines.Watched`."""
        if self._lingering >= 0 or self._outlet.is_full:
            self._judge_draining(now)
        elif self._head_deadline <= now:
            self._fail(Code.ENHANCE_YOUR_CALM, "the head of a request, or the preface, did not arrive in time")
        elif self._farewell <= now:
            self._say_farewell()
        else:
            self._give_up(goaway(self._last, Code.NO_ERROR))

    def going_away(self) -> None:
        """The sidecar is about to end: nothing new after a moment in which what is on its way may still arrive."""
        if self._lingering >= 0 or self._farewell != _NEVER:
            return
        self._outlet.write(goaway(HIGHEST_STREAM, Code.NO_ERROR, "going away"))
        self._farewell = self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s
        self._wait()
        for stream in list(self._streams.values()):
            stream.going_away()

    def _say_farewell(self) -> None:
        """Serve what is here, and nothing that comes from now on (RFC 9113 section 6.8)."""
        self._farewell = 0.0
        if self._streams:
            self._outlet.write(goaway(self._last, Code.NO_ERROR))
            self._wait()
        else:
            self._part()

    def shut_down(self) -> None:
        """The sidecar ends now."""
        for stream in list(self._streams.values()):
            stream.shut_down()
        self.transport.abort()

    # Ending.

    def eof_received(self) -> bool:
        """See asyncio.Protocol. A client may end its side and still read its answers."""
        self._is_complete = True
        return bool(self._streams) and self._lingering < 0

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._lingering = 0
        self._gateway.dismiss(self)
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.lost(exc)

    def _part(self) -> None:
        """End in order, if nothing is being served."""
        if self._streams or self._lingering >= 0 or self._is_reading:
            return
        if self._gate.leaving or self._is_complete:
            # Nothing more comes that would have to be thrown away, and the client waits for the end.
            self._lingering = 0
            self._outlet.write(goaway(self._last, Code.NO_ERROR))
            self.transport.close()
            self._begin_draining()
        else:
            self._give_up(goaway(self._last, Code.NO_ERROR))

    def _fail(self, code: Code, detail: str) -> None:
        """End because of what the client did."""
        self._give_up(goaway(self._last, code, detail))

    def _give_up(self, last_words: bytes) -> None:
        """Say *last_words*, end every stream, and close so that the client can read them."""
        self._lingering = 0
        self._outlet.write(last_words)
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.lost(None)
        if self.transport.is_closing():
            return
        self._begin_draining()
        if not self._unsent:
            self.deadline = self._gateway.deadlines.now + LINGER_S
        self._throttle()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _discard(self, data: bytes) -> None:
        self._lingering += len(data)
        if self._lingering > LINGER_BYTES:
            self.transport.abort()

    def _begin_draining(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = self._gateway.deadlines.now + DRAIN_WINDOW_S

    def _judge_draining(self, now: float) -> None:
        """Give a client that takes what was written more time, and end one that does not."""
        left = self.transport.get_write_buffer_size()
        least = max(1, int(self._gateway.limits.min_body_rate * DRAIN_WINDOW_S))
        if left and self._unsent - left >= least:
            self._begin_draining()
        elif self._unsent and not left and self._lingering >= 0:
            self._unsent = 0
            self.deadline = now + LINGER_S
        else:
            self.deadline = _NEVER
            self.transport.abort()
