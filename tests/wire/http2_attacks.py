"""Attacks in HTTP/2: what a client sends as frames, and what has to become of it.

Stream 1 carries the attack. Behind it, on stream 9, comes a request that would be allowed: it has to be served wherever
the connection goes on, as what goes wrong with one stream is no matter to others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.exchange.http2_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    HELLO,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Fields,
    data,
    frame,
    headers,
    request,
    setting,
)
from tests.wire.attack import PATH

Build = Callable[[Fields, Fields], bytes]
"""Makes the frames of an attack, given the section of a GET that is allowed and of a PUT that is."""

ALLOW: Final = "allow"
M: Final = "400 malformed_request"
F: Final = "400 ambiguous_framing"
P: Final = "400 ambiguous_path"
RESET: Final = "reset 1"
CALM: Final = "goaway 11"
SMUGGLED: Final = b"GET " + PATH.replace(b"a.json", b"smuggled.json") + b" HTTP/1.1\r\nHost: h\r\n\r\n"


class Kind(Enum):
    """A class of attacks: title, origin, what Sidegate does."""

    LENGTH = (
        "H2.CL: a body that is not what `content-length` says",
        (
            "RFC 9113 8.1.1; HTTP/2: the sequel is always worse (PortSwigger, 2021); CVE-2021-21295, CVE-2021-21409 "
            "(Netty), CVE-2021-36740 (Varnish)"
        ),
        (
            "400 `ambiguous_framing` for a length that is odd; a stream whose payload is more or less "
            "is reset, and its "
            "upstream connection dropped before the request is whole"
        ),
    )
    CODING = (
        "H2.TE, connection-specific fields",
        "RFC 9113 8.2.2; PortSwigger, 2021",
        (
            "400 `malformed_request`: no `transfer-encoding`, `connection`, `keep-alive`, "
            "`proxy-connection`, `upgrade`, and "
            "`te` for `trailers` only; payload is framed by us"
        ),
    )
    INJECTION = (
        "Line ends, NUL, blanks and colons in names, values and pseudo-header fields",
        (
            "RFC 9113 8.2.1, 8.3.1, 10.3; PortSwigger, 2021; CVE-2025-57804 (h2), "
            "CVE-2021-33193 (httpd), CVE-2021-39241 (HAProxy), CVE-2019-9900 (Envoy)"
        ),
        "400 `malformed_request` for whatever is no token, no plain target, no host, no printable value",
    )
    PSEUDO = (
        "Pseudo-header fields: twice, missing, late, unknown, of answers",
        "RFC 9113 8.3; PortSwigger, 2021",
        "400 `malformed_request`: each exactly once, before all else, and none that is unknown",
    )
    AUTHORITY = (
        "`:authority` against `host`, `:scheme`, absolute targets",
        "RFC 9113 8.3.1; PortSwigger, 2021; CVE-2021-39240, CVE-2021-39242 (HAProxy)",
        "400 `malformed_request`: both say the same, `:scheme` is that of the socket, `:path` begins with a slash",
    )
    METHODS = (
        "CONNECT, extended CONNECT, other methods",
        "RFC 9113 8.5, RFC 8441",
        "405 for CONNECT, with `:protocol` or without, and for TRACE; no WebSocket over HTTP/2",
    )
    SAME_RULES = (
        "Paths, identity headers, cookies and limits, by way of HTTP/2",
        "those of HTTP/1.1, above",
        (
            "the request is written in the one form of HTTP/1.1 that says the same, and read by the "
            "same readers; crumbs of "
            "`cookie` are joined first"
        ),
    )
    STATES = (
        "Frames where they must not be",
        "RFC 9113 5.1, 6",
        "the stream is reset, or the connection ended; nothing behind is read",
    )
    RESETS = (
        "Rapid reset, and made you reset",
        "CVE-2023-44487, CVE-2025-8671; CVE-2019-9514",
        (
            "200 streams given up at once and 20 a second, whoever gives them up, then GOAWAY; one "
            "record each; what was not "
            "forwarded yet never is"
        ),
    )
    FLOODS = (
        "Floods of pings, settings, priorities, window updates, empty frames, continuations",
        (
            "CVE-2019-9511 to CVE-2019-9518, CVE-2024-27316 (httpd), CVE-2024-28182 (nghttp2), CVE-2023-45288 (Go), "
            "CVE-2024-30255 (Envoy)"
        ),
        (
            "200 frames that carry nothing at once and 50 a second, then GOAWAY, before they are "
            "looked at; settings that mean "
            "nothing are not kept"
        ),
    )
    COMPRESSION = (
        "HPACK bombs and broken compression",
        "RFC 7541; CVE-2016-6581 (hpack), CVE-2016-1544 (nghttp2)",
        (
            "GOAWAY: 64 KiB of encoded and 128 KiB of decoded fields at most; answers use no dynamic "
            "table, whatever size the "
            "client allows"
        ),
    )

    def __init__(self, title: str, origin: str, measure: str) -> None:
        self.title = title
        self.origin = origin
        self.measure = measure


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: Short, unique.
        kind: Its class.
        build: Makes its frames.
        verdict: What becomes of stream 1: status and reason of its record, ``allow``, the code of its reset, or that of
            the GOAWAY frame that ends everything.
        late: The same if its answer was there before the rest of it; empty if that cannot be.
        absent: Bytes that must not reach the upstream within a head.
        present: Bytes that must.
    """

    name: str
    kind: Kind
    build: Build
    verdict: str
    late: str = ""
    absent: tuple[bytes, ...] = ()
    present: tuple[bytes, ...] = ()

    def bytes_for(self, read: Fields, write: Fields) -> bytes:
        """Return everything that the client sends."""
        return HELLO + self.build(read, write) + headers(read, 9)


