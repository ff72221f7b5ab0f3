"""Header lines of a request, read strictly (RFC 9112 section 5, spec 2.1 and 2.3).

Lines repeat from request to request, so each is judged once by its exact bytes and remembered: its grammar, llhttp's
opinion of it and what is done with it depend on nothing else. What lines say together is judged for every block, but
for the values of credentials, of which only that they are there makes a difference: a block that differs from a known
one in nothing but its token says the same, and presents something else.
"""

import re
from collections.abc import Sequence
from typing import Final

import httptools

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import hot_value, value
from sidegate.core.wire.credential import NOTHING, Presented, gather, read_cookies
from sidegate.core.wire.fields import NO_LENGTH, FramingError, llhttp_agrees, read_framing, split_field
from sidegate.core.wire.head import HOST_PATTERN, malformed
from sidegate.core.wire.memo import MakingMemo, Memo
from sidegate.core.wire.names import NamePolicy, Role

REMEMBERED_LINES: Final = 2048
REMEMBERED_BLOCKS: Final = 512
REMEMBERED_BLOCK_BYTES: Final = 4096
REMEMBERED_LINE_BYTES: Final = 2048
"""Longer lines are read anew each time, so that the memory stays below some 10 MiB whatever clients send."""

_HOST_VALUE = re.compile(HOST_PATTERN.encode())
_TOKENS = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*")
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_PROTO = re.compile(rb"https?")
_VERSION_13 = re.compile(rb"13")
# 16 bytes: 22 characters, the last of which holds only two bits, and the padding.
_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")

