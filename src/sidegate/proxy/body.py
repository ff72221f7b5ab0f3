"""The body of one message on its way through: where it ends, and how it is framed again."""

from typing import Protocol

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.wire.framing import LAST_CHUNK, ChunkedReader, encode_chunk


class BodyReader(Protocol):
    """Finds the end of one body."""

    done: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read on; return (payload, what follows the body).

        Raises:
            WireError: 400 ``ambiguous_framing``, or 413 for a body that turns out too long.
        """


class LengthBody:
    """A body of a known number of bytes."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read on; return (payload, what follows the body)."""
        if len(data) < self.left:
            self.left -= len(data)
            return data, b""
        payload, rest = data[: self.left], data[self.left :]
        self.left = 0
        self.done = True
        return payload, rest


class ChunkedBody:
    """A chunked body.

    Args:
        maximum: Bytes of payload it may have; 0 for no limit.
    """

    __slots__ = ("_maximum", "_reader", "_size", "done")

    def __init__(self, maximum: int = 0) -> None:
        self._reader = ChunkedReader()
        self._maximum = maximum
        self._size = 0
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read on; return (payload, what follows the body)."""
        pieces, rest = self._reader.feed(data)
        self.done = self._reader.done
        payload = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._size += len(payload)
        if self._maximum and self._size > self._maximum:
            raise WireError(413, Reason.BODY_TOO_LARGE, f"the body is longer than {self._maximum} bytes")
        return payload, rest


class UntilCloseBody:
    """A body that ends with its connection (responses only)."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read on; everything is payload."""
        return data, b""


def frame_chunks(payload: bytes, *, done: bool) -> bytes:
    """Frame *payload* as at most one chunk, and end the body when it is *done*. Trailers are dropped (spec 2.1)."""
    framed = encode_chunk(payload) if payload else b""
    return framed + LAST_CHUNK if done else framed
