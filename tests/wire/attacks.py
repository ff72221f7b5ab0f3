"""Attacks on the wire as bytes, each with the class it belongs to and where it comes from; docs/security/wire.md is
written from this table and held to it.

In the bytes ``{P}`` is a path that vera may read and ana may write, ``{V}`` and ``{A}`` are Cookie lines of the two,
``{N}`` is a whole request that vera may make: if a byte too many or too few is read anywhere, it is what runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.wire.kinds import Kind

PATH: Final = b"/v1/orgs/acme/projects/p1/branches/x/files/a.json"
NEXT: Final = b"GET " + PATH.replace(b"a.json", b"next.json") + b" HTTP/1.1\r\nHost: h\r\n{V}\r\n"


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: Short, unique.
        kind: Its class.
        data: What the client sends.
        verdicts: Status and reason of each record, in order; ``allow`` for what is forwarded. Nothing else happens.
        absent: Bytes that must not reach the upstream, in any case.
        present: Bytes that must.
    """

    name: str
    kind: Kind
    data: bytes
    verdicts: tuple[str, ...]
    absent: tuple[bytes, ...] = ()
    present: tuple[bytes, ...] = ()

    def bytes_for(self, vera: bytes, ana: bytes) -> bytes:
        """Return what is sent, with tokens put in."""
        data = self.data.replace(b"{N}", NEXT).replace(b"{P}", PATH)
        lines = (b"Cookie: __session=%b\r\n" % token for token in (vera, ana))
        data = data.replace(b"{V}", next(lines)).replace(b"{A}", next(lines))
        return data.replace(b"{vera}", vera).replace(b"{ana}", ana)


F: Final = "400 ambiguous_framing"
M: Final = "400 malformed_request"
P: Final = "400 ambiguous_path"
ALLOW: Final = "allow"

_POST = b"POST {P} HTTP/1.1\r\nHost: h\r\n{A}"
_GET = b"GET {P} HTTP/1.1\r\nHost: h\r\n{V}"


def _framing() -> Iterator[Attack]:
    smuggled = b"0\r\n\r\n{N}"
    rows: dict[str, bytes] = {
        "cl-te": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled,
        "te-cl": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + smuggled,
        "te-te-identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + smuggled,
        "te-te-same": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled,
        "te-list": b"Transfer-Encoding: chunked, chunked\r\n\r\n" + smuggled,
        "te-list-identity": b"Transfer-Encoding: identity, chunked\r\n\r\n" + smuggled,
        "te-list-trailing-comma": b"Transfer-Encoding: chunked,\r\n\r\n" + smuggled,
        "te-xchunked": b"Transfer-Encoding: xchunked\r\n\r\n" + smuggled,
        "te-chunkedx": b"Transfer-Encoding: chunkedx\r\n\r\n" + smuggled,
        "te-quoted": b'Transfer-Encoding: "chunked"\r\n\r\n' + smuggled,
        "te-parameter": b"Transfer-Encoding: chunked;q=1\r\n\r\n" + smuggled,
        "te-empty": b"Transfer-Encoding:\r\n\r\n" + smuggled,
        "te-empty-and-cl": b"Transfer-Encoding: \r\nContent-Length: 5\r\n\r\n" + smuggled,
        "te-gzip": b"Transfer-Encoding: gzip\r\n\r\n" + smuggled,
        "te-high-byte": b"Transfer-Encoding: \xa0chunked\r\n\r\n" + smuggled,
        "te-kelvin": b"Transfer-Encoding: chun\xe2\x84\xaaed\r\n\r\n" + smuggled,
        "te-true": b"Transfer-Encoding: true\r\n\r\n" + smuggled,
        "cl-cl-differ": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello{N}",
        "cl-cl-same": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello{N}",
        "cl-cl-case": b"content-length: 5\r\nCONTENT-LENGTH: 5\r\n\r\nhello{N}",
        "cl-list": b"Content-Length: 5, 5\r\n\r\nhello{N}",
        "cl-plus": b"Content-Length: +5\r\n\r\nhello{N}",
        "cl-minus": b"Content-Length: -5\r\n\r\nhello{N}",
        "cl-leading-zero": b"Content-Length: 05\r\n\r\nhello{N}",
        "cl-hex": b"Content-Length: 0x5\r\n\r\nhello{N}",
        "cl-underscore": b"Content-Length: 1_0\r\n\r\nhello{N}",
        "cl-exponent": b"Content-Length: 1e1\r\n\r\nhello{N}",
        "cl-fraction": b"Content-Length: 5.0\r\n\r\nhello{N}",
        "cl-inner-blank": b"Content-Length: 5 0\r\n\r\nhello{N}",
        "cl-empty": b"Content-Length:\r\n\r\nhello{N}",
        "cl-64-bit": b"Content-Length: 18446744073709551621\r\n\r\nhello{N}",
        "cl-32-bit-and-more": b"Content-Length: 10000000000000000000\r\n\r\nhello{N}",
        "cl-arabic-digit": b"Content-Length: \xd9\xa5\r\n\r\nhello{N}",
        "cl-semicolon": b"Content-Length: 5;x\r\n\r\nhello{N}",
    }
    for name, lines in rows.items():
        yield Attack(name, Kind.FRAMING, _POST + lines, (F,))
    get = _GET + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled
    yield Attack("cl-te-of-get", Kind.FRAMING, get, (F,))
    old = b"POST {P} HTTP/1.0\r\nHost: h\r\n{A}Transfer-Encoding: chunked\r\n\r\n"
    yield Attack("te-on-1.0", Kind.FRAMING, old + smuggled, (F,))
    # 0x0b and 0x0c are blanks to some, and a control character in a value here.
    for byte in (b"\x0b", b"\x0c", b"\x00", b"\x7f", b"\x1f"):
        line = b"Transfer-Encoding:" + byte + b"chunked\r\n\r\n"
        yield Attack(f"te-control-{byte.hex()}", Kind.FRAMING, _POST + line + smuggled, (M,))
    tab = _POST + b"Transfer-Encoding:\t CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    yield Attack("te-tab-and-case", Kind.FRAMING, tab, (ALLOW,), (b"CHUNKED",), (b"Transfer-Encoding: chunked\r\n",))
    for header in (b"Content_Length", b"Content.Length", b"Content-Length-", b"-Content-Length", b"Content--Length"):
        alias = _POST + header + b": 40\r\n\r\n{N}"
        yield Attack(f"alias-{header.decode()}", Kind.FRAMING, alias, (ALLOW, ALLOW), (header,))
    for header in (b"Transfer_Encoding", b"Transfer.Encoding", b"TransferEncoding", b"Transfer-Encoding'"):
        alias = _POST + b"Content-Length: 5\r\n" + header + b": chunked\r\n\r\n0\r\n\r\n{N}"
        yield Attack(f"alias-{header.decode()}", Kind.FRAMING, alias, (ALLOW, ALLOW), (header,))
    long = _POST + b"Content-Length" + b"A" * 256 + b": 0\r\nContent-Length: 5\r\n\r\nhello{N}"
    yield Attack("long-name", Kind.FRAMING, long, (ALLOW, ALLOW))


