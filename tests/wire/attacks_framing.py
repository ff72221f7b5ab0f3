"""Attacks on where a message ends: lengths, chunks, trailers, and what stands behind."""

from collections.abc import Iterator

from tests.wire.attack import ALLOW, GET, NEXT, POST, Attack, F, M
from tests.wire.kinds import Kind


def framing() -> Iterator[Attack]:
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
        yield Attack(name, Kind.FRAMING, POST + lines, (F,))
    get = GET + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled
    yield Attack("cl-te-of-get", Kind.FRAMING, get, (F,))
    old = b"POST {P} HTTP/1.0\r\nHost: h\r\n{A}Transfer-Encoding: chunked\r\n\r\n"
    yield Attack("te-on-1.0", Kind.FRAMING, old + smuggled, (F,))
    # 0x0b and 0x0c are blanks to some, and a control character in a value here.
    for byte in (b"\x0b", b"\x0c", b"\x00", b"\x7f", b"\x1f"):
        line = b"Transfer-Encoding:" + byte + b"chunked\r\n\r\n"
        yield Attack(f"te-control-{byte.hex()}", Kind.FRAMING, POST + line + smuggled, (M,))
    tab = POST + b"Transfer-Encoding:\t CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    yield Attack("te-tab-and-case", Kind.FRAMING, tab, (ALLOW,), (b"CHUNKED",), (b"Transfer-Encoding: chunked\r\n",))
    for header in (b"Content_Length", b"Content.Length", b"Content-Length-", b"-Content-Length", b"Content--Length"):
        alias = POST + header + b": 40\r\n\r\n{N}"
        yield Attack(f"alias-{header.decode()}", Kind.FRAMING, alias, (ALLOW, ALLOW), (header,))
    for header in (b"Transfer_Encoding", b"Transfer.Encoding", b"TransferEncoding", b"Transfer-Encoding'"):
        alias = POST + b"Content-Length: 5\r\n" + header + b": chunked\r\n\r\n0\r\n\r\n{N}"
        yield Attack(f"alias-{header.decode()}", Kind.FRAMING, alias, (ALLOW, ALLOW), (header,))
    long = POST + b"Content-Length" + b"A" * 256 + b": 0\r\nContent-Length: 5\r\n\r\nhello{N}"
    yield Attack("long-name", Kind.FRAMING, long, (ALLOW, ALLOW))


def chunks() -> Iterator[Attack]:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
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


def trailers() -> Iterator[Attack]:
    head = POST + b"Transfer-Encoding: chunked\r\nTrailer: X-Sidegate-Account\r\n\r\n3\r\nabc\r\n0\r\n"
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


def pipelines() -> Iterator[Attack]:
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
        b"{N}" + GET + b"{V}\r\n{N}",
        (ALLOW, "401 ambiguous_credential"),
    )
    for method in (b"GET", b"HEAD"):
        # CL.0: an upstream that ignores the body of such a method would take it for a request.
        data = method + b" {P} HTTP/1.1\r\nHost: h\r\n{A}Content-Length: %d\r\n\r\n" % 33
        inner = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"[:33]
        yield Attack(f"cl-0-{method.decode()}", Kind.PIPELINES, data + inner + b"{N}", (ALLOW, ALLOW))
    yield Attack("close-then-more", Kind.PIPELINES, GET + b"Connection: close\r\n\r\n{N}", (ALLOW,), (b"next.json",))
    yield Attack(
        "old-then-more", Kind.PIPELINES, b"GET {P} HTTP/1.0\r\nHost: h\r\n{V}\r\n{N}", (ALLOW,), (b"next.json",)
    )
    old = b"GET {P} HTTP/1.0\r\nHost: h\r\n{V}Connection: keep-alive\r\n\r\n{N}"
    yield Attack("old-keep-alive-then-more", Kind.PIPELINES, old, (ALLOW,), (b"next.json",))
    junk = POST + b"Content-Length: 2\r\n\r\nok\r\n{N}"
    yield Attack("line-end-behind-a-body", Kind.PIPELINES, junk, (ALLOW, M))
    yield Attack("ten", Kind.PIPELINES, b"{N}" * 10, (ALLOW,) * 10)


def sizes() -> Iterator[Attack]:
    long = b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\nHost: h\r\n{V}\r\n{N}"
    yield Attack("long-target", Kind.SIZES, long, ("414 target_too_long",))
    many = GET + b"X: y\r\n" * 99 + b"\r\n{N}"
    yield Attack("many-headers", Kind.SIZES, many, ("431 head_too_large",))
    yield Attack("long-header", Kind.SIZES, GET + b"X: " + b"y" * 33000 + b"\r\n\r\n{N}", ("431 head_too_large",))
    yield Attack("endless-line", Kind.SIZES, b"G" * 33000, ("431 head_too_large",))