def with_fields(*more: tuple[bytes, bytes]) -> Build:
    """Return a GET with more fields."""
    return lambda read, _: headers([*read, *more])


def with_pseudo(name: bytes, value: bytes) -> Build:
    """Return a GET with another value of a pseudo-header field."""
    return lambda read, _: headers([(name, value) if one == name else (one, old) for one, old in read])


def with_body(payload: bytes, *more: tuple[bytes, bytes], end: bool = True) -> Build:
    """Return a PUT with a body."""
    return lambda _, write: headers([*write, *more], end=False) + data(payload, end=end)


def lengths() -> Iterator[Attack]:
    """H2.CL."""
    kind = Kind.LENGTH
    for name, length, payload in (
        ("short", b"3", b"abc" + SMUGGLED),
        ("long", b"999", b"abc"),
        ("long-by-one", b"4", b"abc"),
        ("nothing", b"3", b""),
    ):
        yield Attack(f"h2-cl-{name}", kind, with_body(payload, (b"content-length", length)), RESET)
    zero = with_body(SMUGGLED, (b"content-length", b"0"))
    yield Attack("h2-cl-zero", kind, zero, RESET, "allow", absent=(b"smuggled",))
    for name, values in {
        "signed": (b"+3",),
        "negative": (b"-3",),
        "padded": (b"003",),
        "list": (b"3, 3",),
        "hex": (b"0x3",),
        "twice": (b"3", b"3"),
        "twice-differing": (b"3", b"4"),
        "empty": (b"",),
    }.items():
        fields = [(b"content-length", value) for value in values]
        yield Attack(f"h2-cl-{name}", kind, with_body(b"abc", *fields), F)
    yield Attack("h2-cl-and-no-body", kind, with_fields((b"content-length", b"3")), F)
    yield Attack("h2-body-as-request", kind, with_body(SMUGGLED), ALLOW, absent=(b"smuggled",))
    yield Attack("h2-chunks-in-body", kind, with_body(b"0\r\n\r\n" + SMUGGLED), ALLOW, absent=(b"smuggled",))
    yield Attack(
        "h2-cl-more-behind",
        kind,
        (
            lambda _, write: (
                headers([*write, (b"content-length", b"3")], end=False) + data(b"abc", end=False) + data(SMUGGLED)
            )
        ),
        RESET,
    )