def _chunks() -> Iterator[Attack]:
    head = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
    # The head passes, the body breaks: allowed, then ended with 400 and without a request behind it.
    for name, body in {
        "lf-after-size": b"5\nhello\r\n0\r\n\r\n{N}",
        "lf-after-extension": b"5;x\nhello\r\n0\r\n\r\n{N}",
        "term-ext": b"2;\nxx\r\n32\r\n0\r\n\r\n{N}",
        "ext-term-cr": b"2;\rxx\r\n0\r\n\r\n{N}",
        "cr-in-extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n{N}",
        "crcrlf": b"5\r\r\nhello\r\n0\r\n\r\n{N}",
        "cr-after-size": b"5\rhello\r\n0\r\n\r\n{N}",
        "lf-after-data": b"5\r\nhello\n0\r\n\r\n{N}",
        "spill": b"5\r\nhelloXX0\r\n\r\n{N}",
        "spill-of-one": b"5\r\nhelloX\r\n0\r\n\r\n{N}",
        "no-line-end-after-data": b"5\r\nhello0\r\n\r\n{N}",
        "lf-at-the-end": b"5\r\nhello\r\n0\r\n\n{N}",
        "lf-after-last": b"5\r\nhello\r\n0\n\r\n{N}",
        "prefix-0x": b"0x5\r\nhello\r\n0\r\n\r\n{N}",
        "plus": b"+5\r\nhello\r\n0\r\n\r\n{N}",
        "minus": b"-5\r\nhello\r\n0\r\n\r\n{N}",
        "underscore": b"0_5\r\nhello\r\n0\r\n\r\n{N}",
        "blank-before": b" 5\r\nhello\r\n0\r\n\r\n{N}",
        "blank-after": b"5 \r\nhello\r\n0\r\n\r\n{N}",
        "tab-after": b"5\t\r\nhello\r\n0\r\n\r\n{N}",
        "blank-before-extension": b"5 ;x\r\nhello\r\n0\r\n\r\n{N}",
        "empty-size": b"\r\nhello\r\n0\r\n\r\n{N}",
        "extension-without-size": b";x\r\nhello\r\n0\r\n\r\n{N}",
        "not-hex": b"g\r\nhello\r\n0\r\n\r\n{N}",
        "overflow-64": b"10000000000000005\r\nhello\r\n0\r\n\r\n{N}",
        "overflow-sixteen-digits": b"0000000000000005\r\nhello\r\n0\r\n\r\n{N}",
        "nul-in-extension": b"5;\x00\r\nhello\r\n0\r\n\r\n{N}",
        "high-byte-in-extension": b"5;\xff\r\nhello\r\n0\r\n\r\n{N}",
        "long-extension": b"5;" + b"x" * 256 + b"\r\nhello\r\n0\r\n\r\n{N}",
        "many-extensions": b"1;" + b"x" * 100 + b"\r\na\r\n1;" + b"x" * 100 + b"\r\nb\r\n1;" + b"x" * 100 + b"\r\n{N}",
        "arabic-digit": b"\xd9\xa5\r\nhello\r\n0\r\n\r\n{N}",
    }.items():
        yield Attack(f"chunk-{name}", Kind.CHUNKS, head + body, (ALLOW,), (b"next.json",))
    for name, body in {
        "extension": b"5;a=b\r\nhello\r\n0;c\r\n\r\n{N}",
        "quoted-extension": b'5;a="; 0\\""\r\nhello\r\n0\r\n\r\n{N}',
        "empty-extension": b"5;\r\nhello\r\n0\r\n\r\n{N}",
        "leading-zeros": b"00005\r\nhello\r\n000\r\n\r\n{N}",
        "upper-hex": b"A\r\n0123456789\r\n0\r\n\r\n{N}",
        "request-in-a-chunk": b"5\r\n0\r\n\r\n\r\n0\r\n\r\n{N}",
    }.items():
        yield Attack(f"chunk-ok-{name}", Kind.CHUNKS, head + body, (ALLOW, ALLOW), (b";a=b", b";c\r\n"))
    # TE.0: the framing of a method that usually has no body is kept all the same.
    for method in (b"GET", b"OPTIONS", b"HEAD", b"DELETE"):
        data = method + b" {P} HTTP/1.1\r\nHost: h\r\n{A}Transfer-Encoding: chunked\r\n\r\n5\r\n{abc}\r\n0\r\n\r\n{N}"
        refused = {b"OPTIONS": ("403 unmapped_route",), b"DELETE": ("403 not_granted",)}
        yield Attack(f"te-0-{method.decode()}", Kind.CHUNKS, data, refused.get(method, (ALLOW, ALLOW)))


