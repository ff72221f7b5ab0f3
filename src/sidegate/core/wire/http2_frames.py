"""Frames of an HTTP/2 connection, cut out of its bytes and counted before anything is made of them (RFC 9113, 4).

A frame of nine bytes can cost its reader a thousand times what it costs to send. What carries nothing is paid for out
of an allowance that time, and frames that carry something, fill up again.
"""

from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD: Final = 9
MAX_FRAME_BYTES: Final = 16_384
"""Of a payload, the least that may be announced (RFC 9113 section 6.5.2), and what is."""

MAX_CONTINUATIONS: Final = 16
"""CONTINUATION frames of one field section. Whole heads fit into three (CVE-2024-27316)."""
MAX_SETTINGS: Final = 32
"""Settings in one frame; seven have a meaning."""

IDLE_FRAMES: Final = 200
IDLE_FRAMES_PER_SECOND: Final = 50
"""Frames that carry nothing: so many at once, and so many per second after that."""
SMALL_DATA: Final = 64
"""Bytes. A DATA frame below, other than the last of its stream, carries next to nothing."""
FRAMES_PER_DATA: Final = 4
"""Control frames that a DATA frame of either side may cause: window updates for stream and connection, probes."""
FRAMES_PER_REQUEST: Final = 4

_DATA_HEAD_FLAGS: Final = 0xFE  # all but END_STREAM
_SETTING_BYTES: Final = 6


