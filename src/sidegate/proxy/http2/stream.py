"""One stream: a connection of HTTP/1.1 to whoever serves its request, made of frames (RFC 9113 section 5)."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from sidegate.core.model.errors import WireError
from sidegate.core.wire.fields import NO_LENGTH
from sidegate.core.wire.framing import LAST_CHUNK, encode_chunk
from sidegate.core.wire.http2_answer import AnswerReader, grpc_answer
from sidegate.core.wire.http2_frames import Code
from sidegate.core.wire.http2_request import Http2Request
from sidegate.proxy.client import ClientConnection
from sidegate.proxy.forwarding import Peer
from sidegate.proxy.upstream import WRITE_HIGH_WATER

if TYPE_CHECKING:
    from sidegate.proxy.http2.outlet import Outlet
    from sidegate.proxy.http2.speaker import Speaker

LOW_WATER: Final = WRITE_HIGH_WATER // 4
"""Bytes left to be sent at which more are asked for again, as in the event loop's own transports."""


class Stream(asyncio.Transport):
    """What a client's connection is for HTTP/1.1.

    Args:
        speaker: What all connections share.
        outlet: Sends frames of it.
        number: Identifier of the stream.
        client: Reads from it what the client sent, as HTTP/1.1, and writes the answer to it.
        ended: The client has sent its whole request.

    Attributes:
        unsent: Payload that waits for the client's flow control.
        has_ended: The client has sent its whole request.
        is_sent: The client was sent its whole answer.
        is_over: Both sides have ended, or one has given up: no frame belongs to it any more.
    """

    __slots__ = (
        "_answer",
        "_chunked",
        "_client",
        "_expected",
        "_incoming",
        "_is_delivering",
        "_is_ending",
        "_is_full",
        "_is_grpc",
        "_is_lost",
        "_is_paused",
        "_outlet",
        "_owed",
        "_received",
        "_speaker",
        "has_ended",
        "is_over",
        "is_sent",
        "number",
        "unsent",
    )

    def __init__(
        self,
        speaker: "Speaker",
        outlet: "Outlet",
        number: int,
        client: ClientConnection,
        *,
        ended: bool,
    ) -> None:
        super().__init__()
        self._speaker = speaker
        self._outlet = outlet
        self._client = client
        self._answer = AnswerReader(b"")
        self._is_grpc = False
        self._chunked = False
        self._expected = NO_LENGTH
        self._received = 0
        self._incoming: deque[tuple[bytes, int]] = deque()
        self._owed = 0
        self._is_lost = False
        self._is_paused = False
        self._is_delivering = False
        self._is_full = False
        self._is_ending = False
        self.number = number
        self.unsent = bytearray()
        self.has_ended = ended
        self.is_sent = False
        self.is_over = False

    # From the client.

    def join(self, peer: Peer, before: ClientConnection | None) -> None:
        """Let its client begin.

        Args:
            peer: The other end of the connection.
            before: The client of the stream before this one, if there was one.
        """
        self._client.join(self, peer, before)
        self._speaker.gateway.deadlines.watch(self._client)

    def begin(self, request: Http2Request) -> None:
        """Have *request* served."""
        self._answer = AnswerReader(request.method)
        self._chunked = request.chunked
        self._expected = request.length
        self._client.data_received(request.head)

    def refuse(self, error: WireError, *, is_grpc: bool) -> None:
        """Have it refused, unread; in the terms of gRPC if that is what the client speaks."""
        self._is_grpc = is_grpc
        self._client.refuse(error)

    def receive(self, data: bytes, size: int, *, ended: bool) -> bool:
        """Take a piece of the request's body.

        Args:
            data: The piece.
            size: Bytes of flow control that it took.
            ended: It is the last one.

        Returns:
            Whether it is what the request announced. If not, nothing of it was taken.
        """
        self._received += len(data)
        expected = self._expected
        if expected != NO_LENGTH and (self._received > expected or (ended and self._received < expected)):
            self._owed += size
            return False
        self.has_ended = ended
        if self._chunked:
            data = encode_chunk(data) if data else b""
            if ended:
                data += LAST_CHUNK
        self._incoming.append((data, size))
        # The last byte of what was announced waits for the end of the stream, in case that more comes.
        if ended or self._received != expected:
            self._deliver()
        return True

    def lost(self, error: Exception | None) -> None:
        """Tell whoever serves it that the client is gone, once."""
        if self._is_lost:
            return
        self._is_lost = self.is_over = True
        self.unsent.clear()
        self._speaker.gateway.deadlines.forget(self._client)
        self._client.connection_lost(error)

    def take(self, size: int) -> bytes:
        """Hand out at most *size* bytes to be sent now."""
        data = bytes(self.unsent[:size])
        del self.unsent[:size]
        if self._is_full and len(self.unsent) <= LOW_WATER:
            self._is_full = False
            self._speaker.gateway.loop.call_soon(self._resume_writing)
        return data

    @property
    def is_answered(self) -> bool:
        """Whether the answer ends with what is unsent."""
        return self._answer.done

    @property
    def is_left(self) -> bool:
        """Whether whoever served it has nothing more to do with it."""
        return self._is_ending

    @property
    def uncredited(self) -> int:
        """Bytes of flow control that were taken and not given back."""
        return self._owed + sum([size for _, size in self._incoming])

    def going_away(self) -> None:
        """The sidecar is about to end."""
        self._client.going_away()

    def shut_down(self) -> None:
        """The sidecar ends now."""
        self._client.shut_down()

    def _deliver(self) -> None:
        """Pass on what came, until it is too much."""
        if self._is_delivering:
            return
        self._is_delivering = True
        while self._incoming and not self._is_paused and not self.is_over:
            data, size = self._incoming.popleft()
            self._owed += size
            if data:
                self._client.data_received(data)
            if not self._is_paused:
                self._credit()
        self._is_delivering = False

    def _credit(self) -> None:
        owed, self._owed = self._owed, 0
        if not self.is_over:
            self._outlet.credit(self, owed)

    def _resume_reading(self) -> None:
        if not self._is_paused and not self.is_over:
            self._credit()
            self._deliver()

    def _resume_writing(self) -> None:
        if not self.is_over:
            self._client.resume_writing()

    # From whoever serves the request; see asyncio.Transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes of an answer in HTTP/1.1."""
        if self.is_over or self._is_ending:
            return
        try:
            self._write(bytes(data))
        except WireError:
            # What is written here was read strictly before: a bug of ours, and no reason to send what it made.
            self.abort()
            raise

    def _write(self, data: bytes) -> None:
        answer = self._answer
        while not answer.begun:
            found = answer.find_head(data)
            if found is None:
                return
            raw, data = found
            head = self._speaker.gateway.read_response_head(raw)
            answer.begin(head)
            if head.status >= 200 and self._is_grpc:
                self._outlet.send_head(self, grpc_answer(head.status), is_last=True)
                return
            section = self._speaker.answer_head(head)
            self._outlet.send_head(self, section, is_last=answer.done)
        if data:
            self.unsent += answer.feed(data)
        if self.unsent or answer.done:
            self._outlet.send(self)
        self._throttle()

    def _throttle(self) -> None:
        """Have no more written for now, if there is too much."""
        if len(self.unsent) > WRITE_HIGH_WATER and not self._is_full and not self.is_over:
            self._is_full = True
            self._client.pause_writing()

    def write_eof(self) -> None:
        """Nothing more will be written."""
        if self._is_ending or self.is_over:
            return
        self._is_ending = True
        self._answer.end()
        if self._answer.done:
            self._outlet.send(self)
        else:
            # There is no answer, or not all of one.
            self._outlet.reset(self, Code.INTERNAL_ERROR)

    def close(self) -> None:
        """Nothing more will be written, and nothing read."""
        self.write_eof()

    def abort(self) -> None:
        """End it at once: what the client has of the answer is not whole, unless it has all."""
        self._is_ending = True
        if not self.is_over:
            self._outlet.reset(self, Code.INTERNAL_ERROR)

    def pause_reading(self) -> None:
        """Take no more of the request's body for now."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Take it again."""
        if self._is_paused:
            self._is_paused = False
            # Not from here: whoever asks is not ready before it has returned.
            self._speaker.gateway.loop.call_soon(self._resume_reading)

    def is_reading(self) -> bool:
        """Whether more would be taken."""
        return not self._is_paused

    def is_closing(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._is_ending or self.is_over

    def can_write_eof(self) -> bool:
        """Whether one side can end by itself."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait to be sent."""
        return len(self.unsent)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """They are those of all streams."""
