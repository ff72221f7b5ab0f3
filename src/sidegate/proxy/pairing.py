"""What a request and its response mean for the connections that carry them: sent again, framed again, used again."""

from typing import Final

from sidegate.core.wire.response import Framing, ResponseHead
from sidegate.proxy.body import BodyReader, ChunkedBody, LengthBody, UntilCloseBody, frame_chunks
from sidegate.proxy.reading import Head

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"Connection: close\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"

TAKES_CONTENT: Final = frozenset({b"PUT", b"POST", b"PATCH", b"PROPFIND", b"REPORT", b"SEARCH"})
"""Methods whose request body means something (RFC 9110 section 9.3, WebDAV); upstreams skip that of others unread."""

# Read for each response: an attribute of an enum costs more than a call (CPython 3.11).
_NONE: Final = Framing.NONE
_LENGTH: Final = Framing.LENGTH
_IS_CHUNKED: Final = Framing.CHUNKED
_UNTIL_CLOSE: Final = Framing.UNTIL_CLOSE


def is_bodiless(request: Head, head: ResponseHead) -> bool:
    """Whether no body follows *head* (RFC 9112 section 6.3)."""
    return head.framing is _NONE or request.method == b"HEAD"


def is_last(request: Head, head: ResponseHead) -> bool:
    """Whether the upstream may send something behind its response, so that it serves no other request.

    One that announces a body where none may come may send it all the same, a moment later (RFC 9110 section 9.3.2).
    """
    if not is_bodiless(request, head):
        return False
    return head.framing is not _NONE and (head.framing is not _LENGTH or head.length > 0)


def ends_with_connection(request: Head, head: ResponseHead) -> bool:
    """Whether the client can tell the end of the response by the end of its connection only."""
    if is_bodiless(request, head):
        return False
    # HTTP/1.0 knows no chunks (RFC 9112 section 6.3).
    return head.framing is _UNTIL_CLOSE or (head.framing is _IS_CHUNKED and request.minor == 0)


def reader_of(head: ResponseHead) -> BodyReader:
    """Return what finds the end of the body that follows *head*."""
    if head.framing is _LENGTH:
        return LengthBody(head.length)
    if head.framing is _IS_CHUNKED:
        return ChunkedBody()
    return UntilCloseBody()


def frame_response(request: Head, head: ResponseHead, payload: bytes, *, done: bool) -> bytes:
    """Frame a piece of a response's body as the client of *request* has it from *head*."""
    return frame_chunks(payload, done=done) if head.framing is _IS_CHUNKED and request.minor else payload


def start_response(request: Head, head: ResponseHead, notes: bytes, payload: bytes, *, keep: bool, done: bool) -> bytes:
    """Return what the client gets first: the head and the beginning of the body.

    Args:
        request: What is answered.
        head: Of the upstream.
        notes: Header lines that we add, each with CRLF.
        payload: The beginning of the body.
        keep: The client may send another request.
        done: *payload* is the whole body.
    """
    extra = b""
    if head.framing is _IS_CHUNKED and request.minor:
        extra = _CHUNKED
        payload = b"" if is_bodiless(request, head) else frame_chunks(payload, done=done)
    if not keep:
        extra += _CLOSE
    return b"%b%b%b\r\n%b" % (head.forward, notes, extra, payload)


def is_body_taken(request: Head, head: ResponseHead) -> bool:
    """Whether an upstream that gave this answer has read the body of the request.

    Refusals and redirects are often answered without reading one, and it would be taken for the next request.
    """
    return 200 <= head.status < 300 and request.method in TAKES_CONTENT
