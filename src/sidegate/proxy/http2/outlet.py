"""What goes to a client of HTTP/2: frames of all streams, in turn, no faster than client and socket take them."""

import asyncio
from collections.abc import Callable
from typing import Final

from sidegate.core.wire.http2_answer import AnswerHead
from sidegate.core.wire.http2_frames import FRAMES_PER_DATA, Code, FrameGate
from sidegate.proxy.http2.engine import Engine
from sidegate.proxy.http2.stream import Stream

DATA_BYTES: Final = 16_384
"""Of one DATA frame: what the other streams wait for at most."""

FLUSH_BYTES: Final = 32 * 1024
"""Frames are collected for one write until there is so much of them, or the turn of the loop is over."""


class Outlet:
    """The sending side of one connection.

    Args:
        engine: Makes the frames.
        gate: Allows the client an answer to each frame of payload.
        loop: Turns.
        over: Told when nothing more belongs to a stream; it is no stream of the connection from then on.

    Attributes:
        transport: To the client, once there is one.
        is_full: The client has to read before more is written.
    """

    __slots__ = ("_blocked", "_engine", "_gate", "_loop", "_over", "_will_flush", "is_full", "transport")

    transport: asyncio.Transport

    def __init__(
        self, engine: Engine, gate: FrameGate, loop: asyncio.AbstractEventLoop, over: Callable[[Stream], None]
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._loop = loop
        self._over = over
        # Streams with payload that flow control or the socket holds back, in the order of their turns.
        self._blocked: dict[int, Stream] = {}
        self._will_flush = False
        self.is_full = False

    def send_head(self, stream: Stream, head: AnswerHead, *, is_last: bool) -> None:
        """Send a head; *is_last* if nothing follows it."""
        self._engine.send_headers(stream.number, head.section, end_stream=is_last)
        stream.is_sent = is_last
        self.flush_soon()

    def send(self, stream: Stream) -> None:
        """Send what *stream* has, now or as soon as the client takes it."""
        self._send_some(stream, len(stream.unsent))
        self._conclude(stream)
        self.flush_soon()

    def go_on(self) -> None:
        """Send on, one frame of each stream in turn: the client takes more."""
        turns = waiting = list(self._blocked.values())
        while waiting and not self.is_full:
            waiting = [stream for stream in waiting if not stream.is_over and self._send_some(stream, DATA_BYTES)]
        for stream in turns:
            self._conclude(stream)
        self.flush_soon()

    def credit(self, stream: Stream, size: int) -> None:
        """Let the client send *size* bytes more."""
        if size:
            self._engine.acknowledge_received_data(size, stream.number)
            self.flush_soon()

    def reset(self, stream: Stream, code: Code) -> None:
        """End *stream* at once, with *code* unless the client has its whole answer."""
        if stream.is_sent:
            code = Code.NO_ERROR
        if not (stream.is_sent and stream.has_ended):
            self._engine.reset_stream(stream.number, code)
        self.drop(stream)

    def drop(self, stream: Stream) -> None:
        """Forget *stream*; what the client sent on it counts no more."""
        self._blocked.pop(stream.number, None)
        stream.is_over = True
        self.credit(stream, stream.uncredited)
        self.flush_soon()
        self._over(stream)

    def write(self, frames: bytes) -> None:
        """Send frames that the engine knows nothing of, behind its own."""
        self.flush()
        self.transport.write(frames)

    def flush_soon(self) -> None:
        """Write what was collected at the end of this turn."""
        if not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what was collected."""
        self._will_flush = False
        frames = self._engine.data_to_send()
        if frames and not self.transport.is_closing():
            self.transport.write(frames)

    def _send_some(self, stream: Stream, most: int) -> bool:
        """Send at most *most* bytes; return whether more could be sent at once."""
        engine, unsent = self._engine, stream.unsent
        sent = 0
        while unsent and sent < most and not self.is_full:
            size = min(DATA_BYTES, engine.local_flow_control_window(stream.number))
            if size <= 0:
                break
            data = stream.take(size)
            sent += len(data)
            stream.is_sent = stream.is_answered and not unsent
            engine.send_data(stream.number, data, end_stream=stream.is_sent)
            self._gate.earn(FRAMES_PER_DATA)
            if sent >= FLUSH_BYTES:
                self.flush()
        if not unsent:
            self._blocked.pop(stream.number, None)
            return False
        # Behind the others that wait.
        self._blocked.pop(stream.number, None)
        self._blocked[stream.number] = stream
        return sent >= most

    def _conclude(self, stream: Stream) -> None:
        """End *stream* in order once its answer is sent and nobody serves it any more."""
        if stream.is_over or stream.unsent or not stream.is_answered:
            return
        if not stream.is_sent:
            stream.is_sent = True
            self._engine.end_stream(stream.number)
        if stream.is_left:
            self.reset(stream, Code.NO_ERROR)