def codings() -> Iterator[Attack]:
    """H2.TE and its relatives."""
    kind = Kind.CODING
    body = b"0\r\n\r\n" + SMUGGLED
    for name, field in {
        "chunked": (b"transfer-encoding", b"chunked"),
        "identity": (b"transfer-encoding", b"identity"),
        "upper": (b"Transfer-Encoding", b"chunked"),
        "blank": (b"transfer-encoding ", b"chunked"),
        "colon": (b"transfer-encoding:", b"chunked"),
        "tab-in-value": (b"transfer-encoding", b"\tchunked"),
        "in-a-value": (b"x", b"1\r\ntransfer-encoding: chunked"),
        "in-a-name": (b"x: 1\r\ntransfer-encoding", b"chunked"),
        "te": (b"te", b"chunked"),
        "connection": (b"connection", b"content-length"),
        "connection-close": (b"connection", b"close"),
        "keep-alive": (b"keep-alive", b"timeout=5"),
        "proxy-connection": (b"proxy-connection", b"close"),
        "upgrade": (b"upgrade", b"h2c"),
    }.items():
        yield Attack(f"h2-te-{name}", kind, with_body(body, field), M)
    for name, alias in {"underscore": b"transfer_encoding", "dot": b"transfer.encoding"}.items():
        yield Attack(f"h2-te-{name}", kind, with_body(body, (alias, b"chunked")), ALLOW, absent=(alias, b"smuggled"))
    yield Attack("h2-settings-field", kind, with_fields((b"http2-settings", b"AA")), ALLOW, absent=(b"http2-settings",))
    yield Attack("h2-te-trailers", kind, with_fields((b"te", b"trailers")), ALLOW, absent=(b"\r\nte:",))


def injections() -> Iterator[Attack]:
    """Bytes that mean something in HTTP/1.1 only."""
    kind = Kind.INJECTION
    for name, value in {
        "crlf": b"1\r\nx-sidegate-account: user:root",
        "request": b"1\r\n\r\n" + SMUGGLED,
        "lf": b"1\nx: 2",
        "cr": b"1\rx: 2",
        "nul": b"1\x002",
        "leading-blank": b" 1",
        "trailing-blank": b"1 ",
        "trailing-tab": b"1\t",
        "bell": b"\x07",
    }.items():
        yield Attack(f"h2-value-{name}", kind, with_fields((b"x-a", value)), M)
    for name, field in {
        "crlf": b"x\r\ny",
        "line": b"x: 1\r\nx-sidegate-account",
        "colon": b"x:y",
        "blank": b"x y",
        "empty": b"",
        "upper": b"X-A",
        "nul": b"x\x00",
        "high": b"x\xe9",
    }.items():
        yield Attack(f"h2-name-{name}", kind, with_fields((field, b"1")), M)
    line = b" HTTP/1.1\r\nHost: evil\r\n\r\nGET /"
    for pseudo, values in {
        b":method": {
            "request": b"GET /admin" + line,
            "blank": b"GET ",
            "crlf": b"GET\r\n",
            "lower": b"get",
            "empty": b"",
        },
        b":path": {
            "request": PATH + line,
            "blank": PATH + b" x",
            "crlf": PATH + b"\r\nx: 1",
            "nul": PATH + b"\0",
            "fragment": PATH + b"#x",
            "high": PATH + b"\xff",
            "empty": b"",
        },
        b":authority": {
            "crlf": b"h\r\nx: 1",
            "blank": b"h x",
            "userinfo": b"root@h",
            "path": b"h/admin",
            "empty": b"",
        },
        b":scheme": {"crlf": b"http\r\nx: 1", "target": b"http://evil/?", "other": b"ftp", "empty": b""},
    }.items():
        for name, value in values.items():
            yield Attack(f"h2-{pseudo[1:].decode()}-{name}", kind, with_pseudo(pseudo, value), M)
    yield Attack(
        "h2-trailer-request",
        kind,
        (
            lambda _, write: (
                headers(write, end=False) + data(b"x", end=False) + headers([(b"x", b"1\r\n\r\n" + SMUGGLED)])
            )
        ),
        RESET,
        absent=(b"smuggled",),
    )