_FRAMING: Final = frozenset({Role.CONTENT_LENGTH, Role.TRANSFER_ENCODING})
# Read for each line: an attribute of an enum costs more than a call (CPython 3.11).
_COOKIE: Final = Role.COOKIE
_AUTHORIZATION: Final = Role.AUTHORIZATION
_API_KEY: Final = Role.API_KEY
_CONNECTION: Final = Role.CONNECTION
_PASS: Final = Role.PASS
_OBSERVED: Final = Role.OBSERVED
_PASSED: Final = frozenset({Role.PASS, Role.HOST, Role.CONTENT_LENGTH, Role.OBSERVED})
_CREDENTIALS: Final = frozenset({Role.COOKIE, Role.AUTHORIZATION, Role.API_KEY})
_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade"})
_NOBODY: Final[frozenset[bytes]] = frozenset()
_NO_COOKIES: Final[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = ((), ())


@hot_value
class HeaderBlock:
    """The header fields of a request in their one reading, but for the credential that they present.

    Attributes:
        forward: Header lines for the upstream, each with CRLF: order and spelling as they came, without hop-by-hop
            headers, aliases, overrides, credentials, `Expect` and framing that we re-make.
        host: Value of ``Host``.
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


@hot_value
class _Line:
    """One header line.

    Attributes:
        name: Lower case.
        field: Value without surrounding white space.
        role: What is done with it.
        forward: What of it goes upstream, with CRLF; empty for nothing.
        nominated: For ``Connection``: the tokens, lower case.
        decisive: A route reads it.
        sessions: For ``Cookie``: the values of the session cookie.
        presented: What it presents if no other line does; None if it is no line of a credential.
        shape: What of it the reading of its block depends on: its bytes, or of a credential all but its value.
    """

    name: bytes
    field: bytes
    role: Role
    forward: bytes
    nominated: frozenset[bytes]
    decisive: bool
    sessions: tuple[bytes, ...]
    presented: Presented | None
    shape: bytes


@hot_value
class _Known:
    """What lines of these shapes say together.

    Attributes:
        block: Their reading.
        bearing: Places of the lines that present a credential.
    """

    block: HeaderBlock
    bearing: tuple[int, ...]


class HeaderReader:
    """Reads header blocks by the same rules, and remembers lines, and what they say together.

    Args:
        rules: See there.
    """

    __slots__ = ("_blocks", "_lines", "_rules")

    def __init__(self, rules: HeaderRules) -> None:
        self._rules = rules
        self._lines: MakingMemo[bytes, _Line] = MakingMemo(REMEMBERED_LINES, self._read_line)
        self._blocks: Memo[tuple[bytes, ...], _Known] = Memo(REMEMBERED_BLOCKS)

    def read(self, block: bytes) -> tuple[HeaderBlock, Presented]:
        """Read header lines, each ending in CRLF, without the empty line that ends the head.

        Returns:
            Their reading, the very same for lines that differ in the values of credentials only; and what they present.

        Raises:
            WireError: 400 by spec 2.1 and 2.3; 417 for an unknown expectation; 431 for too many fields.
        """
        raw = block.split(b"\r\n")
        if raw.pop():
            raise malformed("the last header line does not end in CRLF")
        if len(raw) > self._rules.max_fields:
            detail = f"the request has more than {self._rules.max_fields} header lines"
            raise WireError(431, Reason.HEAD_TOO_LARGE, detail)
        get = self._lines.get
        lines = [get(line) if len(line) <= REMEMBERED_LINE_BYTES else self._read_line(line) for line in raw]
        shapes = tuple([line.shape for line in lines])
        known = self._blocks.find(shapes)
        if known is None:
            bearing = tuple([place for place, line in enumerate(lines) if line.presented is not None])
            known = _Known(self._assemble(lines), bearing)
            if sum(map(len, shapes)) <= REMEMBERED_BLOCK_BYTES:
                self._blocks.remember(shapes, known)
        return known.block, _present(lines, known.bearing)

    # One line.

    def _read_line(self, raw: bytes) -> _Line:
        found = split_field(raw)
        if found is None:
            raise malformed("a header line is not `Name: value` in printable bytes, ended by CRLF, without folding")
        name, field = found
        role = self._rules.names.role_of(name)
        if role in _FRAMING:
            try:
                # Judged before llhttp, which would only say "no": ambiguous framing has a reason of its own.
                read_framing([found])
            except FramingError as error:
                raise _ambiguous(error) from None
        if not llhttp_agrees(httptools.HttpRequestParser, b"GET / HTTP/1.1\r\n%b\r\n\r\n" % raw, [found]):
            raise malformed("a header line is not valid HTTP/1.1, or can be read in two ways")
        lower = name.lower()
        sessions, rest = read_cookies((field,), self._rules.cookie) if role is _COOKIE else _NO_COOKIES
        forward = self._forwarded(name, field, role, rest)
        decisive = lower in self._rules.names.decisive
        presented = _present_alone(role, field, sessions) if role in _CREDENTIALS else None
        return _Line(
            lower,
            field,
            role,
            forward,
            self._read_connection(field) if role is _CONNECTION else _NOBODY,
            decisive,
            sessions,
            presented,
            # No line holds a line feed, so this is no other line's.
            raw if presented is None or decisive else b"\n%b\n%b" % (lower, forward),
        )

    def _forwarded(self, name: bytes, field: bytes, role: Role, rest: tuple[bytes, ...]) -> bytes:
        if role in _PASSED:
            return b"%b: %b\r\n" % (name, field)
        if role not in _CREDENTIALS:
            return b""
        if self._rules.keep_credentials:
            # A Cookie line that holds nothing is left out, as where something was cut out of it.
            return b"%b: %b\r\n" % (name, field) if field or role is not _COOKIE else b""
        left = b"".join(rest) if role is _COOKIE else b""
        return b"%b: %b\r\n" % (name, left) if left else b""

    def _read_connection(self, field: bytes) -> frozenset[bytes]:
        if not field:
            return _NOBODY
        if _TOKENS.fullmatch(field) is None:
            raise malformed("Connection is not a list of tokens")
        nominated = frozenset(token.strip(b" \t").lower() for token in field.split(b","))
        if any(self._rules.names.is_protected(name) for name in nominated):
            raise malformed("Connection names a header that must reach the upstream or must not be dropped")
        return nominated

    # All lines together.

    def _assemble(self, lines: Sequence[_Line]) -> HeaderBlock:
        forward: list[bytes] = []
        special: dict[Role, list[bytes]] = {}
        fields: dict[bytes, tuple[bytes, ...]] = {}
        observed: dict[bytes, bytes | None] = {}
        nominated = _NOBODY
        repeats = False
        for line in lines:
            role = line.role
            if role is _OBSERVED:
                # Given twice, it says nothing.
                observed[line.name] = None if line.name in observed else line.field
            elif role is not _PASS:
                special.setdefault(role, []).append(line.field)
                if role is _CONNECTION:
                    nominated |= line.nominated
            if line.decisive:
                repeats = repeats or line.name in fields
                fields[line.name] = (line.field,)
            forward.append(line.forward)
        if nominated - _OPTIONS:
            forward = [line.forward for line in lines if line.name not in nominated]
        if repeats:
            raise malformed("a header that the decision reads is given more than once")
        length, chunked = _framing(special)
        if chunked:
            forward.append(b"Transfer-Encoding: chunked\r\n")
        host = _once(special, Role.HOST, "Host")
        if host is None or _HOST_VALUE.fullmatch(host) is None:
            raise malformed("Host is not given once as host or host:port")
        expect = _once(special, Role.EXPECT, "Expect")
        if expect is not None and expect.lower() != b"100-continue":
            raise WireError(417, Reason.EXPECTATION_FAILED, "the only expectation met here is 100-continue")
        upgrade = special.get(Role.UPGRADE) if b"upgrade" in nominated else None
        forwarded_for = special.get(Role.FORWARDED_FOR)
        is_13 = _read(observed.get(b"sec-websocket-version"), _VERSION_13) is not None
        return HeaderBlock(
            b"".join(forward),
            host,
            length,
            chunked,
            b"close" in nominated,
            None if upgrade is None else b",".join(upgrade),
            expect is not None,
            None if forwarded_for is None else b",".join(forwarded_for),
            _alone(special.get(Role.FORWARDED_PROTO), _PROTO),
            _alone(special.get(Role.FORWARDED_HOST), _HOST_VALUE),
            _read(observed.get(b"sec-websocket-key"), _WEBSOCKET_KEY) if is_13 else None,
            _once(special, Role.APPROVAL, "X-Sidegate-Approval"),
            _text(_read(observed.get(b"x-request-id"), _REQUEST_ID)),
            _text(_read(observed.get(b"traceparent"), _TRACEPARENT, 1)),
            fields,
        )


def _present_alone(role: Role, field: bytes, sessions: tuple[bytes, ...]) -> Presented | None:
    if role is _COOKIE:
        return gather(sessions, (), ()) if sessions else None
    return gather((), (field,), ()) if role is _AUTHORIZATION else gather((), (), (field,))


def _present(lines: Sequence[_Line], bearing: tuple[int, ...]) -> Presented:
    """Put together what the lines at *bearing* present."""
    if not bearing:
        return NOTHING
    if len(bearing) == 1:
        alone = lines[bearing[0]].presented
        assert alone is not None  # noqa: S101 - that makes it a bearing line
        return alone
    all_of = [lines[place] for place in bearing]
    return gather(
        [session for line in all_of for session in line.sessions],
        [line.field for line in all_of if line.role is _AUTHORIZATION],
        [line.field for line in all_of if line.role is _API_KEY],
    )


def _framing(special: dict[Role, list[bytes]]) -> tuple[int, bool]:
    if special.keys().isdisjoint(_FRAMING):
        return NO_LENGTH, False
    lengths = [(b"content-length", field) for field in special.get(Role.CONTENT_LENGTH, ())]
    codings = [(b"transfer-encoding", field) for field in special.get(Role.TRANSFER_ENCODING, ())]
    try:
        return read_framing(lengths + codings)
    except FramingError as error:
        raise _ambiguous(error) from None


def _once(special: dict[Role, list[bytes]], role: Role, what: str) -> bytes | None:
    values = special.get(role)
    if values is None:
        return None
    if len(values) > 1:
        raise malformed(f"{what} is given more than once")
    return values[0]


def _alone(values: list[bytes] | None, form: re.Pattern[bytes]) -> bytes | None:
    return values[0] if values is not None and len(values) == 1 and form.fullmatch(values[0]) else None


def _read(field: bytes | None, form: re.Pattern[bytes], group: int = 0) -> bytes | None:
    match = None if field is None else form.fullmatch(field)
    return None if match is None else match[group]


def _text(field: bytes | None) -> str | None:
    return None if field is None else field.decode("ascii")


def _ambiguous(error: FramingError) -> WireError:
    return WireError(400, Reason.AMBIGUOUS_FRAMING, str(error))
