"""Chunked bodies, read strictly and incrementally (RFC 9112 section 7.1, spec 2.1)."""

from enum import Enum, auto
from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError

MAX_SIZE_DIGITS: Final = 15
"""Hex digits of a chunk size: 2^60 bytes, below where signed 64-bit readers overflow."""
MAX_EXTENSION_BYTES: Final = 256
"""Chunk extensions per message, in all (spec 2.1)."""
MAX_TRAILER_BYTES: Final = 8192
"""Trailer section; read to find its end, then dropped (spec 2.1)."""

_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
# Extensions are dropped, so their grammar only has to keep line ends out.
_EXTENSION: Final = frozenset(range(0x20, 0x7F)) | {0x09}
_FIELD: Final = _EXTENSION | frozenset(range(0x80, 0x100))
_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    DONE = auto()


class ChunkedReader:
    """Finds payload and end of one chunked body, whatever way its bytes are cut.

    A line is only judged when it is whole, or longer than it may be, so the verdict does not depend on the cuts.
    """

    __slots__ = ("_extensions", "_held", "_left", "_state", "_trailers")

    def __init__(self) -> None:
        self._state = _State.SIZE
        self._held = b""
        self._left = 0
        self._extensions = 0
        self._trailers = 0

    @property
    def done(self) -> bool:
        """The last chunk and the trailer section were read."""
        return self._state is _State.DONE

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Read on.

        Returns:
            The pieces of payload in *data*, and what follows the body (empty unless :attr:`done`).

        Raises:
            WireError: 400 ``ambiguous_framing``. The reader is of no use afterwards.
        """
        pieces: list[bytes] = []
        if self._held:
            data = self._held + data
            self._held = b""
        at = 0
        while self._state is not _State.DONE:
            if self._state is _State.DATA:
                piece = data[at : at + self._left]
                if not piece:
                    return pieces, b""
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _State.DATA_END
            elif self._state is _State.DATA_END:
                if not b"\r\n".startswith(data[at : at + 2]):
                    raise _broken("a chunk is longer than its size says")
                if len(data) - at < 2:
                    self._held = data[at:]
                    return pieces, b""
                at += 2
                self._state = _State.SIZE
            else:
                end = self._find_line_end(data, at)
                if end < 0:
                    self._held = data[at:]
                    return pieces, b""
                line = data[at:end]
                at = end + 2
                if self._state is _State.SIZE:
                    self._read_size(line)
                else:
                    self._read_trailer(line)
        return pieces, data[at:]

    def _find_line_end(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        # A lone LF or a CR before anything else can never become part of a good line: refuse before more arrives.
        line = data[at : end if end >= 0 else len(data)]
        if end < 0 and line.endswith(b"\r"):
            line = line[:-1]
        if b"\n" in line or b"\r" in line:
            raise _broken("a line of the chunked framing does not end in CRLF")
        if self._state is _State.SIZE:
            self._judge_size_line(line)
        elif self._trailers + len(line) + 2 > MAX_TRAILER_BYTES:
            raise _broken("the trailer section is too long")
        return end

    def _judge_size_line(self, line: bytes) -> None:
        """Refuse what cannot begin a chunk-size line; *line* may be cut anywhere."""
        size, semicolon, extension = line.partition(b";")
        if len(size) > MAX_SIZE_DIGITS or not _HEX.issuperset(size) or (semicolon and not size):
            raise _broken("a chunk size is not a short hexadecimal number")
        if semicolon and self._extensions + len(extension) + 1 > MAX_EXTENSION_BYTES:
            raise _broken("chunk extensions are too long")
        if not _EXTENSION.issuperset(extension):
            raise _broken("a chunk extension holds a control character")

    def _read_size(self, line: bytes) -> None:
        size, semicolon, extension = line.partition(b";")
        if not size:
            raise _broken("a chunk has no size")
        if semicolon:
            self._extensions += len(extension) + 1
        self._left = int(size, 16)
        self._state = _State.DATA if self._left else _State.TRAILER

    def _read_trailer(self, line: bytes) -> None:
        self._trailers += len(line) + 2
        if not line:
            self._state = _State.DONE
            return
        name, colon, field = line.partition(b":")
        if not colon or not name or not _TOKEN.issuperset(name) or not _FIELD.issuperset(field):
            raise _broken("a trailer is not a header field")


def encode_chunk(data: bytes) -> bytes:
    """Frame *data*, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"


def _broken(detail: str) -> WireError:
    return WireError(400, Reason.AMBIGUOUS_FRAMING, detail)