def pseudos() -> Iterator[Attack]:
    """Pseudo-header fields."""
    kind = Kind.PSEUDO
    for name in (b":method", b":scheme", b":authority", b":path"):
        text = name[1:].decode()
        yield Attack(f"h2-{text}-twice", kind, lambda read, _, name=name: headers([*_of(read, name), *read]), M)
        yield Attack(f"h2-{text}-late", kind, lambda read, _, name=name: headers([*read, *_of(read, name)]), M)
        yield Attack(
            f"h2-{text}-missing", kind, lambda read, _, name=name: headers([one for one in read if one[0] != name]), M
        )
    yield Attack("h2-status", kind, lambda read, _: headers([(b":status", b"200"), *read]), M)
    yield Attack("h2-interim", kind, lambda read, _: headers([(b":status", b"100"), *read]), M)
    yield Attack("h2-unknown", kind, lambda read, _: headers([(b":x", b"1"), *read]), M)
    yield Attack("h2-protocol", kind, lambda read, _: headers([(b":protocol", b"websocket"), *read]), M)
    yield Attack(
        "h2-path-in-trailers",
        kind,
        (lambda _, write: headers(write, end=False) + headers([(b":path", b"/admin")])),
        RESET,
        absent=(b"/admin",),
    )
    yield Attack("h2-nothing", kind, lambda *_: headers([]), M)


def _of(read: Fields, name: bytes) -> Fields:
    return [field for field in read if field[0] == name]


def authorities() -> Iterator[Attack]:
    """Who is asked."""
    kind = Kind.AUTHORITY
    yield Attack("h2-host-differs", kind, with_fields((b"host", b"evil")), M)
    yield Attack("h2-host-twice", kind, with_fields((b"host", b"h"), (b"host", b"h")), M)
    yield Attack("h2-host-agrees", kind, with_fields((b"host", b"H")), ALLOW, present=(b"\r\nHost: h\r\n",))
    yield Attack(
        "h2-host-alone",
        kind,
        (lambda read, _: headers([*(one for one in read if one[0] != b":authority"), (b"host", b"h")])),
        ALLOW,
        present=(b"\r\nHost: h\r\n",),
    )
    yield Attack("h2-scheme-https", kind, with_pseudo(b":scheme", b"https"), M)
    yield Attack("h2-path-absolute", kind, with_pseudo(b":path", b"http://evil" + PATH), M)
    yield Attack("h2-path-authority", kind, with_pseudo(b":path", b"//evil" + PATH), P)
    yield Attack("h2-path-asterisk", kind, with_pseudo(b":path", b"*"), M)


def methods() -> Iterator[Attack]:
    """Methods that are more than a method."""
    kind = Kind.METHODS
    connect = [(b":method", b"CONNECT"), (b":authority", b"127.0.0.1:22")]
    yield Attack(
        "h2-connect", kind, lambda *_: headers(connect, end=False) + data(b"SSH-2.0"), "405 method_not_allowed"
    )
    yield Attack(
        "h2-extended-connect",
        kind,
        (
            lambda read, _: headers(
                [
                    (b":protocol", b"websocket"),
                    *((name, b"CONNECT" if name == b":method" else value) for name, value in read),
                ],
                end=False,
            )
        ),
        "405 method_not_allowed",
    )
    yield Attack("h2-trace", kind, with_pseudo(b":method", b"TRACE"), "405 method_not_allowed")


