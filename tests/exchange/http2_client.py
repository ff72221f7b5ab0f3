"""A client of HTTP/2 for a data path in memory: an engine of its own, frame by frame, and nothing it does not show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import hpack
from hyperframe.frame import Frame
from tests.exchange.rig import MemoryTransport, Rig

from sidegate.proxy.arrival import DIRECT, Arrival
from sidegate.proxy.http2.connection import Http2Connection
from sidegate.proxy.http2.speaker import Speaker

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 0x1, 0x4, 0x8, 0x1
WIDE = (2**31 - 1 - 65_535).to_bytes(4, "big")

Fields = Sequence[tuple[bytes, bytes]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Return one frame, whatever it says."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(fields: Fields) -> bytes:
    """Encode a field section without any table, so that it means the same wherever it stands."""
    encoded = b""
    for name, value in fields:
        encoded += b"\x10" + _string(name) + _string(value)
    return encoded


def _string(text: bytes) -> bytes:
    return bytes(hpack.hpack.encode_integer(len(text), 7)) + text


def headers(fields: Fields, stream: int = 1, *, end: bool = True) -> bytes:
    """Return a HEADERS frame, cut into as many as it takes."""
    block = literal(fields)
    pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)] or [b""]
    flags = END_STREAM if end else 0
    whole = b""
    for number, piece in enumerate(pieces):
        last = END_HEADERS if number == len(pieces) - 1 else 0
        whole += frame(CONTINUATION if number else HEADERS, last | (0 if number else flags), stream, piece)
    return whole


def data(payload: bytes, stream: int = 1, *, end: bool = True) -> bytes:
    """Return a DATA frame."""
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def setting(identifier: int, value: int) -> bytes:
    """Return one setting."""
    return identifier.to_bytes(2, "big") + value.to_bytes(4, "big")


HELLO = PREFACE + frame(SETTINGS)
"""What a client begins with."""


def request(path: bytes, *more: tuple[bytes, bytes], method: bytes = b"GET", scheme: bytes = b"http") -> Fields:
    """Return the field section of a request."""
    return ((b":method", method), (b":scheme", scheme), (b":authority", b"h"), (b":path", path), *more)


@dataclass
class Answer:
    """What came on one stream.

    Attributes:
        interim: Heads of 1xx.
        fields: Of the final head; None while there is none.
        body: Payload.
        ended: In order.
        reset: Code of RST_STREAM.
    """

    interim: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    fields: list[tuple[bytes, bytes]] | None = None
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """Of the final head."""
        return int(dict(self.fields or [])[b":status"])

    def value(self, name: bytes) -> bytes | None:
        """Return the value of a field."""
        return dict(self.fields or []).get(name)


class Http2Reader:
    """Reads what a server of HTTP/2 sends.

    Attributes:
        answers: By stream.
        frames: Kind, flags, stream and payload of each frame.
        goaway: Last stream, code and words of each GOAWAY frame.
    """

    def __init__(self) -> None:
        self._decoder = hpack.Decoder()
        self._held = b""
        self._block = b""
        self.answers: dict[int, Answer] = {}
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.goaway: list[tuple[int, int, bytes]] = []

    def feed(self, received: bytes) -> None:
        """Read on."""
        self._held += received
        while len(self._held) >= 9:
            _, length = Frame.parse_frame_header(memoryview(self._held[:9]))
            if len(self._held) < 9 + length:
                return
            kind, flags = self._held[3], self._held[4]
            stream = int.from_bytes(self._held[5:9], "big")
            payload = self._held[9 : 9 + length]
            self._held = self._held[9 + length :]
            assert length <= 16_384, "a frame is longer than this client allowed"
            self.frames.append((kind, flags, stream, payload))
            self._take(kind, flags, stream, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == GOAWAY:
            self.goaway.append((int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big"), payload[8:]))
        if kind not in {DATA, HEADERS, CONTINUATION, RST_STREAM}:
            return
        answer = self.answers.setdefault(stream, Answer())
        assert not answer.ended or kind == RST_STREAM, "a frame behind the end of its stream"
        assert answer.reset is None, "a frame behind the reset of its stream"
        if kind == RST_STREAM:
            answer.reset = int.from_bytes(payload, "big")
        elif kind == DATA:
            assert answer.fields is not None, "payload before a head"
            answer.body += payload
            answer.ended = bool(flags & END_STREAM)
        else:
            self._block += payload
            if kind == HEADERS:
                answer.ended = bool(flags & END_STREAM)
            if flags & END_HEADERS:
                fields = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(self._block, raw=True)]
                self._block = b""
                assert answer.fields is None, "two final heads"
                if fields[0][1].startswith(b"1"):
                    answer.interim.append(fields)
                else:
                    answer.fields = fields


class Http2Client:
    """One connection to a data path in memory.

    Attributes:
        transport: Its end at the data path.
        reader: What came.
    """

    def __init__(
        self,
        rig: Rig,
        peer: tuple[str, int] | None = ("192.0.2.1", 50000),
        *,
        arrival: Arrival = DIRECT,
        streams: int = 100,
    ) -> None:
        self._rig = rig
        self._read = 0
        self.connection = Http2Connection(Speaker(rig.gateway, streams), arrival)
        self.transport = MemoryTransport(self.connection, peer)
        self.reader = Http2Reader()

    async def say(self, sent: bytes, cuts: Iterable[int] = ()) -> None:
        """Send bytes, cut at *cuts*, and let everything happen that follows."""
        await self._rig.feed(self.transport, sent, cuts)
        self.look()

    def look(self) -> None:
        """Read what came."""
        received = bytes(self.transport.sent[self._read :])
        self._read += len(received)
        self.reader.feed(received)

    def answer(self, stream: int = 1) -> Answer:
        """Return what came on *stream*."""
        self.look()
        return self.reader.answers.setdefault(stream, Answer())

    @property
    def goaway(self) -> tuple[int, int, bytes] | None:
        """The last GOAWAY frame."""
        self.look()
        return self.reader.goaway[-1] if self.reader.goaway else None
