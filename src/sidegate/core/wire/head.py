"""Request heads, read strictly (RFC 9112 sections 2 to 6, spec 2.1 and 2.3).

A head is two parts that are read apart from each other, so that each reading can be remembered by its exact bytes:
the request line and the header block. Both are read twice, by a grammar of ours and by llhttp; a head that only one of
them accepts is refused. Whoever calls has the whole head, so no verdict depends on how its bytes were cut.
"""

import re
from typing import Final

import httptools

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import value
from sidegate.core.wire.credential import NOTHING, Presented, cut_cookie, gather, read_cookies
from sidegate.core.wire.fields import Fields, FramingError, llhttp_agrees, read_framing, split_fields
from sidegate.core.wire.names import NamePolicy, Role
from sidegate.core.wire.path import CanonicalPath, canonical_path

_REQUEST_LINE = re.compile(rb"([A-Z-]{1,24}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?"
_HOST_VALUE = re.compile(_HOST.encode())
_ABSOLUTE = re.compile(b"[Hh][Tt][Tt][Pp][Ss]?://(" + _HOST.encode() + rb")((?:/[^?]*)?)((?:\?.*)?)")
_TOKENS = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*")
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

_PROTO = re.compile(rb"https?")
_VERSION_13 = re.compile(rb"13")
# 16 bytes: 22 characters, the last of which holds only two bits, and the padding.
_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_OBSERVED: Final = frozenset({b"x-request-id", b"traceparent", b"sec-websocket-key", b"sec-websocket-version"})

_FORBIDDEN_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})


@value
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


@value
class HeaderBlock:
    """The header fields of a request in their one reading.

    Attributes:
        forward: Header lines for the upstream, each with CRLF: order and spelling as they came, without hop-by-hop
            headers, aliases, overrides, credentials, `Expect` and framing that we re-make.
        host: Value of ``Host``.
        presented: The credential, unverified.
        length: ``Content-Length``, or ``NO_LENGTH``.
        chunked: ``Transfer-Encoding: chunked``.
        close: ``Connection`` holds ``close``.
        upgrade: Value of ``Upgrade`` when ``Connection`` holds ``upgrade``, else None.
        expects_continue: ``Expect: 100-continue``.
        forwarded_for: Value of ``X-Forwarded-For``, lines joined; to be believed from a trusted peer only.
        forwarded_proto: Value of ``X-Forwarded-Proto`` if it is ``http`` or ``https``; likewise.
        forwarded_host: Value of ``X-Forwarded-Host`` if it is host[:port]; likewise.
        websocket_key: Value of ``Sec-WebSocket-Key`` if it is 16 bytes in Base64 and the version is 13.
        approval: Value of ``X-Sidegate-Approval``.
        request_id: ``X-Request-Id`` if it is short and printable.
        trace_id: Trace id of a well-formed ``traceparent``.
        fields: Values of the headers that routes read, by lower-case name.
    """

    forward: bytes
    host: bytes
    presented: Presented
    length: int
    chunked: bool
    close: bool
    upgrade: bytes | None
    expects_continue: bool
    forwarded_for: bytes | None
    forwarded_proto: bytes | None
    forwarded_host: bytes | None
    websocket_key: bytes | None
    approval: bytes | None
    request_id: str | None
    trace_id: str | None
    fields: dict[bytes, tuple[bytes, ...]]


@value
class HeaderRules:
    """What the reading of a header block depends on.

    Attributes:
        names: Roles of header names.
        cookie: Name of the session cookie.
        keep_credentials: Forward the credential as it came (``forwarding.credentials: pass``).
        max_fields: ``limits.headers``.
    """

    names: NamePolicy
    cookie: bytes
    keep_credentials: bool
    max_fields: int


