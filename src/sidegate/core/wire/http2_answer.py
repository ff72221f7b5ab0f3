"""An answer in HTTP/1.1 as what HTTP/2 says: field sections and payload (RFC 9113 section 8.1, spec 2.5)."""

from typing import Final
from urllib.parse import quote

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import hot_value
from sidegate.core.wire.fields import split_fields
from sidegate.core.wire.framing import ChunkedReader
from sidegate.core.wire.http2_request import GRPC_REFUSED
from sidegate.core.wire.response import Framing, ResponseHead

_HEAD_END: Final = b"\r\n\r\n"

# gRPC, "gRPC over HTTP2", status codes: what no retry changes, and what one may.
_UNIMPLEMENTED: Final = 12
_UNAVAILABLE: Final = 14


@hot_value
class AnswerHead:
    """A head in the terms of HTTP/2.

    Attributes:
        status: 100 to 599.
        section: ``:status`` and header fields, names in lower case, none that belongs to one connection.
    """

    status: int
    section: tuple[tuple[bytes, bytes], ...]


def answer_head(lines: bytes) -> AnswerHead:
    """Say a head in the terms of HTTP/2.

    Args:
        lines: Status line and header lines, each with CRLF, as in ``ResponseHead.forward``.
    """
    status, _, block = lines.partition(b"\r\n")
    fields = split_fields(block)
    assert fields is not None  # noqa: S101 - read_response_head() has written them
    code = status[9:12]
    return AnswerHead(int(code), ((b":status", code), *((name.lower(), value) for name, value in fields)))


def grpc_answer(status: int) -> AnswerHead:
    """Say a refusal of ours, with *status* in HTTP, to a client of gRPC: in a head that is trailers as well.

    A status other than 200 would be taken for one of some proxy, and its reason for nothing.
    """
    code, message = (_UNAVAILABLE, "retry") if status >= 500 and status != 505 else (_UNIMPLEMENTED, GRPC_REFUSED)
    section = (
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % code),
        (b"grpc-message", quote(message, safe=" ;,'").encode("ascii")),
    )
    return AnswerHead(200, section)


class AnswerReader:
    """Reads the answer to one request as Sidegate writes it: interim heads, one final head, payload.

    Args:
        method: Of the request: the answer to a HEAD has no payload.

    Attributes:
        done: The whole message was read. If only the end of the connection ends it, that has to be told by :meth:`end`.
        begun: Its final head was read.
    """

    __slots__ = ("_chunks", "_held", "_left", "_method", "_until_close", "begun", "done")

    def __init__(self, method: bytes) -> None:
        self._method = method
        self._held = b""
        self._left = 0
        self._chunks: ChunkedReader | None = None
        self._until_close = False
        self.begun = False
        self.done = False

    def find_head(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Find the next head.

        Returns:
            The head up to the CRLF of its last line, and what follows it; None until it is whole.
        """
        if self._held:
            data = self._held + data
        end = data.find(_HEAD_END)
        if end < 0:
            self._held = data
            return None
        self._held = b""
        return data[: end + 2], data[end + 4 :]

    def begin(self, head: ResponseHead) -> None:
        """Go on behind *head*, which :meth:`find_head` found."""
        if head.status < 200:
            return
        self.begun = True
        if self._method == b"HEAD" or head.framing is Framing.NONE:
            self.done = True
        elif head.framing is Framing.LENGTH:
            self._left = head.length
            self.done = not self._left
        elif head.framing is Framing.CHUNKED:
            self._chunks = ChunkedReader()
        else:
            self._until_close = True

    def feed(self, data: bytes) -> bytes:
        """Return the payload in *data*, which comes behind the final head.

        Raises:
            WireError: 502: it is not what the head announced.
        """
        if self._until_close:
            return data
        if self._chunks is not None:
            pieces, rest = self._chunks.feed(data)
            self.done = self._chunks.done
            payload = b"".join(pieces)
        else:
            payload, rest = data[: self._left], data[self._left :]
            self._left -= len(payload)
            self.done = not self._left
        if rest:
            raise WireError(502, Reason.UPSTREAM_INVALID, "something follows the end of an answer")
        return payload

    def end(self) -> None:
        """Nothing more comes, in order."""
        if self._until_close:
            self.done = True