class Kind(IntEnum):
    """Frame types (RFC 9113 section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Code(IntEnum):
    """Error codes that are sent (RFC 9113 section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    ENHANCE_YOUR_CALM = 0xB


END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8

# Identifiers of settings that mean something to a server (RFC 9113 section 6.5.2, RFC 8441 section 3).
_KNOWN_SETTINGS: Final = frozenset({1, 2, 3, 4, 5, 6, 8})


class Http2Fault(Exception):  # noqa: N818  the word of RFC 9113 for a misbehaving peer would be "error", as for frames
    """The connection cannot go on.

    Attributes:
        code: For the GOAWAY frame.
        detail: One sentence for it.
    """

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Allowance:
    """So much at once, and so much per second.

    Args:
        most: What may be spent at once.
        per_second: What time gives back.
        now: Monotonic seconds.
    """

    __slots__ = ("_left", "_most", "_per_second", "_then")

    def __init__(self, most: int, per_second: int, now: float) -> None:
        self._most = most
        self._per_second = per_second
        self._left = float(most)
        self._then = now

    def earn(self, amount: int) -> None:
        """Give something back, up to the most."""
        self._left = min(self._most, self._left + amount)

    def spend(self, amount: int, now: float) -> bool:
        """Take *amount*; False if there is not so much left."""
        if self._left < amount:
            self._left = min(self._most, self._left + (now - self._then) * self._per_second)
            self._then = now
        self._left -= amount
        return self._left >= 0


def frame(kind: Kind, flags: int, stream: int, payload: bytes) -> bytes:
    """Write one frame."""
    return b"%b%c%c%b%b" % (len(payload).to_bytes(3, "big"), kind, flags, stream.to_bytes(4, "big"), payload)


def window_update(stream: int, size: int) -> bytes:
    """Write a WINDOW_UPDATE frame."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def goaway(last: int, code: Code, detail: str = "") -> bytes:
    """Write a GOAWAY frame: no stream beyond *last* will be served."""
    payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + detail.encode("ascii")
    return frame(Kind.GOAWAY, 0, 0, payload)


class FrameGate:
    """Lets whole frames through, one at a time.

    DATA frames pass in the pieces in which they come, so that none is held; a GOAWAY of the client and settings that
    mean nothing do not pass.

    Args:
        max_head_bytes: Of an encoded field section.
        now: Monotonic seconds.

    Attributes:
        leaving: The client said that it is about to end the connection.
        opened: The preface and the client's settings were there.
    """

    __slots__ = (
        "_allowance",
        "_continuations",
        "_data_flags",
        "_data_left",
        "_data_stream",
        "_held",
        "_max_head_bytes",
        "_preface_left",
        "_section_bytes",
        "_section_stream",
        "leaving",
        "opened",
    )

    def __init__(self, max_head_bytes: int, now: float) -> None:
        self._held = bytearray()
        self._max_head_bytes = max_head_bytes
        self._preface_left = PREFACE
        self._allowance = Allowance(IDLE_FRAMES, IDLE_FRAMES_PER_SECOND, now)
        self._data_left = 0
        self._data_flags = 0
        self._data_stream = b""
        self._section_stream = b""
        self._section_bytes = 0
        self._continuations = 0
        self.leaving = False
        self.opened = False

    @property
    def in_section(self) -> bool:
        """Whether a field section has begun and is not whole."""
        if self._section_stream or self._data_left:
            return bool(self._section_stream)
        return len(self._held) > 3 and self._held[3] == Kind.HEADERS

    def earn(self, frames: int) -> None:
        """Allow *frames* more that carry nothing: something was carried."""
        self._allowance.earn(frames)

    def spend(self, now: float) -> None:
        """Count a frame that turned out to carry nothing.

        Raises:
            Http2Fault: There were too many.
        """
        self._spend(1, now)

    def feed(self, data: bytes) -> None:
        """Take bytes of the client.

        Raises:
            Http2Fault: They are not the preface of HTTP/2.
        """
        self._held += data
        if self._preface_left:
            size = min(len(self._preface_left), len(self._held))
            if self._held[:size] != self._preface_left[:size]:
                raise Http2Fault(Code.PROTOCOL_ERROR, "the connection does not begin with the preface of HTTP/2")
            self._preface_left = self._preface_left[size:]
            del self._held[:size]

    def next(self, now: float) -> bytes | None:
        """Return the next frame; None until more bytes come.

        Raises:
            Http2Fault: The frame, or the number of such frames, is not acceptable.
        """
        while True:
            if self._data_left:
                return self._next_of_data()
            held = self._held
            if len(held) < FRAME_HEAD:
                return None
            length, kind, flags = int.from_bytes(held[:3], "big"), held[3], held[4]
            self._require_order(length, kind, flags)
            if kind == Kind.DATA and not flags & PADDED and length > len(held) - FRAME_HEAD:
                self._count_data(length, flags, now)
                self._data_left, self._data_flags, self._data_stream = length, flags, bytes(held[5:9])
                del held[:FRAME_HEAD]
                continue
            size = FRAME_HEAD + length
            if len(held) < size:
                return None
            whole = bytes(held[:size])
            del held[:size]
            self._count(whole, now)
            if kind == Kind.SETTINGS:
                whole = self._without_unknown(whole, flags)
            elif kind == Kind.GOAWAY:
                self._leave(whole)
                continue
            return whole

    def _next_of_data(self) -> bytes | None:
        """Make a frame of what is there of one that is not."""
        if not self._held:
            return None
        payload = bytes(self._held[: self._data_left])
        del self._held[: len(payload)]
        self._data_left -= len(payload)
        flags = self._data_flags & _DATA_HEAD_FLAGS if self._data_left else self._data_flags
        return b"%b%c%c%b%b" % (len(payload).to_bytes(3, "big"), Kind.DATA, flags, self._data_stream, payload)

    def _require_order(self, length: int, kind: int, flags: int) -> None:
        if length > MAX_FRAME_BYTES:
            raise Http2Fault(Code.FRAME_SIZE_ERROR, f"a frame is longer than {MAX_FRAME_BYTES} bytes")
        if not self.opened and (kind != Kind.SETTINGS or flags & ACK):
            raise Http2Fault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if self._section_stream and (kind != Kind.CONTINUATION or bytes(self._held[5:9]) != self._section_stream):
            raise Http2Fault(Code.PROTOCOL_ERROR, "a field section is not followed by its continuation")

    def _count(self, whole: bytes, now: float) -> None:
        self.opened = True
        kind, flags, length = whole[3], whole[4], len(whole) - FRAME_HEAD
        if kind == Kind.DATA:
            self._count_data(length, flags, now)
            return
        if kind in {Kind.HEADERS, Kind.CONTINUATION}:
            self._count_section(kind, length)
            self._section_stream = b"" if flags & END_HEADERS else whole[5:FRAME_HEAD]
            if kind == Kind.HEADERS:
                self._allowance.earn(FRAMES_PER_REQUEST)
                return
        elif kind == Kind.SETTINGS and length > MAX_SETTINGS * _SETTING_BYTES:
            raise Http2Fault(Code.ENHANCE_YOUR_CALM, f"more than {MAX_SETTINGS} settings in one frame")
        self._spend(1, now)

    def _count_data(self, length: int, flags: int, now: float) -> None:
        if length >= SMALL_DATA:
            self._allowance.earn(FRAMES_PER_DATA)
        elif not flags & END_STREAM:
            self._spend(1, now)

    def _count_section(self, kind: int, length: int) -> None:
        if kind == Kind.HEADERS:
            self._section_bytes = self._continuations = 0
        else:
            self._continuations += 1
        self._section_bytes += length
        if self._section_bytes > self._max_head_bytes or self._continuations > MAX_CONTINUATIONS:
            raise Http2Fault(Code.ENHANCE_YOUR_CALM, "a field section is too long or cut into too many frames")

    def _spend(self, frames: int, now: float) -> None:
        if not self._allowance.spend(frames, now):
            raise Http2Fault(Code.ENHANCE_YOUR_CALM, "too many frames that carry nothing")

    def _without_unknown(self, whole: bytes, flags: int) -> bytes:
        """Leave out settings that mean nothing: whoever kept them would keep 65,536 of them (RFC 9113 6.5.2)."""
        payload = whole[FRAME_HEAD:]
        if flags & ACK and payload:
            raise Http2Fault(Code.FRAME_SIZE_ERROR, "settings are acknowledged with a payload")
        if flags & ACK or len(payload) % _SETTING_BYTES:
            return whole  # for the engine to judge
        settings = [payload[at : at + _SETTING_BYTES] for at in range(0, len(payload), _SETTING_BYTES)]
        known = b"".join(one for one in settings if int.from_bytes(one[:2], "big") in _KNOWN_SETTINGS)
        return len(known).to_bytes(3, "big") + whole[3:FRAME_HEAD] + known

    def _leave(self, whole: bytes) -> None:
        if whole[5:FRAME_HEAD] != bytes(4) or len(whole) < FRAME_HEAD + 8:
            raise Http2Fault(Code.PROTOCOL_ERROR, "a GOAWAY frame is too short or names a stream")
        self.leaving = True