def same_rules() -> Iterator[Attack]:
    """What holds for HTTP/1.1 holds here."""
    kind = Kind.SAME_RULES
    for name, path in {
        "dots": PATH + b"/../b",
        "encoded-dots": PATH + b"/%2e%2e/b",
        "encoded-slash": PATH + b"%2fb",
        "semicolon": PATH + b"%3bx",
        "two-slashes": PATH.replace(b"/files", b"//files"),
        "overlong": PATH + b"%c0%ae",
    }.items():
        yield Attack(f"h2-path-{name}", kind, with_pseudo(b":path", path), P)
    for name in (b"x-sidegate-account", b"x_sidegate_account", b"x-forwarded-for", b"x-original-url", b"x-envoy-a"):
        yield Attack(f"h2-{name.decode()}", kind, with_fields((name, b"evil")), ALLOW, absent=(b": evil",))
    yield Attack(
        "h2-two-sessions", kind, lambda read, write: headers([*read, _cookie(write)]), "401 ambiguous_credential"
    )
    yield Attack(
        "h2-session-cut-in-two",
        kind,
        (
            lambda read, _: headers(
                [*request(PATH), (b"cookie", b"__sess"), (b"cookie", b"ion=" + _cookie(read)[1][10:])]
            )
        ),
        "401 no_credential",
    )
    yield Attack(
        "h2-session-among-crumbs",
        kind,
        (lambda read, _: headers([*request(PATH), (b"cookie", b"a=1"), _cookie(read), (b"cookie", b"b=2")])),
        ALLOW,
        absent=(b"__session",),
        present=(b"cookie: a=1; b=2\r\n",),
    )
    yield Attack("h2-many-fields", kind, with_fields(*[(b"x", b"1")] * 120), "431 head_too_large")
    yield Attack("h2-long-head", kind, with_fields((b"x", b"1" * 33_000)), "431 head_too_large")
    yield Attack("h2-long-target", kind, with_pseudo(b":path", b"/" + b"a" * 8200), "414 target_too_long")


def _cookie(section: Fields) -> tuple[bytes, bytes]:
    return next(field for field in section if field[0] == b"cookie")


