"""Request lines, read strictly (RFC 9112 section 3, spec 2.1 and 2.2).

A head is two parts that are read apart from each other, so that each reading can be remembered by its exact bytes: the
request line here, the header lines in :mod:`sidegate.core.wire.block`. Every line is read twice, by a grammar of ours
and by llhttp; one that only one of them accepts is refused. Whoever calls has the whole head, so no verdict depends on
how its bytes were cut.
"""

import re
from typing import Final

import httptools

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import hot_value
from sidegate.core.wire.fields import llhttp_agrees
from sidegate.core.wire.path import CanonicalPath, canonical_path

_REQUEST_LINE = re.compile(rb"([A-Z-]{1,24}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_PORT = r"[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
HOST_PATTERN: Final = rf"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?:{_PORT}))?"
"""Whether upstreams cut a port above 65535 off, take it modulo 2 to the 16 or fail is theirs: it is refused here."""
_ABSOLUTE = re.compile(b"[Hh][Tt][Tt][Pp][Ss]?://(" + HOST_PATTERN.encode() + rb")((?:/[^?]*)?)((?:\?.*)?)")


_FORBIDDEN_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})


@hot_value
class RequestLine:
    """A request line in its one reading.

    Attributes:
        method: Upper-case token that llhttp knows.
        minor: 0 or 1, of HTTP/1.x.
        path: Canonical path; None for ``OPTIONS *``.
        query: What follows the first ``?``, without it, byte for byte; None if there is no ``?``.
        host: Authority of the absolute form, which must equal ``Host``; None for the origin form.
        forwarded: The request line as it goes upstream, CRLF included.
    """

    method: bytes
    minor: int
    path: CanonicalPath | None
    query: bytes | None
    host: bytes | None
    forwarded: bytes


def read_request_line(line: bytes, max_target: int) -> RequestLine:
    """Read a request line without its CRLF.

    Raises:
        WireError: 400, 405, 414 or 505 by spec 2.1; 400 ``ambiguous_path`` by spec 2.2.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise malformed("the request line is not METHOD TARGET HTTP/x.y with single spaces and a plain target")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in {b"0", b"1"}:
        raise WireError(505, Reason.VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method in _FORBIDDEN_METHODS:
        raise WireError(405, Reason.METHOD_NOT_ALLOWED, "this method is never forwarded")
    if len(target) > max_target:
        raise WireError(414, Reason.TARGET_TOO_LONG, f"the request target is longer than {max_target} bytes")
    if not llhttp_agrees(httptools.HttpRequestParser, line + b"\r\nHost: x\r\n\r\n", [(b"Host", b"x")]):
        raise malformed("the request line is not valid HTTP/1.1")
    if b"#" in target:
        raise malformed("the request target holds a fragment; leave it out")
    if target == b"*":
        if method != b"OPTIONS":
            raise malformed("the asterisk form belongs to OPTIONS")
        return RequestLine(method, int(minor), None, None, None, b"OPTIONS * HTTP/1.1\r\n")
    host = None
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise malformed("the request target does not start with a slash")
        host = absolute[1]
        target = (absolute[2] or b"/") + absolute[3]
    raw_path, mark, query = target.partition(b"?")
    path = canonical_path(raw_path)
    forwarded = b"%b %b%b%b HTTP/1.1\r\n" % (method, path.text, mark, query)
    return RequestLine(method, int(minor), path, query if mark else None, host, forwarded)


def malformed(detail: str) -> WireError:
    """Build the refusal of a head that cannot be read in one way."""
    return WireError(400, Reason.MALFORMED_REQUEST, detail)
