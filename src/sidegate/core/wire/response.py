"""Response heads of the upstream, read as strictly as requests (spec 2.5)."""

import re
from enum import Enum, auto
from typing import Final

import httptools

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import hot_value
from sidegate.core.wire.fields import NO_LENGTH, Fields, FramingError, llhttp_agrees, read_framing, split_fields
from sidegate.core.wire.names import RESPONSE_HOP_BY_HOP

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")

MAX_INTERIM: Final = 16
"""1xx answers forwarded per request (spec 2.5)."""


class Framing(Enum):
    """How the end of a response's body is found when the request's method allows a body."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


@hot_value
class ResponseHead:
    """A response head in its one reading.

    Attributes:
        status: 100 to 599.
        forward: Status line and header lines for the client, each with CRLF, without hop-by-hop headers and without
            the empty line at the end.
        framing: Of the body, for any method but HEAD.
        length: Bytes of the body when framing is LENGTH, else 0.
        close: This connection serves no other request: the upstream says so, or it announced a body for an answer that
            has none and may send it all the same.
        upgrade: Value of ``Upgrade`` when ``Connection`` holds ``upgrade``, else None.
        websocket_accept: Value of ``Sec-WebSocket-Accept``.
        event_stream: ``Content-Type`` is ``text/event-stream``.
        start: *forward* and the empty line.
        is_plain: A final answer of a length, no event stream, after which the upstream serves others: most are.
    """

    status: int
    forward: bytes
    framing: Framing
    length: int
    close: bool
    upgrade: bytes | None
    websocket_accept: bytes | None
    event_stream: bool
    start: bytes
    is_plain: bool


def read_response_head(head: bytes) -> ResponseHead:
    """Read a response head, from the status line to the CRLF of its last header line.

    Raises:
        WireError: 502 ``upstream_invalid``.
    """
    line, _, block = head.partition(b"\r\n")
    match = _STATUS_LINE.fullmatch(line)
    if match is None or not 100 <= int(match[2]) <= 599:
        raise _invalid("the status line is not HTTP/1.x with a status from 100 to 599")
    fields = split_fields(block)
    if fields is None:
        raise _invalid("a header line is not `Name: value` in printable bytes, ended by CRLF, without folding")
    if not llhttp_agrees(httptools.HttpResponseParser, head + b"\r\n", fields):
        raise _invalid("the head is not valid HTTP/1.1, or can be read in two ways")
    return _assemble(int(match[2]), int(match[1]), match[3], fields)


def _assemble(status: int, minor: int, phrase: bytes | None, fields: Fields) -> ResponseHead:
    values: dict[bytes, list[bytes]] = {}
    for name, field in fields:
        values.setdefault(name.lower(), []).append(field)
    nominated = frozenset(
        token.strip(b" \t").lower() for field in values.get(b"connection", []) for token in field.split(b",")
    )
    framing, length, is_announced = _framing(status, minor, fields)
    bodiless = status < 200 or status == 204
    forward = [b"HTTP/1.1 %d %b\r\n" % (status, phrase or b"")]
    for name, field in fields:
        lower = name.lower()
        if lower in RESPONSE_HOP_BY_HOP or (lower in nominated and lower != b"content-length"):
            continue
        # RFC 9110 section 8.6: none may be sent here, and a client that believed it would wait for a body.
        if bodiless and lower == b"content-length":
            continue
        forward.append(b"%b: %b\r\n" % (name, field))
    start = b"".join(forward)
    close = (
        b"close" in nominated
        or framing is Framing.UNTIL_CLOSE
        or is_announced
        or (minor == 0 and b"keep-alive" not in nominated)
    )
    accept = values.get(b"sec-websocket-accept", [])
    content_type = values.get(b"content-type", [b""])[0].partition(b";")[0].strip().lower()
    event_stream = content_type == b"text/event-stream"
    return ResponseHead(
        status=status,
        forward=start,
        framing=framing,
        length=length,
        close=close,
        upgrade=b",".join(values.get(b"upgrade", [])) if b"upgrade" in nominated else None,
        websocket_accept=accept[0] if len(accept) == 1 else None,
        event_stream=event_stream,
        start=start + b"\r\n",
        is_plain=status >= 200 and framing is Framing.LENGTH and not close and not event_stream,
    )


def _framing(status: int, minor: int, fields: Fields) -> tuple[Framing, int, bool]:
    """Return framing and length, and whether a body is announced where none may be."""
    try:
        length, chunked = read_framing(fields)
    except FramingError as error:
        raise _invalid(str(error)) from None
    if chunked and minor == 0:
        # RFC 9112 section 6.1: faulty framing. Who does not know chunks may have ended the body with its connection.
        raise _invalid("Transfer-Encoding is not part of HTTP/1.0")
    if status < 200 or status in {204, 304}:
        return Framing.NONE, 0, chunked or length > 0
    if chunked:
        return Framing.CHUNKED, 0, False
    if length != NO_LENGTH:
        return Framing.LENGTH, length, False
    return Framing.UNTIL_CLOSE, 0, False


def _invalid(detail: str) -> WireError:
    return WireError(502, Reason.UPSTREAM_INVALID, detail)
