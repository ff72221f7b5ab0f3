"""Where WebSocket frames end in a stream of bytes (RFC 6455 section 5.2, spec 2.7).

A close frame of ours may stand between two frames of the upstream, also between two fragments of a message, but never
within a frame: there the client would take it for payload. So the bytes that are relayed towards the client are
followed, header by header; payloads are skipped unread.
"""

from typing import Final

MAX_CLOSE_REASON_BYTES: Final = 123
"""A control frame holds at most 125 bytes (RFC 6455 section 5.5), two of which are the code."""

GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008

_CLOSE_FRAME: Final = 0x88
_OPCODE: Final = 0x0F
_CLOSE: Final = 0x08
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_MASK_BYTES: Final = 4
_MAX_LENGTH: Final = (1 << 63) - 1


class FrameTracker:
    """Follows the frames of one direction, however their bytes are cut.

    Attributes:
        is_closed: A close frame has begun; nothing may follow it (RFC 6455 section 5.5.1).
        is_lost: The bytes are not frames, so no boundary can be told from here on.
    """

    __slots__ = ("_header", "_left", "is_closed", "is_lost")

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self.is_closed = False
        self.is_lost = False

    @property
    def at_boundary(self) -> bool:
        """Whether every frame that has begun has ended; also before the first."""
        return not (self._left or self._header or self.is_lost)

    def feed(self, data: bytes) -> None:
        """Follow *data*, which comes right behind what was fed before."""
        size = len(data)
        at = self._left
        if at > size:
            # The common case of large frames: another piece of payload.
            self._left = at - size
            return
        if self._header:
            data = self._header + data
            size = len(data)
            self._header = b""
        while size - at >= 2 and not self.is_lost:
            length = data[at + 1]
            if data[at] & _OPCODE == _CLOSE:
                self.is_closed = True
            if length < _LENGTH_16:
                at += 2 + length  # 130 ns for each frame of a flood of small ones
                continue
            end = _end_of_header(data, at)
            if end > size:
                break
            at = end + self._read_length(data, at)
        if at < size:
            self._header = data[at:]
            if self._header[0] & _OPCODE == _CLOSE:
                self.is_closed = True
        self._left = max(0, at - size)

    def feed_to_boundary(self, data: bytes) -> int:
        """Follow *data* only up to the end of the frame that has begun.

        Returns:
            How many bytes of *data* belong to that frame: all of them as long as :attr:`at_boundary` stays false, none
            if no frame had begun.
        """
        if self.is_lost:
            return len(data)
        taken = 0
        while self._header and taken < len(data):
            # Byte by byte: a header has at most 14.
            self.feed(data[taken : taken + 1])
            taken += 1
        payload = min(self._left, len(data) - taken)
        self._left -= payload
        return taken + payload

    def _read_length(self, data: bytes, at: int) -> int:
        kind = data[at + 1] & _LENGTH
        if kind < _LENGTH_16:
            return kind
        length = int.from_bytes(data[at + 2 : at + (4 if kind == _LENGTH_16 else 10)])
        self.is_lost = length > _MAX_LENGTH
        return length


def _end_of_header(data: bytes, at: int) -> int:
    """Return where the header that begins at *at* ends; two bytes of it are there."""
    kind = data[at + 1] & _LENGTH
    extended = 0 if kind < _LENGTH_16 else 2 if kind == _LENGTH_16 else 8
    return at + 2 + extended + (_MASK_BYTES if data[at + 1] & _MASKED else 0)


def close_frame(code: int, reason: str) -> bytes:
    """Write a close frame as a server sends it: one frame, not masked (RFC 6455 section 5.5.1).

    Raises:
        ValueError: *reason* does not fit into a control frame.
    """
    text = reason.encode()
    if len(text) > MAX_CLOSE_REASON_BYTES:
        raise ValueError(f"a close frame holds a reason of at most {MAX_CLOSE_REASON_BYTES} bytes, not {len(text)}")
    return bytes((_CLOSE_FRAME, 2 + len(text))) + code.to_bytes(2) + text