def read_request_line(line: bytes, max_target: int) -> RequestLine:
    """Read a request line without its CRLF.

    Raises:
        WireError: 400, 405, 414 or 505 by spec 2.1; 400 ``ambiguous_path`` by spec 2.2.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _malformed("the request line is not METHOD TARGET HTTP/x.y with single spaces and a plain target")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in {b"0", b"1"}:
        raise WireError(505, Reason.VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method in _FORBIDDEN_METHODS:
        raise WireError(405, Reason.METHOD_NOT_ALLOWED, "this method is never forwarded")
    if len(target) > max_target:
        raise WireError(414, Reason.TARGET_TOO_LONG, f"the request target is longer than {max_target} bytes")
    if not llhttp_agrees(httptools.HttpRequestParser, line + b"\r\nHost: x\r\n\r\n", [(b"Host", b"x")]):
        raise _malformed("the request line is not valid HTTP/1.1")
    if b"#" in target:
        raise _malformed("the request target holds a fragment; leave it out")
    if target == b"*":
        if method != b"OPTIONS":
            raise _malformed("the asterisk form belongs to OPTIONS")
        return RequestLine(method, int(minor), None, None, None, b"OPTIONS * HTTP/1.1\r\n")
    host = None
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise _malformed("the request target does not start with a slash")
        host = absolute[1]
        target = (absolute[2] or b"/") + absolute[3]
    raw_path, mark, query = target.partition(b"?")
    path = canonical_path(raw_path)
    forwarded = b"%b %b%b%b HTTP/1.1\r\n" % (method, path.text, mark, query)
    return RequestLine(method, int(minor), path, query if mark else None, host, forwarded)


def read_header_block(block: bytes, rules: HeaderRules) -> HeaderBlock:
    """Read header lines, each ending in CRLF, without the empty line that ends the head.

    Raises:
        WireError: 400 by spec 2.1 and 2.3; 417 for an unknown expectation; 431 for too many fields.
    """
    fields = split_fields(block)
    if fields is None:
        raise _malformed("a header line is not `Name: value` in printable bytes, ended by CRLF, without folding")
    if len(fields) > rules.max_fields:
        raise WireError(431, Reason.HEAD_TOO_LARGE, f"the request has more than {rules.max_fields} header lines")
    try:
        # Judged before llhttp, which would only say "no": ambiguous framing has a reason of its own.
        length, chunked = read_framing(fields)
    except FramingError as error:
        raise WireError(400, Reason.AMBIGUOUS_FRAMING, str(error)) from None
    if not llhttp_agrees(httptools.HttpRequestParser, b"GET / HTTP/1.1\r\n" + block + b"\r\n", fields):
        raise _malformed("the request head is not valid HTTP/1.1, or can be read in two ways")
    return _Reading(fields, rules).block(length, chunked=chunked)


class _Reading:
    """One pass over the fields, by the role of each name."""

    def __init__(self, fields: Fields, rules: HeaderRules) -> None:
        self._rules = rules
        self._values: dict[Role, list[bytes]] = {}
        self._read: dict[bytes, tuple[bytes, ...]] = {}
        self._forward: list[bytes] = []
        roles = [rules.names.role_of(name) for name, _ in fields]
        connection = b",".join(
            [field for (_, field), role in zip(fields, roles, strict=True) if role is Role.CONNECTION]
        )
        self._nominated = self._read_connection(connection)
        for (name, field), role in zip(fields, roles, strict=True):
            self._values.setdefault(role, []).append(field)
            lower = name.lower()
            if lower in rules.names.decisive or lower in _OBSERVED:
                self._read[lower] = (*self._read.get(lower, ()), field)
            if role is Role.COOKIE:
                self._forward_cookie(name, field)
            elif self._is_forwarded(lower, role):
                self._forward.append(b"%b: %b\r\n" % (name, field))

    def _read_connection(self, connection: bytes) -> frozenset[bytes]:
        if not connection:
            return frozenset()
        if _TOKENS.fullmatch(connection) is None:
            raise _malformed("Connection is not a list of tokens")
        nominated = frozenset(token.strip(b" \t").lower() for token in connection.split(b","))
        if any(self._rules.names.is_protected(name) for name in nominated):
            raise _malformed("Connection names a header that must reach the upstream or must not be dropped")
        return nominated

    def _is_forwarded(self, lower: bytes, role: Role) -> bool:
        if lower in self._nominated:
            return False
        if role in {Role.AUTHORIZATION, Role.API_KEY}:
            return self._rules.keep_credentials
        return role in {Role.PASS, Role.HOST, Role.CONTENT_LENGTH}

    def _forward_cookie(self, name: bytes, field: bytes) -> None:
        rest = field if self._rules.keep_credentials else cut_cookie(field, self._rules.cookie)
        if rest:
            self._forward.append(b"%b: %b\r\n" % (name, rest))

    def _once(self, role: Role, what: str) -> bytes | None:
        values = self._values.get(role, [])
        if len(values) > 1:
            raise _malformed(f"{what} is given more than once")
        return values[0] if values else None

    def block(self, length: int, *, chunked: bool) -> HeaderBlock:
        host = self._once(Role.HOST, "Host")
        if host is None or _HOST_VALUE.fullmatch(host) is None:
            raise _malformed("Host is not given once as host or host:port")
        expect = self._once(Role.EXPECT, "Expect")
        if expect is not None and expect.lower() != b"100-continue":
            raise WireError(417, Reason.EXPECTATION_FAILED, "the only expectation met here is 100-continue")
        for name in self._rules.names.decisive:
            if len(self._read.get(name, ())) > 1:
                raise _malformed("a header that the decision reads is given more than once")
        if chunked:
            self._forward.append(b"Transfer-Encoding: chunked\r\n")
        forwarded_for = self._values.get(Role.FORWARDED_FOR)
        upgrade = self._values.get(Role.UPGRADE) if b"upgrade" in self._nominated else None
        return HeaderBlock(
            forward=b"".join(self._forward),
            host=host,
            presented=self._presented(),
            length=length,
            chunked=chunked,
            close=b"close" in self._nominated,
            upgrade=None if upgrade is None else b",".join(upgrade),
            expects_continue=expect is not None,
            forwarded_for=None if forwarded_for is None else b",".join(forwarded_for),
            forwarded_proto=self._alone(Role.FORWARDED_PROTO, _PROTO),
            forwarded_host=self._alone(Role.FORWARDED_HOST, _HOST_VALUE),
            websocket_key=self._websocket_key(),
            approval=self._once(Role.APPROVAL, "X-Sidegate-Approval"),
            request_id=self._single(b"x-request-id", _REQUEST_ID, 0),
            trace_id=self._single(b"traceparent", _TRACEPARENT, 1),
            fields={name: values for name, values in self._read.items() if name in self._rules.names.decisive},
        )

    def _alone(self, role: Role, form: re.Pattern[bytes]) -> bytes | None:
        values = self._values.get(role, [])
        return values[0] if len(values) == 1 and form.fullmatch(values[0]) else None

    def _websocket_key(self) -> bytes | None:
        """RFC 6455 section 4.2.1, items 5 and 6."""
        if self._single(b"sec-websocket-version", _VERSION_13, 0) is None:
            return None
        key = self._single(b"sec-websocket-key", _WEBSOCKET_KEY, 0)
        return None if key is None else key.encode()

    def _single(self, name: bytes, form: re.Pattern[bytes], group: int) -> str | None:
        values = self._read.get(name, ())
        match = form.fullmatch(values[0]) if len(values) == 1 else None
        return None if match is None else match[group].decode("ascii")

    def _presented(self) -> Presented:
        sessions, _ = read_cookies(self._values.get(Role.COOKIE, []), self._rules.cookie)
        authorizations = self._values.get(Role.AUTHORIZATION, [])
        api_keys = self._values.get(Role.API_KEY, [])
        return gather(sessions, authorizations, api_keys) if sessions or authorizations or api_keys else NOTHING


def _malformed(detail: str) -> WireError:
    return WireError(400, Reason.MALFORMED_REQUEST, detail)
