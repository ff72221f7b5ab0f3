"""A request of HTTP/2 as the head of HTTP/1.1 that says the same, or a refusal (RFC 9113 section 8, spec 2).

A field section is a list of names and values in which anything may stand, a line end for example. What is not refused
here is written in the one form of HTTP/1.1 in which it says the same, and is then read as strictly as any other
request: no rule of spec 2 has a second reading.
"""

import re
from collections.abc import Sequence
from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import hot_value
from sidegate.core.wire.fields import NO_LENGTH
from sidegate.core.wire.head import HOST_PATTERN, malformed

FieldSection = Sequence[tuple[bytes, bytes]]
"""Names and values in order, pseudo-header fields included, exact bytes."""

HTTP: Final = (b"http",)
HTTPS: Final = (b"https",)
EITHER: Final = (b"http", b"https")
"""Values of ``:scheme`` that a connection may carry: that of its socket, or either from a trusted proxy in front."""

GRPC_REFUSED: Final = (
    "gRPC needs HTTP/2 all the way to the upstream, which is not spoken there; call the service's HTTP interface "
    "or use gRPC-Web"
)

_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})

# RFC 9113 section 8.2.2: fields that belong to one connection of HTTP/1.1.
_CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)

# Tokens without upper case, and values without line ends, NUL, other control bytes and blanks at either end
# (RFC 9113 section 8.2.1).
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE: Final = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PATH: Final = re.compile(rb"/[\x21-\x7e]*|\*")
_HOST: Final = re.compile(HOST_PATTERN.encode())
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,17}")
_GRPC: Final = re.compile(rb"application/grpc(?:[+;\t ].*)?", re.IGNORECASE | re.DOTALL)


@hot_value
class Http2Request:
    """One request, ready to be read.

    Attributes:
        head: As HTTP/1.1, its empty line included. It says ``Connection: close``: a stream carries one request.
        method: Of the request; its answer is read by it.
        length: Of the body as announced; ``NO_LENGTH`` if it is not.
        chunked: The body has to be framed in chunks behind the head.
    """

    head: bytes
    method: bytes
    length: int
    chunked: bool


def read_request(section: FieldSection, schemes: tuple[bytes, ...], *, ended: bool) -> Http2Request:
    """Read the field section of a request.

    Args:
        section: As decoded.
        schemes: What ``:scheme`` may be.
        ended: Nothing follows it: the stream ended with it.

    Raises:
        WireError: 400 by RFC 9113 section 8; 405 for CONNECT; 505 for gRPC.
    """
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    cookies: list[bytes] = []
    host: bytes | None = None
    length = NO_LENGTH
    has_grpc = False
    cookie_place = -1
    for name, value in section:
        if name[:1] == b":":
            _take_pseudo(pseudo, name, value, first=not lines and not cookies and host is None)
            continue
        _require_field(name, value)
        if name == b"cookie":
            # RFC 9113 section 8.2.3: crumbs of one header. Joined before anybody looks for the session.
            if not cookies:
                cookie_place = len(lines)
                lines.append(b"")
            cookies.append(value)
            continue
        if name == b"host":
            if host is not None:
                raise malformed("`host` is given more than once")
            host = value
            continue
        if name == b"content-length":
            length = _read_length(value, length, ended=ended)
        elif name == b"content-type" and _GRPC.fullmatch(value) is not None:
            has_grpc = True
        lines.append(b"%b: %b\r\n" % (name, value))
    line = _request_line(pseudo, schemes)
    if cookies:
        if len(cookies) > 1 and not all(cookies):
            raise malformed("a crumb of `cookie` is empty")
        lines[cookie_place] = b"cookie: %b\r\n" % b"; ".join(cookies)
    authority = _authority(pseudo.get(b":authority"), host)
    if has_grpc:
        raise WireError(505, Reason.VERSION_NOT_SUPPORTED, GRPC_REFUSED)
    chunked = length == NO_LENGTH and not ended
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
    head = b"%bHost: %b\r\n%b%bConnection: close\r\n\r\n" % (line, authority, b"".join(lines), framing)
    return Http2Request(head, pseudo[b":method"], length, chunked)


def speaks_grpc(section: FieldSection) -> bool:
    """Whether whoever sent *section* is to be answered as a client of gRPC, whatever else is wrong with it."""
    return any(name == b"content-type" and _GRPC.fullmatch(value) is not None for name, value in section)


def require_trailers(section: FieldSection) -> None:
    """Check trailers, which are then dropped (spec 2.1).

    Raises:
        WireError: 400: one is no header field.
    """
    for name, value in section:
        _require_field(name, value)


def _take_pseudo(pseudo: dict[bytes, bytes], name: bytes, value: bytes, *, first: bool) -> None:
    if name not in _PSEUDO:
        raise malformed("a pseudo-header field is none of a request")
    if not first:
        raise malformed("a pseudo-header field comes after a header field")
    if name in pseudo:
        raise malformed(f"`{name.decode()}` is given more than once")
    pseudo[name] = value


def _require_field(name: bytes, value: bytes) -> None:
    if _NAME.fullmatch(name) is None:
        raise malformed("the name of a header field is not a token in lower case")
    if _VALUE.fullmatch(value) is None:
        raise malformed("the value of a header field holds a control byte, or a blank at an end")
    if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
        raise malformed(f"`{name.decode()}` has no meaning in HTTP/2; leave it out")


def _read_length(value: bytes, known: int, *, ended: bool) -> int:
    if known != NO_LENGTH or _LENGTH.fullmatch(value) is None:
        raise WireError(400, Reason.AMBIGUOUS_FRAMING, "content-length is not given once as a plain decimal number")
    length = int(value)
    if ended and length:
        raise WireError(400, Reason.AMBIGUOUS_FRAMING, "content-length announces a body, but the stream has none")
    return length


def _request_line(pseudo: dict[bytes, bytes], schemes: tuple[bytes, ...]) -> bytes:
    method = pseudo.get(b":method")
    if method is None or _METHOD.fullmatch(method) is None:
        raise malformed("`:method` is not given as a token")
    if method == b"CONNECT":
        detail = "this method is never forwarded"
        if b":protocol" in pseudo:
            detail = "no other protocol is spoken over HTTP/2; open a WebSocket over HTTP/1.1"
        raise WireError(405, Reason.METHOD_NOT_ALLOWED, detail)
    if b":protocol" in pseudo:
        raise malformed("`:protocol` belongs to CONNECT")
    path = pseudo.get(b":path")
    if path is None or _PATH.fullmatch(path) is None:
        raise malformed("`:path` is not given as a path that starts with a slash")
    scheme = pseudo.get(b":scheme")
    if scheme is None or scheme not in schemes:
        raise malformed("`:scheme` is not that of the connection")
    return b"%b %b HTTP/1.1\r\n" % (method, path)


def _authority(authority: bytes | None, host: bytes | None) -> bytes:
    given = host if authority is None else authority
    if given is None or _HOST.fullmatch(given) is None:
        raise malformed("`:authority` or `host` is not given as host or host:port")
    if authority is not None and host is not None and authority.lower() != host.lower():
        raise malformed("`host` is not what `:authority` says")
    return given
