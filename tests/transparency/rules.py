"""What may differ between an exchange without Sidegate and one with it: the whole list, each with the rule it rests on.

What was seen without Sidegate is changed by these rules and nothing else, and has to equal what was seen with it, byte
by byte. The rules are written anew here, from the specification and the RFCs, and share no code with Sidegate.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tests.transparency.exchange import Progress
from tests.wire.strict import IncompleteError, Message, canonical_path, read_chunks, read_head


class Difference(Enum):
    """One difference: what it is, and the rule that asks for it."""

    CREDENTIAL = "the session cookie is cut out of `Cookie`; API keys and bearer tokens are dropped", "spec 2.3 (4)"
    IDENTITY = "identity and forwarding headers stand behind the client's own, once each", "spec 2.3 (5)"
    HOP_BY_HOP = (
        "`Connection`, what it names, `Keep-Alive`, `TE`, `Trailer`, `Upgrade` and `Proxy-*` are dropped, both ways",
        "spec 2.3 (1), RFC 9110 7.6.1",
    )
    OVERRIDES = (
        "headers that override target, method or origin, and aliases of others, are dropped",
        "spec 2.3 (2), (3)",
    )
    EXPECT = "`Expect: 100-continue` is answered by Sidegate and not forwarded; 100 is swallowed", "spec 2.1, 2.5"
    CANONICAL_PATH = "the path is forwarded in its canonical escapes", "spec 2.2"
    ABSOLUTE_FORM = "a target in absolute form is forwarded in origin form", "spec 2.1"
    VERSION = "HTTP/1.0 is forwarded as HTTP/1.1, both ways", "spec 2.1, RFC 9110 2.5"
    BLANKS = "one blank follows a header's colon, none its value", "spec 2.1, RFC 9112 5.1"
    CHUNKS = (
        "chunked bodies are framed anew, without extensions; `Transfer-Encoding` stands behind the other headers",
        "spec 2.1, RFC 9112 7.1",
    )
    TRAILERS = "trailers are dropped, both ways", "spec 2.1"
    UNCHUNKED = "a client of HTTP/1.0 gets a chunked answer plain, ended by its connection", "RFC 9112 6.1"
    CLOSE = "`Connection: close` is said where Sidegate closes", "spec 2.5, 2.6, RFC 9112 9.6"
    NO_LENGTH = "1xx and 204 lose `Content-Length`", "RFC 9110 8.6"
    SWITCH = "`Connection: Upgrade` and `Upgrade: websocket` are written anew", "spec 2.6"

    def __init__(self, what: str, rule: str) -> None:
        self.what = what
        self.rule = rule


Field = tuple[bytes, bytes]

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
        b"trailer", b"upgrade", b"http2-settings",
    }
)  # fmt: skip
_OVERRIDES: Final = re.compile(
    rb"x-original-ur[il]|x-rewrite-url|x-http-method(-override)?|x-method-override|x-real-ip|forwarded"
    rb"|x-forwarded-.*|x-envoy-.*|x-sidegate-.*|x-middleware-subrequest|content_length|transfer\.encoding|x_real_ip"
)
_SESSION: Final = b"__session="
_IDENTITY: Final = (
    rb"X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: %b\r\n"
    rb"X-Sidegate-Account: (?:user:ana|service:ci)\r\nX-Sidegate-Organization: acme\r\n"
    rb"X-Sidegate-Authority: write\r\nX-Sidegate-Target: p1@x:[!-~]+\r\nX-Sidegate-Revision: [0-9]+\r\n"
    rb"X-Sidegate-Decision: [0-9a-f-]{36}\r\n"
)
_WEBSOCKET: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


@dataclass
class Sight:
    """Messages of one direction in the form in which they are compared.

    Attributes:
        heads: Of interim and final messages, with the empty line.
        payloads: Of final messages, without chunked framing; behind a switch all that follows.
        used: What was changed to come to this.
    """

    heads: list[bytes] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    used: set[Difference] = field(default_factory=set)


def expected_upstream(direct: bytes) -> Sight:
    """Return what the upstream has to see with Sidegate, but for identity headers, from what it saw without."""
    sight = Sight()
    while direct:
        raw = direct
        start, fields, rest = read_head(direct)
        payload, direct, chunked = _body(start, fields, rest, sight, method=b"")
        message = Message(start, fields, b"", chunked)
        is_switch = message.values(b"Upgrade")[-1:] == [b"websocket"]
        lines = _request_line(message, sight)
        lines += _kept(message, sight, raw)
        if chunked:
            lines += b"Transfer-Encoding: chunked\r\n"
        if is_switch:
            lines += _WEBSOCKET
            sight.used.add(Difference.SWITCH)
            payload, direct = direct, b""
        sight.heads.append(lines)
        sight.payloads.append(payload)
    return sight


def seen_upstream(through: bytes, expected: Sight) -> Sight:
    """Return what the upstream saw with Sidegate, without identity headers, which have to be right."""
    sight = Sight()
    while through:
        head, _, rest = through.partition(b"\r\n\r\n")
        start, fields, _ = read_head(head + b"\r\n\r\n")
        (host,) = [value for name, value in fields if name.lower() == b"host"]
        identity = re.search(_IDENTITY % re.escape(host) + rb"\Z", head + b"\r\n")
        assert identity is not None, f"the identity headers are not those expected: {head!r}"
        expected.used.add(Difference.IDENTITY)
        payload, through, _ = _body(start, fields, rest, Sight(), method=b"", is_plain=True)
        if head[: identity.start()].endswith(_WEBSOCKET):
            payload, through = rest, b""
        sight.heads.append((head + b"\r\n")[: identity.start()])
        sight.payloads.append(payload)
    return sight


def expected_client(direct: bytes, method: bytes, request: bytes, *, closes: bool) -> Sight:
    """Return what the client has to see with Sidegate, from what it saw without."""
    sight = Sight()
    is_old = b" HTTP/1.0\r\n" in request
    while direct:
        raw = direct
        start, fields, rest = read_head(direct)
        message = Message(start, fields, b"", chunked=False)
        status = message.status
        payload, direct, chunked = _body(start, fields, rest, sight, method=method)
        if status == 100:
            sight.used.add(Difference.EXPECT)
            continue
        if start.startswith(b"HTTP/1.0"):
            sight.used.add(Difference.VERSION)
        lines = b"HTTP/1.1" + start[8:] + b"\r\n" + _kept(message, sight, raw)
        is_final = status >= 200
        if chunked and is_final:
            if is_old:
                sight.used.add(Difference.UNCHUNKED)
            else:
                lines += b"Transfer-Encoding: chunked\r\n"
        if status == 101:
            lines += _WEBSOCKET
            sight.used.add(Difference.SWITCH)
            payload, direct = rest, b""
        elif closes and is_final:
            lines += b"Connection: close\r\n"
            sight.used.add(Difference.CLOSE)
        sight.heads.append(lines)
        if is_final or status == 101:
            sight.payloads.append(payload)
    return sight


def seen_client(through: bytes, method: bytes) -> Sight:
    """Return what the client saw with Sidegate."""
    sight = Sight()
    while through:
        start, fields, rest = read_head(through)
        status = Message(start, fields, b"", chunked=False).status
        payload, behind, _ = _body(start, fields, rest, Sight(), method=method, is_plain=True)
        if status == 100:
            through = behind
            continue
        sight.heads.append(through[: len(through) - len(rest) - 2])
        if status == 101:
            payload, behind = rest, b""
        if status >= 200 or status == 101:
            sight.payloads.append(payload)
        through = behind
    return sight


def _request_line(message: Message, sight: Sight) -> bytes:
    method, target, version = message.start.split(b" ")
    path = canonical_path(target)
    _, mark, query = target.partition(b"?")
    if not target.startswith(b"/"):
        sight.used.add(Difference.ABSOLUTE_FORM)
    elif path != target.partition(b"?")[0]:
        sight.used.add(Difference.CANONICAL_PATH)
    if version == b"HTTP/1.0":
        sight.used.add(Difference.VERSION)
    return b"%b %b HTTP/1.1\r\n" % (method, path + mark + query)


def _kept(message: Message, sight: Sight, raw: bytes) -> bytes:
    """Return the header lines that are kept, in order."""
    nominated = {
        token.strip(b" \t").lower() for value in message.values(b"Connection") for token in value.split(b",")
    } - {b""}
    is_answer = message.start.startswith(b"HTTP/")
    lines = []
    for name, given in message.fields:
        lower, value = name.lower(), given
        if lower in _HOP_BY_HOP or lower in nominated:
            sight.used.add(Difference.HOP_BY_HOP)
            continue
        if lower == b"transfer-encoding":
            sight.used.add(Difference.CHUNKS)
            continue
        if is_answer:
            if lower == b"content-length" and (message.status < 200 or message.status == 204):
                sight.used.add(Difference.NO_LENGTH)
                continue
        elif _OVERRIDES.fullmatch(lower):
            sight.used.add(Difference.OVERRIDES)
            continue
        elif lower == b"expect":
            sight.used.add(Difference.EXPECT)
            continue
        elif lower in {b"authorization", b"x-api-key"}:
            sight.used.add(Difference.CREDENTIAL)
            continue
        elif lower == b"cookie" and _SESSION in value:
            sight.used.add(Difference.CREDENTIAL)
            value = b";".join(pair for pair in value.split(b";") if not pair.strip(b" \t").startswith(_SESSION))
            value = value.strip(b" \t")
            if not value:
                continue
        if b"\r\n%b: %b\r\n" % (name, given) not in raw:
            sight.used.add(Difference.BLANKS)
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


def _body(
    start: bytes, fields: tuple[Field, ...], rest: bytes, sight: Sight, *, method: bytes, is_plain: bool = False
) -> tuple[bytes, bytes, bool]:
    """Return payload, what follows, and whether the message says that it is chunked.

    Args:
        is_plain: Chunks must have neither extensions nor trailers.
    """
    names = {name.lower(): value for name, value in fields}
    is_answer = start.startswith(b"HTTP/")
    chunked = b"transfer-encoding" in names
    if is_answer and (method == b"HEAD" or start[9:10] == b"1" or start[9:12] in {b"204", b"304"}):
        return b"", rest, chunked
    if chunked:
        return *_unchunked(rest, sight, is_plain=is_plain), True
    if b"content-length" in names:
        length = int(names[b"content-length"])
        return rest[:length], rest[length:], False
    return (rest, b"", False) if is_answer else (b"", rest, False)


def _unchunked(rest: bytes, sight: Sight, *, is_plain: bool) -> tuple[bytes, bytes]:
    """Return the payload of a chunked body that may be cut within, and what follows."""
    try:
        payload, behind = read_chunks(rest, plain=is_plain)
    except IncompleteError:
        progress = Progress()
        progress.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + rest)
        return bytes(progress.taken), b""
    framing = rest[: len(rest) - len(behind)]
    if not framing.endswith(b"0\r\n\r\n"):
        sight.used.add(Difference.TRAILERS)
    return payload, behind