def _lines() -> Iterator[Attack]:
    for name, lines in {
        "blank-before-colon": b"Content-Length : 5\r\n\r\nhello{N}",
        "tab-before-colon": b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n{N}",
        "blank-before-name": b" Content-Length: 5\r\n\r\nhello{N}",
        "fold-blank": b"X: a\r\n Content-Length: 5\r\n\r\nhello{N}",
        "fold-tab": b"X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{N}",
        "fold-of-nothing": b"X: a\r\n \r\n\r\n{N}",
        "lf-between": b"X: a\nContent-Length: 5\r\n\r\nhello{N}",
        "cr-between": b"X: a\rContent-Length: 5\r\n\r\nhello{N}",
        "crcrlf": b"X: a\r\r\nContent-Length: 5\r\n\r\nhello{N}",
        "lflf": b"X: a\n\n{N}",
        "crlf-lf": b"X: a\r\n\n{N}",
        "lf-crlf": b"X: a\n\r\n{N}",
        "crlf-cr-x": b"X: a\r\n\rX: b\r\n\r\n{N}",
        "no-colon": b"Content-Length\r\n\r\n{N}",
        "empty-name": b": a\r\n\r\n{N}",
        "empty-name-then-length": b": a\r\nContent-Length: 5\r\n\r\nhello{N}",
        "nul-in-name": b"Content-Length\x00: 5\r\n\r\nhello{N}",
        "nul-in-value": b"X: a\x00b\r\n\r\n{N}",
        "bell-in-value": b"X: a\x07b\r\n\r\n{N}",
        "del-in-value": b"X: a\x7fb\r\n\r\n{N}",
        "high-byte-in-name": b"X\xad: a\r\n\r\n{N}",
        "quote-in-name": b'X"Y: a\r\n\r\n{N}',
        "slash-in-name": b"X/Y: a\r\n\r\n{N}",
        "at-in-name": b"X@Y: a\r\n\r\n{N}",
        "bracket-in-name": b"Content-Length[]: 5\r\n\r\n{N}",
        "blank-in-name": b"Foo Content-Length: 5\r\n\r\n{N}",
    }.items():
        yield Attack(f"line-{name}", Kind.LINES, _POST + lines, (M,))
    folded = _POST + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n{N}"
    yield Attack("line-fold-of-a-coding", Kind.LINES, folded, (F,))
    for name, data in {
        "crlf-before": b"\r\n" + _GET + b"\r\n{N}",
        "lf-before": b"\n" + _GET + b"\r\n{N}",
        "blank-line-after-request-line": b"GET {P} HTTP/1.1\r\n X: a\r\nHost: h\r\n{V}\r\n{N}",
        "lf-after-request-line": b"GET {P} HTTP/1.1\nHost: h\r\n{V}\r\n{N}",
        "byte-order-mark": b"\xef\xbb\xbf" + _GET + b"\r\n{N}",
    }.items():
        yield Attack(f"line-{name}", Kind.LINES, data, (M,))


