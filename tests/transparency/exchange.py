"""One exchange between a client and an upstream, step by step, and how far each side has come."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

HOST: Final = b"store.example"
FOLDER: Final = "/v1/orgs/acme/projects/p1/branches/x/files"

KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
"""Of the handshake in RFC 6455 section 1.3, with its answer."""
ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Side(Enum):
    """Who does something."""

    CLIENT = auto()
    UPSTREAM = auto()


@dataclass(frozen=True)
class Step:
    """One side sends bytes, once what the other sent before has reached it; or it ends the connection.

    Attributes:
        data: None to end the connection in order.
    """

    side: Side
    data: bytes | None


def client(data: bytes) -> Step:
    """The client sends *data*; ``{cookie}`` stands for the line with its session."""
    return Step(Side.CLIENT, data)


def upstream(data: bytes) -> Step:
    """The upstream sends *data*."""
    return Step(Side.UPSTREAM, data)


UPSTREAM_ENDS: Final = Step(Side.UPSTREAM, None)


@dataclass(frozen=True)
class Exchange:
    """What is done once without Sidegate between, and once with it.

    Attributes:
        name: Short, unique.
        steps: In order.
        method: Of the request; decides whether an answer has a body.
        closes: The client's connection ends after the answer, with Sidegate between.
        is_whole: The answer has its end; else the connection is cut within it.
    """

    name: str
    steps: tuple[Step, ...]
    method: bytes = b"GET"
    closes: bool = False
    is_whole: bool = True


class Progress:
    """How much of the messages of one direction has come, counted so that the ways to frame them make no difference.

    Args:
        method: Of the request, for the direction of its answer.

    Attributes:
        heads: Requests, or final answers.
        payload: Bytes behind heads, without chunked framing; of a tunnel all bytes.
        ends: Messages that have come to the end that their framing says.
        taken: The payload itself, as far as it came in messages of known length.
    """

    def __init__(self, method: bytes = b"") -> None:
        self.heads = 0
        self.payload = 0
        self.ends = 0
        self.taken = bytearray()
        self._method = method
        self._rest = bytearray()
        self._left = 0
        self._read = self._read_head

    def feed(self, data: bytes) -> None:
        """Read on."""
        self._rest += data
        while self._rest and self._read():
            pass

    def _read_head(self) -> bool:
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._rest[:end])
        del self._rest[: end + 4]
        start = head.partition(b"\r\n")[0].split(b" ")
        is_answer = start[0].startswith(b"HTTP/")
        lower = head.lower()
        if is_answer and start[1].startswith(b"1") and start[1] != b"101":
            return True
        self.heads += 1
        if b"\r\nupgrade: websocket" in lower and (not is_answer or start[1] == b"101"):
            self._read = self._read_raw
        elif is_answer and (self._method == b"HEAD" or start[1] in {b"204", b"304"}):
            self.ends += 1
        elif b"\r\ntransfer-encoding: chunked" in lower:
            self._read = self._read_size
        elif b"\r\ncontent-length:" in lower:
            self._left = int(lower.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            if self._left:
                self._read = self._read_length
            else:
                self.ends += 1
        elif is_answer:
            self._read = self._read_raw
        else:
            self.ends += 1
        return True

    def _read_raw(self) -> bool:
        self.payload += len(self._rest)
        self._rest.clear()
        return False

    def _take(self) -> bool:
        took = min(self._left, len(self._rest))
        self.payload += took
        self.taken += self._rest[:took]
        self._left -= took
        del self._rest[:took]
        return self._left == 0

    def _read_length(self) -> bool:
        if self._take():
            self._end()
        return True

    def _read_chunk(self) -> bool:
        if self._take():
            self._read = self._read_size
        return True

    def _read_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:  # else the end of the chunk before
            self._left = int(line.partition(b";")[0], 16)
            self._read = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if not line:
            self._end()
        return True

    def _line(self) -> bytes | None:
        end = self._rest.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self._rest[:end])
        del self._rest[: end + 2]
        return line

    def _end(self) -> None:
        self.ends += 1
        self._read = self._read_head