def states() -> Iterator[Attack]:
    """Frames where they must not be."""
    kind = Kind.STATES
    for name, sent, code in (
        ("data-on-stream-0", data(b"x", 0), 1),
        ("data-on-idle", data(b"x", 5), 1),
        ("reset-of-idle", frame(RST_STREAM, 0, 5, bytes(4)), 1),
        ("even-stream", headers(request(PATH), 2), 1),
        ("push-promise", frame(5, END_HEADERS, 1, bytes(4)), 1),
        ("lone-continuation", frame(CONTINUATION, END_HEADERS, 1, b"\x82"), 1),
        ("interrupted-section", frame(HEADERS, 0, 1, b"\x82") + frame(PING, 0, 0, bytes(8)), 1),
        ("continuation-of-another", frame(HEADERS, 0, 1, b"\x82") + frame(CONTINUATION, END_HEADERS, 3, b"\x84"), 1),
        ("padding-beyond", frame(DATA, 0x8, 1, b"\xff"), 1),
        ("settings-of-a-stream", frame(SETTINGS, 0, 1), 1),
        ("too-long", (16_385).to_bytes(3, "big") + b"\0\0\0\0\0\1", 6),
        ("window-overflow", frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), 3),
    ):
        yield Attack(f"h2-{name}", kind, lambda *_, sent=sent: sent, f"goaway {code}")
    yield Attack(
        "h2-data-behind-the-end",
        kind,
        (lambda read, _: headers(read) + data(SMUGGLED)),
        "reset 5",
        "goaway 5",
        absent=(b"smuggled",),
    )
    yield Attack(
        "h2-headers-behind-the-end",
        kind,
        (lambda read, _: headers(read) + headers(request(b"/admin"))),
        "reset 5",
        "goaway 5",
        absent=(b"/admin",),
    )
    yield Attack(
        "h2-stream-window-overflow",
        kind,
        (lambda read, _: headers(read) + frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff")),
        "reset 3",
        "allow",
    )


def resets() -> Iterator[Attack]:
    """Streams that are given up, one way or the other."""
    kind = Kind.RESETS
    yield Attack(
        "h2-rapid-reset",
        kind,
        (
            lambda *_: b"".join(
                headers(request(PATH), stream) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
                for stream in range(11, 1011, 2)
            )
        ),
        CALM,
    )
    yield Attack(
        "h2-made-you-reset",
        kind,
        (
            lambda *_: b"".join(
                headers(request(PATH), stream, end=False) + frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff")
                for stream in range(11, 1011, 2)
            )
        ),
        CALM,
    )
    yield Attack(
        "h2-made-you-reset-by-length",
        kind,
        (
            lambda *_: b"".join(
                headers([*request(PATH, method=b"PUT"), (b"content-length", b"1")], stream, end=False)
                + data(b"ab", stream)
                for stream in range(11, 1011, 2)
            )
        ),
        CALM,
    )


def floods() -> Iterator[Attack]:
    """Frames that carry nothing."""
    kind = Kind.FLOODS
    for name, one in {
        "ping": frame(PING, 0, 0, bytes(8)),
        "settings": frame(SETTINGS, 0, 0, setting(3, 7)),
        "acknowledgement": frame(SETTINGS, 1),
        "priority": frame(PRIORITY, 0, 7, bytes(4) + b"\x10"),
        "window-update": frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
        "reset-of-closed": frame(RST_STREAM, 0, 1, bytes(4)),
        "unknown": frame(0xEE, 0, 0, b"x"),
        "priority-update": frame(0x10, 0, 0, b"\0\0\0\1u=1"),
    }.items():
        yield Attack(f"h2-{name}-flood", kind, lambda *_, one=one: headers(request(b"/x")) + one * 500, CALM)
    yield Attack(
        "h2-empty-data-flood", kind, (lambda _, write: headers(write, end=False) + data(b"", end=False) * 500), CALM
    )
    yield Attack(
        "h2-padding-flood",
        kind,
        (lambda _, write: headers(write, end=False) + frame(DATA, 0x8, 1, b"\x10" + bytes(16)) * 500),
        CALM,
    )
    yield Attack(
        "h2-continuation-flood",
        kind,
        (lambda *_: frame(HEADERS, END_STREAM, 1, b"\x82") + frame(CONTINUATION, 0, 1, b"\x10\x01x\x011") * 500),
        CALM,
    )
    yield Attack(
        "h2-empty-continuation-flood", kind, lambda *_: frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * 500, CALM
    )
    many = b"".join(setting(code, 1) for code in range(100, 1000))
    yield Attack("h2-many-settings", kind, lambda *_: frame(SETTINGS, 0, 0, many), CALM)


def compression() -> Iterator[Attack]:
    """What does not decode, or to too much."""
    kind = Kind.COMPRESSION
    value = b"a" * 3800
    bomb = b"\x40\x01x\x7f\xd9\x1c" + value + b"\xbe" * 900
    yield Attack("h2-hpack-bomb", kind, lambda *_: frame(HEADERS, END_HEADERS | END_STREAM, 1, bomb), CALM)
    for name, block in {
        "index-0": b"\x80",
        "index-beyond": b"\xff\xff\x03",
        "endless-integer": b"\xff" + b"\x80" * 20,
        "bad-huffman": b"\x40\x84\xff\xff\xff\xff\x00",
        "truncated": b"\x40\x05ab",
        "table-too-large": b"\x3f\xff\xff\x03\x82",
        "late-update": b"\x82\x20",
    }.items():
        yield Attack(
            f"h2-hpack-{name}", kind, lambda *_, block=block: frame(HEADERS, END_HEADERS, 1, block), "goaway 1"
        )


ATTACKS: Final = tuple(
    attack
    for rows in (
        lengths,
        codings,
        injections,
        pseudos,
        authorities,
        methods,
        same_rules,
        states,
        resets,
        floods,
        compression,
    )
    for attack in rows()
)