def _request_line() -> Iterator[Attack]:
    rest = b"Host: h\r\n{V}\r\n{N}"
    for name, line, verdict in (
        ("no-version", b"GET {P}\r\n", M),
        ("http-0.9", b"GET {P} HTTP/0.9\r\n", "505 version_not_supported"),
        ("http-1.2", b"GET {P} HTTP/1.2\r\n", "505 version_not_supported"),
        ("http-2.0", b"GET {P} HTTP/2.0\r\n", "505 version_not_supported"),
        ("http-2-preface", b"PRI * HTTP/2.0\r\n", "505 version_not_supported"),
        ("http-01.1", b"GET {P} HTTP/01.1\r\n", M),
        ("http-1.10", b"GET {P} HTTP/1.10\r\n", M),
        ("http-lower", b"GET {P} http/1.1\r\n", M),
        ("other-protocol", b"GET {P} ICAP/1.1\r\n", M),
        ("two-blanks", b"GET  {P} HTTP/1.1\r\n", M),
        ("two-blanks-before-version", b"GET {P}  HTTP/1.1\r\n", M),
        ("tab", b"GET\t{P} HTTP/1.1\r\n", M),
        ("blank-first", b" GET {P} HTTP/1.1\r\n", M),
        ("blank-last", b"GET {P} HTTP/1.1 \r\n", M),
        ("blank-in-target", b"GET {P} x HTTP/1.1\r\n", M),
        ("version-in-target", b"GET {P} HTTP/1.1 HTTP/1.1\r\n", M),
        ("lower-case-method", b"get {P} HTTP/1.1\r\n", M),
        ("mixed-case-method", b"Get {P} HTTP/1.1\r\n", M),
        ("unknown-method", b"FOO {P} HTTP/1.1\r\n", M),
        ("method-of-another-protocol", b"DESCRIBE {P} HTTP/1.1\r\n", M),
        ("empty-method", b" {P} HTTP/1.1\r\n", M),
        ("method-with-bracket", b"GET( {P} HTTP/1.1\r\n", M),
        ("connect", b"CONNECT h:80 HTTP/1.1\r\n", "405 method_not_allowed"),
        ("connect-path", b"CONNECT {P} HTTP/1.1\r\n", "405 method_not_allowed"),
        ("trace", b"TRACE {P} HTTP/1.1\r\n", "405 method_not_allowed"),
        ("asterisk-get", b"GET * HTTP/1.1\r\n", M),
        ("asterisk-path", b"OPTIONS *{P} HTTP/1.1\r\n", M),
        ("control-in-target", b"GET {P}\x01 HTTP/1.1\r\n", M),
        ("del-in-target", b"GET {P}\x7f HTTP/1.1\r\n", M),
        ("high-byte-in-target", b"GET {P}\xff HTTP/1.1\r\n", M),
        ("utf-8-in-target", b"GET {P}\xc3\xa9 HTTP/1.1\r\n", M),
        ("vertical-tab", b"GET {P}\x0bHTTP/1.1\r\n", M),
    ):
        yield Attack(f"request-{name}", Kind.REQUEST_LINE, line + rest, (verdict,))
    tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"
    yield Attack("request-tls", Kind.REQUEST_LINE, tls, (M,))


def _hosts() -> Iterator[Attack]:
    for name, lines in {
        "none": b"",
        "two": b"Host: h\r\nHost: h\r\n",
        "two-differ": b"Host: h\r\nHost: evil\r\n",
        "two-case": b"Host: h\r\nhOST: h\r\n",
        "empty": b"Host:\r\n",
        "blank": b"Host: a b\r\n",
        "list": b"Host: a, b\r\n",
        "path": b"Host: h/x\r\n",
        "userinfo": b"Host: u@h\r\n",
        "fragment": b"Host: h#x\r\n",
        "port-word": b"Host: h:http\r\n",
        "port-empty": b"Host: h:\r\n",
        "port-long": b"Host: h:123456\r\n",
        "high-byte": b"Host: h\xe9\r\n",
        "escape": b"Host: h%00\r\n",
        "quote": b'Host: h"\r\n',
        "bracket": b"Host: [::1\r\n",
        "blank-before-colon": b"Host : h\r\n",
        "blank-before-name": b" Host: h\r\n",
        "fold": b"Host: h\r\n evil\r\n",
    }.items():
        yield Attack(f"host-{name}", Kind.HOST, b"GET {P} HTTP/1.1\r\n" + lines + b"{V}\r\n{N}", (M,))
    for name, target, verdict in (
        ("differs", b"http://evil{P}", M),
        ("port-differs", b"http://h:80{P}", M),
        ("userinfo", b"http://u@h{P}", M),
        ("empty-host", b"http://{P}", M),
        ("other-scheme", b"ftp://h{P}", M),
        ("backslash", b"http:\\\\h{P}", M),
        ("scheme-relative", b"//h{P}", P),
        ("authority-form", b"h:80", M),
        ("fragment", b"{P}#x", M),
        ("fragment-in-query", b"{P}?a#x", M),
        ("no-slash", b"v1/orgs", M),
        ("bad-path-behind", b"http://h/v1/../{P}", P),
    ):
        yield Attack(f"target-{name}", Kind.HOST, b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n{V}\r\n{N}", (verdict,))
    for header in (b"X-Host", b"Ho_st", b"H.ost"):
        lines = _GET + header + b": evil\r\n\r\n"
        absent = (header + b":",) if header != b"X-Host" else ()
        yield Attack(f"host-alias-{header.decode()}", Kind.HOST, lines, (ALLOW,), absent)
    absolute = b"GET HTTP://H{P}?q HTTP/1.1\r\nHost: h\r\n{V}\r\n"
    yield Attack("target-absolute", Kind.HOST, absolute, (ALLOW,), (b"HTTP://",), (b"GET " + PATH + b"?q HTTP/1.1",))


def _paths() -> Iterator[Attack]:
    base = PATH.removesuffix(b"a.json")
    for name, tail in {
        "dot-dot": b"../a.json",
        "dot": b"./a.json",
        "dot-dot-last": b"..",
        "dot-last": b".",
        "encoded-dots": b"%2e%2e/a.json",
        "half-encoded-dots": b".%2E/a.json",
        "double-encoded-dots": b"%252e%252e/a.json",
        "dots-semicolon": b"..;/a.json",
        "dots-semicolon-parameter": b"..;x=y/a.json",
        "semicolon": b"a;b.json",
        "encoded-semicolon": b"a%3Bb.json",
        "semicolon-first": b";/a.json",
        "double-slash": b"/a.json",
        "triple-slash": b"//a.json",
        "double-slash-last": b"a.json//",
        "encoded-slash": b"a%2Fb.json",
        "encoded-slash-lower": b"a%2fb.json",
        "encoded-slash-dots": b"a%2F..%2Fb.json",
        "double-encoded-slash": b"a%252Fb.json",
        "backslash": b"a\\b.json",
        "backslash-dots": b"..\\a.json",
        "encoded-backslash": b"a%5cb.json",
        "encoded-nul": b"a%00.json",
        "encoded-crlf": b"a%0d%0aX:%20y",
        "encoded-lf": b"a%0A",
        "encoded-tab": b"a%09",
        "encoded-del": b"a%7F",
        "encoded-c1": b"a%C2%85",
        "encoded-question": b"a%3Fb",
        "encoded-hash": b"a%23b",
        "encoded-percent": b"a%25b",
        "broken-escape": b"a%",
        "broken-escape-one": b"a%2",
        "broken-escape-letters": b"a%zz",
        "iis-escape": b"a%u002f",
        "overlong-slash": b"a%c0%afb",
        "overlong-dot": b"%c0%ae%c0%ae/a.json",
        "overlong-three": b"a%e0%80%afb",
        "surrogate": b"a%ed%a0%80",
        "latin-1": b"a%e9",
        "cut-utf-8": b"a%c3",
        "beyond-unicode": b"a%f4%90%80%80",
        "not-nfc": b"e%cc%81.json",
        "not-nfc-angstrom": b"%e2%84%ab",
    }.items():
        yield Attack(f"path-{name}", Kind.PATHS, b"GET " + base + tail + b" HTTP/1.1\r\nHost: h\r\n{V}\r\n{N}", (P,))
    for name, path, verdict in (
        ("prefix-dots", b"/x/.." + PATH, P),
        ("prefix-slash", b"/" + PATH, P),
        ("case", PATH.replace(b"orgs", b"Orgs"), "403 unmapped_route"),
        ("public-then-dots", b"/healthz/.." + PATH, P),
        ("public-semicolon", b"/healthz;" + PATH, P),
        ("org-encoded", PATH.replace(b"/acme/", b"/globex/").replace(b"globex", b"%67lobex"), "403 cross_org"),
    ):
        follows = (ALLOW,) if verdict.startswith("403") else ()
        data = b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n{V}\r\n{N}"
        yield Attack(f"path-{name}", Kind.PATHS, data, (verdict, *follows))
    for name, tail, line in (
        ("needless-escape", b"%61.json", b"a.json"),
        ("hex-case", b"%c3%a9", b"%C3%A9"),
        ("brackets", b"a[1]", b"a%5B1%5D"),
        ("quote", b'a"b', b"a%22b"),
        ("query-dots", b"a.json?/../..;%2e", b"a.json?/../..;%2e"),
        ("fullwidth-dots", b"%ef%bc%8e%ef%bc%8e", b"%EF%BC%8E%EF%BC%8E"),
        ("three-dots", b".../a.json", b".../a.json"),
    ):
        data = b"GET " + base + tail + b" HTTP/1.1\r\nHost: h\r\n{V}\r\n"
        yield Attack(f"path-ok-{name}", Kind.PATHS, data, (ALLOW,), (), (b" " + base + line + b" HTTP/1.1\r\n",))


def _identity() -> Iterator[Attack]:
    names = (
        b"X-Sidegate-Account", b"x-sidegate-account", b"X_Sidegate_Account", b"X.Sidegate.Account",
        b"X-Sidegate_Account", b"XSidegateAccount", b"X-Sidegate--Account", b"X-Sidegate-Account~",
        b"X!Sidegate'Account",
        b"X-Sidegate-Decision", b"X-Sidegate-Anything", b"X_SIDEGATE_TARGET", b"X-Sidegate-Chain",
        b"X-Forwarded-For", b"X_Forwarded_For", b"X-Forwarded.Host", b"X-Forwarded-User", b"X-Forwarded-Uri",
        b"X-Forwarded-Prefix", b"X-Forwarded-Method", b"Forwarded", b"For_warded", b"X-Real-IP", b"X_Real_IP",
        b"X-Original-URL", b"X-Original-Uri", b"X_Original_URL", b"X-Rewrite-URL", b"X.Rewrite.Url",
        b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override", b"x_http_method_override",
        b"X-Envoy-Original-Path", b"X-Envoy-External-Address", b"X_Envoy_Peer_Metadata", b"X-Middleware-Subrequest",
        b"Auth_orization", b"Coo_kie", b"Content.Type", b"Te_", b"Up.grade",
    )  # fmt: skip
    for name in names:
        data = _GET + name + b": sentinel-7f3a\r\n\r\n"
        yield Attack(f"header-{name.decode()}", Kind.IDENTITY, data, (ALLOW,), (b"sentinel-7f3a",))
    both = _GET + b"X-Sidegate-Account: user:root\r\nX_Sidegate_Account: user:root\r\nX-Sidegate-Account: x\r\n\r\n"
    yield Attack("header-many-at-once", Kind.IDENTITY, both, (ALLOW,), (b"user:root",))
    public = (
        b"GET /healthz HTTP/1.1\r\nHost: h\r\n{V}X-Sidegate-Account: user:root\r\nAuthorization: Basic eA==\r\n\r\n"
    )
    yield Attack("header-on-a-public-route", Kind.IDENTITY, public, (ALLOW,), (b"user:root", b"eA=="))


def _nominated() -> Iterator[Attack]:
    for token in (
        b"Host", b"Cookie", b"Authorization", b"Content-Length", b"Transfer-Encoding", b"X-Forwarded-For",
        b"X-Forwarded-Host", b"X-Real-IP", b"Forwarded", b"X-Sidegate-Account", b"X-Sidegate-Decision",
        b"X_Sidegate_Account", b"x-sidegate-target", b"X-API-Key", b"x_api_key", b"traceparent", b"Content_Length",
    ):  # fmt: skip
        for form in (b"Connection: " + token, b"Connection: close, " + token, b"CONNECTION:keep-alive ,\t" + token):
            name = f"nominates-{token.decode()}-{len(form) - len(token)}"
            yield Attack(name, Kind.NOMINATED, _GET + form + b"\r\n\r\n{N}", (M,))
    two = _GET + b"Connection: keep-alive\r\nConnection: Cookie\r\n\r\n{N}"
    yield Attack("nominates-in-a-second-line", Kind.NOMINATED, two, (M,))
    for name, value in {
        "quoted": b'"Cookie"',
        "empty-element": b"close,,Cookie",
        "semicolon": b"close; Cookie",
        "control-free-junk": b"@",
        "leading-comma": b", close",
    }.items():
        yield Attack(f"connection-{name}", Kind.NOMINATED, _GET + b"Connection: " + value + b"\r\n\r\n{N}", (M,))
    other = _GET + b"Connection: X-Custom\r\nX-Custom: sentinel-7f3a\r\nx-custom: sentinel-7f3a\r\n\r\n"
    yield Attack("nominates-another", Kind.NOMINATED, other, (ALLOW,), (b"sentinel-7f3a",))
    for header in (b"Keep-Alive", b"Proxy-Connection", b"TE", b"Trailer", b"Proxy-Authorization", b"HTTP2-Settings"):
        data = _GET + header + b": sentinel-7f3a\r\n\r\n"
        yield Attack(f"hop-by-hop-{header.decode()}", Kind.NOMINATED, data, (ALLOW,), (b"sentinel-7f3a",))


def _cookies() -> Iterator[Attack]:
    line = b"GET {P} HTTP/1.1\r\nHost: h\r\n"
    twice = "401 ambiguous_credential"
    for name, cookie, verdict in (
        ("twice", b"__session={vera}; __session={vera}", twice),
        ("twice-differ", b"__session={vera}; __session={ana}", twice),
        ("twice-first-empty", b"__session=; __session={vera}", twice),
        ("twice-in-quotes", b'a="; __session={ana}"; __session={vera}', twice),
        ("twice-blank-name", b"__session ={ana}; __session={vera}", twice),
        ("twice-tab", b"\t__session={ana};__session={vera}", twice),
        ("quoted-value", b'__session="{vera}"', "401 invalid_credential"),
        ("quoted-escape", b'__session="\\137{vera}"', "401 invalid_credential"),
        ("trailing-comma", b"__session={vera}, a=b", "401 invalid_credential"),
        ("empty", b"__session=", "401 invalid_credential"),
        ("nameless", b"={vera}", "401 no_credential"),
        ("nameless-session", b"=__session={vera}", "401 no_credential"),
        ("no-equals", b"__session", "401 no_credential"),
        ("case", b"__Session={vera}", "401 no_credential"),
        ("host-prefix", b"__Host-__session={vera}", "401 no_credential"),
        ("php-name", b"..session={vera}", "401 no_credential"),
        ("escaped-name", b"%5F_session={vera}", "401 no_credential"),
        ("comma-separated", b"a=b, __session={vera}", "401 no_credential"),
        ("in-a-value", b"a=__session={vera}", "401 no_credential"),
    ):
        data = line + b"Cookie: " + cookie + b"\r\n\r\n{N}"
        follows = () if verdict == twice else (ALLOW,)
        yield Attack(f"cookie-{name}", Kind.COOKIES, data, (verdict, *follows))
    for name, lines, verdict in (
        ("two-lines", b"{V}{V}", twice),
        ("two-lines-differ", b"{V}{A}", twice),
        ("two-authorizations", b"Authorization: Bearer {vera}\r\nAuthorization: Bearer {vera}\r\n", twice),
        ("basic-and-bearer", b"Authorization: Basic eA==\r\nAuthorization: Bearer {vera}\r\n", twice),
        ("bearer-differs", b"{V}Authorization: Bearer {ana}\r\n", twice),
        ("bearer-broken", b"{V}Authorization: Bearer \r\n", twice),
        ("key-broken", b"{V}X-API-Key: sg_x\r\n", twice),
    ):
        yield Attack(f"credential-{name}", Kind.COOKIES, line + lines + b"\r\n{N}", (verdict,))
    for name, cookie, left in (
        ("first", b"__session={vera}; a=1", b"Cookie: a=1\r\n"),
        ("last", b"a=1; __session={vera}", b"Cookie: a=1\r\n"),
        ("middle", b'a="q;  b=\xff; __session={vera} ;c', b'Cookie: a="q;  b=\xff;c\r\n'),
        ("version", b"$Version=1; __session={vera}; $Path=/", b"Cookie: $Version=1; $Path=/\r\n"),
        ("other-case", b"__Session=z; __session={vera}", b"Cookie: __Session=z\r\n"),
        ("empty-pairs", b";; __session={vera};;", b"Cookie: ;;;\r\n"),
        ("nameless", b"=z; __session={vera}", b"Cookie: =z\r\n"),
    ):
        data = line + b"Cookie: " + cookie + b"\r\n\r\n"
        yield Attack(f"cookie-ok-{name}", Kind.COOKIES, data, (ALLOW,), (b"__session=",), (left,))
    same = line + b"{V}Authorization: Bearer {vera}\r\n\r\n"
    yield Attack("credential-same-twice", Kind.COOKIES, same, (ALLOW,), (b"Authorization", b"__session"))
    query = b"GET {P}?api_key=sg_x&access_token={vera} HTTP/1.1\r\nHost: h\r\n\r\n{N}"
    yield Attack("credential-in-the-query", Kind.COOKIES, query, ("401 no_credential", ALLOW))
    # RFC 9110 section 11.1: the scheme in any case, then blanks; anything else is not quietly another scheme.
    for name, value in {"tab": b"Bearer\t{vera}", "two": b"Bearer {vera} x", "comma": b"Bearer {vera},x"}.items():
        data = line + b"Authorization: " + value + b"\r\n\r\n{N}"
        yield Attack(f"bearer-{name}", Kind.COOKIES, data, ("401 invalid_credential", ALLOW))


def _upgrades() -> Iterator[Attack]:
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    version = b"Sec-WebSocket-Version: 13\r\n"
    for name, head in {
        "post": b"POST {P} HTTP/1.1\r\nHost: h\r\n{A}" + upgrade + version + key,
        "http-1.0": b"GET {P} HTTP/1.0\r\nHost: h\r\n{V}" + upgrade + version + key,
        "version-8": _GET + upgrade + b"Sec-WebSocket-Version: 8\r\n" + key,
        "version-777": _GET + upgrade + b"Sec-WebSocket-Version: 777\r\n" + key,
        "no-version": _GET + upgrade + key,
        "two-versions": _GET + upgrade + version + version + key,
        "no-key": _GET + upgrade + version,
        "short-key": _GET + upgrade + version + b"Sec-WebSocket-Key: AAAA\r\n",
        "loose-key": _GET + upgrade + version + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==\r\n",
        "two-keys": _GET + upgrade + version + key + key,
        "with-length": _GET + upgrade + version + key + b"Content-Length: 5\r\n",
        "with-chunks": _GET + upgrade + version + key + b"Transfer-Encoding: chunked\r\n",
    }.items():
        yield Attack(f"upgrade-{name}", Kind.UPGRADES, head + b"\r\n{N}", (M,))
    for name, lines in {
        "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "h2c-no-settings": b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "tls": b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
        "list": upgrade.replace(b"websocket", b"websocket, h2c") + version + key,
        "two-lines": upgrade + b"Upgrade: h2c\r\n" + version + key,
        "not-nominated": b"Upgrade: websocket\r\n" + version + key,
        "alias": b"Connection: Upgrade\r\nUp-grade: websocket\r\n" + version + key,
    }.items():
        # Served as a plain request, and what follows as another one: no tunnel, nothing of the upgrade upstream.
        absent = (b"Upgrade: ", b"HTTP2-Settings", b"h2c", b"Connection: ")
        yield Attack(f"upgrade-dropped-{name}", Kind.UPGRADES, _GET + lines + b"\r\n{N}", (ALLOW, ALLOW), absent)
    early = _GET + upgrade + version + key + b"\r\n{N}"
    yield Attack("upgrade-early-bytes", Kind.UPGRADES, early, (ALLOW,), (b"next.json",))


def _expect() -> Iterator[Attack]:
    bad = "417 expectation_failed"
    for name, value in {
        "unknown": b"the-worst",
        "list": b"100-continue, x",
        "twice-in-one": b"100-continue, 100-continue",
        "parameter": b"100-continue;q=1",
        "quoted": b'"100-continue"',
        "y": b"y 100-continue",
        "empty": b"",
        "cut": b"100-continu",
        "longer": b"100-continue1",
    }.items():
        data = _POST + b"Expect: " + value + b"\r\nContent-Length: 5\r\n\r\nhello{N}"
        yield Attack(f"expect-{name}", Kind.EXPECT, data, (bad,))
    two = _POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello{N}"
    yield Attack("expect-two", Kind.EXPECT, two, (M,))
    for name, line in {
        "plain": b"Expect: 100-continue",
        "case": b"eXpect:\t100-CONTINUE ",
        "alias": b"Ex_pect: x",
    }.items():
        data = _POST + line + b"\r\nContent-Length: 5\r\n\r\nhello{N}"
        yield Attack(f"expect-ok-{name}", Kind.EXPECT, data, (ALLOW, ALLOW), (b"xpect",), (b"Content-Length: 5\r\n",))
    get = _GET + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nGET /{N}"
    yield Attack("expect-of-get", Kind.EXPECT, get, (ALLOW, ALLOW), (b"xpect",))
    old = b"POST {P} HTTP/1.0\r\nHost: h\r\n{A}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello{N}"
    yield Attack("expect-on-1.0", Kind.EXPECT, old, (ALLOW,), (b"xpect",))


def _pipelines() -> Iterator[Attack]:
    refused = b"PUT {P} HTTP/1.1\r\nHost: h\r\n{V}Content-Length: %d\r\n\r\n"
    body = NEXT
    yield Attack("behind-an-unread-body", Kind.PIPELINES, refused % 5 + b"hello{N}", ("403 not_granted",))
    yield Attack("body-of-a-refused-request", Kind.PIPELINES, refused % 999 + body, ("403 not_granted",))
    chunked = b"PUT {P} HTTP/1.1\r\nHost: h\r\n{V}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{N}"
    yield Attack("behind-unread-chunks", Kind.PIPELINES, chunked, ("403 not_granted",))
    yield Attack("refused-without-a-body", Kind.PIPELINES, refused % 0 + b"{N}", ("403 not_granted", ALLOW))
    bad = b"GET {P} HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"
    yield Attack("good-bad-good", Kind.PIPELINES, b"{N}" + bad + b"{N}", (ALLOW, M))
    yield Attack("bad-bad", Kind.PIPELINES, bad + bad, (M,))
    yield Attack(
        "no-credential-between",
        Kind.PIPELINES,
        b"{N}GET {P} HTTP/1.1\r\nHost: h\r\n\r\n{N}",
        (ALLOW, "401 no_credential", ALLOW),
    )
    yield Attack(
        "ambiguous-credential-between",
        Kind.PIPELINES,
        b"{N}" + _GET + b"{V}\r\n{N}",
        (ALLOW, "401 ambiguous_credential"),
    )
    for method in (b"GET", b"HEAD"):
        # CL.0: an upstream that ignores the body of such a method would take it for a request.
        data = method + b" {P} HTTP/1.1\r\nHost: h\r\n{A}Content-Length: %d\r\n\r\n" % 33
        inner = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"[:33]
        yield Attack(f"cl-0-{method.decode()}", Kind.PIPELINES, data + inner + b"{N}", (ALLOW, ALLOW))
    yield Attack("close-then-more", Kind.PIPELINES, _GET + b"Connection: close\r\n\r\n{N}", (ALLOW,), (b"next.json",))
    yield Attack(
        "old-then-more", Kind.PIPELINES, b"GET {P} HTTP/1.0\r\nHost: h\r\n{V}\r\n{N}", (ALLOW,), (b"next.json",)
    )
    old = b"GET {P} HTTP/1.0\r\nHost: h\r\n{V}Connection: keep-alive\r\n\r\n{N}"
    yield Attack("old-keep-alive-then-more", Kind.PIPELINES, old, (ALLOW,), (b"next.json",))
    junk = _POST + b"Content-Length: 2\r\n\r\nok\r\n{N}"
    yield Attack("line-end-behind-a-body", Kind.PIPELINES, junk, (ALLOW, M))
    yield Attack("ten", Kind.PIPELINES, b"{N}" * 10, (ALLOW,) * 10)


def _trailers() -> Iterator[Attack]:
    head = _POST + b"Transfer-Encoding: chunked\r\nTrailer: X-Sidegate-Account\r\n\r\n3\r\nabc\r\n0\r\n"
    for name, trailer in {
        "identity": b"X-Sidegate-Account: user:root\r\n",
        "framing": b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n",
        "host": b"Host: evil\r\n",
        "credential": b"Cookie: __session={ana}\r\n",
    }.items():
        absent = (b"user:root", b"Content-Length", b"evil", b"Trailer", b"__session")
        yield Attack(f"trailer-dropped-{name}", Kind.TRAILERS, head + trailer + b"\r\n{N}", (ALLOW, ALLOW), absent)
    for name, trailer in {
        "folded": b"X: a\r\n b\r\n\r\n",
        "blank-before-colon": b"X : a\r\n\r\n",
        "no-colon": b"X\r\n\r\n",
        "lf": b"X: a\n\r\n",
        "nul": b"X: \x00\r\n\r\n",
        "request": b"GET {P} HTTP/1.1\r\n\r\n",
        "too-long": b"X: " + b"y" * 8200 + b"\r\n\r\n",
    }.items():
        yield Attack(f"trailer-{name}", Kind.TRAILERS, head + trailer + b"{N}", (ALLOW,), (b"next.json",))


def _sizes() -> Iterator[Attack]:
    long = b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\nHost: h\r\n{V}\r\n{N}"
    yield Attack("long-target", Kind.SIZES, long, ("414 target_too_long",))
    many = _GET + b"X: y\r\n" * 99 + b"\r\n{N}"
    yield Attack("many-headers", Kind.SIZES, many, ("431 head_too_large",))
    yield Attack("long-header", Kind.SIZES, _GET + b"X: " + b"y" * 33000 + b"\r\n\r\n{N}", ("431 head_too_large",))
    yield Attack("endless-line", Kind.SIZES, b"G" * 33000, ("431 head_too_large",))


ATTACKS: Final = tuple(
    attack
    for rows in (
        _framing, _chunks, _lines, _request_line, _hosts, _paths, _identity, _nominated, _cookies, _upgrades, _expect,
        _pipelines, _trailers, _sizes,
    )
    for attack in rows()
)  # fmt: skip
