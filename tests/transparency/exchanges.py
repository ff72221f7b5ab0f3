"""The exchanges that are compared, each by what is special about it."""

import gzip
import zlib
from collections.abc import Iterable
from typing import Final

from tests.transparency.exchange import FOLDER, HOST, UPSTREAM_ENDS, Exchange, client, upstream
from tests.transparency.exchanges_websocket import WEBSOCKETS

from sidegate.core.routing.route import METHODS

_FILES: Final = "/v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}"
ROUTES: Final = "".join(f"- {method.lower()}: {_FILES}\n  authority: write\n" for method in METHODS)

PATH: Final = FOLDER.encode() + b"/a.json"
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_MIB: Final = 1 << 20


def pattern(size: int) -> bytes:
    """Return *size* bytes that repeat only after a prime number of them."""
    turn = bytes(number % 251 for number in range(251))
    return (turn * (size // 251 + 1))[:size]


def request(
    method: bytes = b"GET", lines: bytes = b"", body: bytes = b"", target: bytes = PATH, minor: int = 1
) -> bytes:
    """Return a request; *lines* stand in front of its cookie."""
    return b"%b %b HTTP/1.%d\r\nHost: %b\r\n%b{cookie}\r\n%b" % (method, target, minor, HOST, lines, body)


def length(body: bytes, lines: bytes = b"") -> tuple[bytes, bytes]:
    """Return header lines for *body*, and it."""
    return lines + b"Content-Length: %d\r\n" % len(body), body


def chunked(*pieces: bytes, lines: bytes = b"") -> tuple[bytes, bytes]:
    """Return header lines for a chunked body of *pieces*, and it."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return lines + b"Transfer-Encoding: chunked\r\n", framed + b"0\r\n\r\n"


def answer(status: bytes = b"200 OK", lines: bytes = b"", body: bytes = b"", minor: int = 1) -> bytes:
    """Return an answer; *lines* say how long it is."""
    return b"HTTP/1.%d %b\r\n%b\r\n%b" % (minor, status, lines, body)


def simple(name: str, asked: bytes, answered: bytes = OK, *, method: bytes = b"GET", closes: bool = False) -> Exchange:
    """One request, one answer, each in one piece."""
    return Exchange(name, (client(asked), upstream(answered)), method, closes)


def in_pieces(data: bytes, size: int) -> list[bytes]:
    """Cut *data*."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def _methods() -> Iterable[Exchange]:
    body = b'{"a": 1}'
    for name in METHODS:
        method = name.encode()
        answered = answer(b"200 OK", b"Content-Length: 2\r\n", b"" if name == "HEAD" else b"ok")
        yield simple(f"method-{name}", request(method), answered, method=method)
        yield simple(f"method-{name}-with-a-body", request(method, *length(body)), answered, method=method)


_STATUSES: Final = (
    200, 201, 202, 203, 205, 206, 207, 208, 226, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406,
    407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 500,
    501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 299, 499, 599,
)  # fmt: skip


def _statuses() -> Iterable[Exchange]:
    for status in _STATUSES:
        lines = b'Retry-After: 3\r\nLocation: /x?y#z\r\nWWW-Authenticate: Basic realm="a"\r\nContent-Length: 5\r\n'
        yield simple(f"status-{status}", request(), answer(b"%d Some Phrase" % status, lines, b"hello"))
    yield simple("status-204", request(), answer(b"204 No Content", b'ETag: "x"\r\n'))
    yield simple("status-204-with-a-length", request(), answer(b"204 No Content", b"Content-Length: 0\r\nA: b\r\n"))
    lines = b'ETag: W/"x"\r\nCache-Control: max-age=3\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n'
    asked = request(lines=b'If-None-Match: W/"x", "y"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n')
    yield simple("status-304", asked, answer(b"304 Not Modified", lines))
    yield simple("status-304-with-a-length", asked, answer(b"304 Not Modified", lines + b"Content-Length: 99\r\n"))
    yield simple("status-without-a-phrase", request(), answer(b"200 ", b"Content-Length: 0\r\n"))
    yield simple("status-with-an-odd-phrase", request(), answer(b"200 \xc3\xa4\tb  c", b"Content-Length: 0\r\n"))


def _request_bodies() -> Iterable[Exchange]:
    for size in (0, 1, 2, 255, 256, 4095, 4096, 32767, 32768, 32769, 65536, 200_000):
        yield simple(f"upload-{size}", request(b"PUT", *length(pattern(size))), method=b"PUT")
    data = pattern(100_000)
    for size in (1, 7, 4096, 65535, 100_000):
        part = data if size > 1 else data[:300]
        yield simple(f"upload-in-chunks-of-{size}", request(b"PUT", *chunked(*in_pieces(part, size))), method=b"PUT")
    yield simple("upload-of-no-chunk", request(b"POST", *chunked()), method=b"POST")
    sized = b'3;a=b;c="d"\r\nabc\r\n0A\r\n0123456789\r\n000\r\n'
    yield simple(
        "upload-extensions", request(b"POST", b"Transfer-Encoding: chunked\r\n", sized + b"\r\n"), method=b"POST"
    )
    trailers = b"3\r\nabc\r\n0\r\nContent-MD5: x\r\nX-B: c\r\n\r\n"
    lines = b"Trailer: Content-MD5\r\nTransfer-Encoding: Chunked\r\n"
    yield simple("upload-trailers", request(b"POST", lines, trailers), method=b"POST")
    packed = gzip.compress(data, mtime=0)
    yield simple("upload-gzip", request(b"PUT", *length(packed, b"Content-Encoding: gzip\r\n")), method=b"PUT")
    form = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b\r\n\r\n\x00\xff\r\n--x--\r\n'
    yield simple(
        "upload-multipart",
        request(b"POST", *length(form, b"Content-Type: multipart/form-data; boundary=x\r\n")),
        method=b"POST",
    )
    looks = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n0\r\n\r\n"
    yield simple("upload-that-looks-like-http", request(b"POST", *length(looks)), method=b"POST")
    yield simple("upload-in-a-chunk-that-looks-like-http", request(b"POST", *chunked(looks)), method=b"POST")


def _answer_bodies() -> Iterable[Exchange]:
    for size in (0, 1, 255, 4096, 32767, 32768, 32769, 65536, 200_000):
        yield simple(f"download-{size}", request(), answer(b"200 OK", *length(pattern(size))))
    data = pattern(100_000)
    for size in (1, 7, 4096, 65535, 100_000):
        part = data if size > 1 else data[:300]
        yield simple(f"download-in-chunks-of-{size}", request(), answer(b"200 OK", *chunked(*in_pieces(part, size))))
    yield simple("download-of-no-chunk", request(), answer(b"200 OK", *chunked()))
    trailers = b"3;x=y\r\nabc\r\n0\r\nExpires: never\r\nX: y\r\n\r\n"
    lines = b"Trailer: Expires\r\nTransfer-Encoding: chunked\r\nX-Behind: it\r\n"
    yield simple(
        "download-extensions-and-trailers", request(lines=b"TE: trailers\r\n"), answer(b"200 OK", lines, trailers)
    )
    packed = gzip.compress(data, mtime=0)
    yield simple("download-gzip", request(), answer(b"200 OK", *length(packed, b"Content-Encoding: gzip\r\n")))
    yield simple(
        "download-gzip-in-chunks", request(), answer(b"200 OK", *chunked(*in_pieces(packed, 99), lines=b"Vary: *\r\n"))
    )
    yield simple(
        "download-deflate", request(), answer(b"200 OK", *length(zlib.compress(data), b"Content-Encoding: deflate\r\n"))
    )
    yield simple(
        "download-of-an-unknown-coding",
        request(),
        answer(b"200 OK", *length(b"\x28\xb5\x2f\xfd", b"Content-Encoding: x\r\n")),
    )
    for minor in (0, 1):
        steps = (client(request()), upstream(answer(b"200 OK", b"X: y\r\n", data, minor)), UPSTREAM_ENDS)
        yield Exchange(f"download-until-the-end-1.{minor}", steps, closes=True)
    kept = answer(b"200 OK", *length(b"ok", b"Connection: keep-alive\r\n"), minor=0)
    yield simple("answer-1.0-kept-alive", request(), kept)
    yield simple("answer-1.0", request(), answer(b"200 OK", *length(b"ok"), minor=0))
    cut = answer(b"200 OK", b"Content-Length: 1000\r\n", b"half")
    yield Exchange("download-cut", (client(request()), upstream(cut), UPSTREAM_ENDS), is_whole=False)
    cut = answer(b"200 OK", b"Transfer-Encoding: chunked\r\n", b"4\r\nhalf\r\n4\r\nha")
    yield Exchange("download-cut-in-a-chunk", (client(request()), upstream(cut), UPSTREAM_ENDS), is_whole=False)


def _slow() -> Iterable[Exchange]:
    body = pattern(40)
    head = request(b"PUT", b"Content-Length: 40\r\n")
    pieces = [client(head), *(client(body[at : at + 1]) for at in range(len(body)))]
    yield Exchange("upload-slowly", (*pieces, upstream(OK)), b"PUT")
    sized = [client(b"1\r\n%c\r\n" % byte) for byte in body]
    head = request(b"PUT", b"Transfer-Encoding: chunked\r\n")
    yield Exchange("upload-slowly-in-chunks", (client(head), *sized, client(b"0\r\n\r\n"), upstream(OK)), b"PUT")
    down = [upstream(body[at : at + 1]) for at in range(len(body))]
    yield Exchange(
        "download-slowly", (client(request()), upstream(answer(b"200 OK", b"Content-Length: 40\r\n")), *down)
    )
    begun = upstream(answer(b"200 OK", b"Transfer-Encoding: chunked\r\n"))
    sized = [upstream(b"1\r\n%c\r\n" % byte) for byte in body]
    yield Exchange("download-slowly-in-chunks", (client(request()), begun, *sized, upstream(b"0\r\n\r\n")))
    begun_only = client(request(b"PUT", b"Content-Length: 100\r\n", b"half"))
    early = upstream(answer(b"413 Too Large", b"Content-Length: 2\r\n", b"no"))
    yield Exchange("answer-before-the-body", (begun_only, early), b"PUT", closes=True)


def _large() -> Iterable[Exchange]:
    data = pattern(4 * _MIB)
    yield simple("large-upload", request(b"PUT", *length(data)), method=b"PUT")
    yield simple("large-upload-in-chunks", request(b"PUT", *chunked(*in_pieces(data, 60_000))), method=b"PUT")
    yield simple("large-download", request(), answer(b"200 OK", *length(data)))
    yield simple("large-download-in-chunks", request(), answer(b"200 OK", *chunked(*in_pieces(data, 60_000))))
    yield simple("large-both-ways", request(b"POST", *length(data)), answer(b"200 OK", *length(data)), method=b"POST")


def _interim() -> Iterable[Exchange]:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b>; rel=x\r\n\r\n"
    working = b"HTTP/1.1 102 Processing\r\n\r\n"
    for name, given in (
        ("100", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("102", working),
        ("103", hints),
        ("several", working + hints + working),
        ("unknown", b"HTTP/1.1 199 X\r\nContent-Length: 0\r\n\r\n"),
    ):
        yield simple(f"interim-{name}", request(), given + OK)
    yield Exchange("interim-by-itself", (client(request()), upstream(hints), upstream(working), upstream(OK)))
    head = request(b"PUT", b"Expect: 100-continue\r\nContent-Length: 4\r\n")
    agreed = upstream(b"HTTP/1.1 100 Continue\r\n\r\n")
    yield Exchange("expect", (client(head), agreed, client(b"body"), upstream(OK)), b"PUT")
    yield Exchange("expect-at-once", (client(head + b"body"), agreed, upstream(OK)), b"PUT")


def _heads() -> Iterable[Exchange]:
    for name, lines in (
        ("length", b"Content-Length: 12345\r\n"),
        ("chunked", b"Transfer-Encoding: chunked\r\n"),
        ("neither", b'ETag: "x"\r\n'),
        ("range", b"Accept-Ranges: bytes\r\nContent-Length: 0\r\n"),
    ):
        yield simple(f"head-{name}", request(b"HEAD"), answer(b"200 OK", lines), method=b"HEAD")
    yield simple("head-404", request(b"HEAD"), answer(b"404 Not Found", b"Content-Length: 9\r\n"), method=b"HEAD")


def _ranges() -> Iterable[Exchange]:
    one = answer(b"206 Partial Content", *length(b"bcd", b"Content-Range: bytes 1-3/26\r\n"))
    for name, line in (
        ("first", b"bytes=0-3"),
        ("last", b"bytes=-3"),
        ("open", b"bytes=3-"),
        ("several", b"bytes=0-0,-1"),
        ("unit", b"lines=1-2"),
    ):
        yield simple(f"range-{name}", request(lines=b'Range: %b\r\nIf-Range: "x"\r\n' % line), one)
    body = b"--x\r\nContent-Range: bytes 0-0/3\r\n\r\na\r\n--x\r\nContent-Range: bytes 2-2/3\r\n\r\nc\r\n--x--\r\n"
    several = answer(b"206 Partial Content", *length(body, b"Content-Type: multipart/byteranges; boundary=x\r\n"))
    yield simple("range-multipart", request(lines=b"Range: bytes=0-0,2-2\r\n"), several)
    none = answer(b"416 Range Not Satisfiable", b"Content-Range: bytes */3\r\nContent-Length: 0\r\n")
    yield simple("range-416", request(lines=b"Range: bytes=9-\r\n"), none)


def _request_headers() -> Iterable[Exchange]:
    many = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(90))
    for name, lines in (
        ("many", many),
        ("long", b"X-Long: " + b"v" * 20_000 + b"\r\n"),
        ("long-cookie", b"X: y\r\n"),
        ("repeated", b"X-A: 1\r\nx-a: 2\r\nX-B: 3\r\nX-A: 1\r\n"),
        ("empty", b"X-Empty:\r\nX-Blank:   \r\n"),
        ("blanks", b"X-A:b\r\nX-B: \t c \t\r\nX-C:  d  e\r\n"),
        ("bytes", b"X-A: \xc3\xa9\xff\x80\r\n"),
        ("quotes", b'X-A: "a;b\\"c", <d>; e={f}\r\n'),
        ("token", b"!#$%&'*+-.^`|~9Az: odd\r\n"),
        ("spelling", b"uSER-aGENT: a/1 (b; c) d\r\nACCEPT: */*;q=0.1\r\naccept-language: de\r\n"),
        ("negotiation", b"Accept-Encoding: gzip, br, zstd\r\nAccept-Charset: x\r\nPrefer: return=minimal\r\n"),
        ("conditions", b"If-Match: *\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        ("webdav", b'Depth: infinity\r\nDestination: http://store.example/x\r\nOverwrite: F\r\nIf: (<a> ["b"])\r\n'),
        ("origin", b"Origin: null\r\nReferer: http://a/b?c\r\nSec-Fetch-Mode: cors\r\nDNT: 1\r\n"),
        ("tracing", b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b\r\n"),
        ("request-id", b"X-Request-Id: abc-1\r\n"),
        ("other-cookies", b'Cookie: a=b; c="d e"; =f; g; a=h\r\n'),
        ("caching", b"Cache-Control: no-cache\r\nPragma: no-cache\r\nMax-Forwards: 3\r\nFrom: a@b\r\n"),
        ("s3", b"x-amz-date: 20260101T000000Z\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-meta-a: b\r\n"),
        ("keep-alive", b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"),
        ("nominated", b"Connection: x-b, Keep-Alive\r\nX-A: 1\r\nX-B: 2\r\n"),
        ("te", b"TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n"),
        ("proxy", b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n"),
        ("h2c", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        ("forwarding", b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Prefix: /x\r\nForwarded: for=a\r\nX-Real-IP: a\r\n"),
        ("overrides", b"X-HTTP-Method-Override: PUT\r\nX-Original-URL: /x\r\nX-Rewrite-URL: /x\r\nX-Envoy-A: b\r\n"),
        ("identity", b"X-Sidegate-Account: user:root\r\nx-sidegate-decision: x\r\n"),
        ("aliases", b"Content_Length: 9\r\nTransfer.Encoding: chunked\r\n"),
    ):
        yield simple(f"request-header-{name}", request(lines=lines))


def _answer_headers() -> Iterable[Exchange]:
    many = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(150))
    for name, lines in (
        ("many", many),
        ("long", b"X-Long: " + b"v" * 30_000 + b"\r\n"),
        ("cookies", b"Set-Cookie: a=b; Path=/; HttpOnly\r\nset-cookie: c=d\r\nSet-Cookie: __session=; Max-Age=0\r\n"),
        ("repeated", b"X-A: 1\r\nX-a: 2\r\nVary: A\r\nVary: B\r\n"),
        ("blanks", b"X-A:b\r\nX-B: \t c \t\r\nX-Empty:\r\n"),
        ("bytes", b"X-A: \xe4\xf6\xfc\xff\r\n"),
        ("server", b"Server: a/1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nVia: 1.1 b\r\nAge: 0\r\n"),
        ("caching", b'Cache-Control: private\r\nExpires: 0\r\nETag: "a\xffb"\r\nLast-Modified: x\r\n'),
        (
            "disposition",
            b"Content-Disposition: attachment; filename*=UTF-8''%e2%82%ac\r\nContent-Type: a/b; c=\"d\"\r\n",
        ),
        ("security", b"Content-Security-Policy: default-src 'self'\r\nStrict-Transport-Security: max-age=1\r\n"),
        ("cross-origin", b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: a, b\r\n"),
        ("alternative", b"Alt-Svc: clear\r\nLink: </a>; rel=b\r\nRefresh: 3\r\n"),
        ("hop-by-hop", b"Connection: keep-alive, x-b\r\nKeep-Alive: timeout=5\r\nX-B: c\r\nX-D: e\r\n"),
        ("proxy", b"Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"),
    ):
        yield simple(f"answer-header-{name}", request(), answer(b"200 OK", *length(b"ok", lines)))
    yield simple("answer-says-close", request(), answer(b"200 OK", *length(b"ok", b"Connection: close\r\n")))


def _targets() -> Iterable[Exchange]:
    for name, target in (
        ("query", PATH + b"?a=b&c=d%20e+f&a=b&&=&g"),
        ("empty-query", PATH + b"?"),
        ("odd-query", PATH + b"?a=%zz%&b={c}|\"<>^`\\[]'&d=/../..//e?f"),
        ("long-query", PATH + b"?q=" + b"x" * 7000),
        ("escapes", FOLDER.encode() + b"/%41%7e%c3%a9%20b"),
        ("plain", FOLDER.encode() + b"/!$&'()*+,=:@-._~"),
        ("unicode", FOLDER.encode() + b"/%E2%82%AC/%F0%9F%98%80.json"),
        ("slash-at-the-end", FOLDER.encode() + b"/folder/"),
        ("deep", FOLDER.encode() + b"/a" * 30),
        ("absolute", b"http://" + HOST + PATH + b"?x=y"),
    ):
        yield simple(f"target-{name}", request(target=target))


def _connections() -> Iterable[Exchange]:
    yield simple("client-says-close", request(lines=b"Connection: close\r\n"), closes=True)
    yield simple("client-1.0", request(minor=0), closes=True)
    yield simple("client-1.0-kept-alive", request(minor=0, lines=b"Connection: keep-alive\r\n"), closes=True)
    told = answer(b"200 OK", *chunked(b"he", b"llo"))
    yield simple("client-1.0-and-chunks", request(minor=0), told, closes=True)
    row = [step for number in range(5) for step in (client(request(target=PATH + b"?%d" % number)), upstream(OK))]
    yield Exchange("five-in-a-row", tuple(row))


def _events() -> Iterable[Exchange]:
    begun = answer(b"200 OK", b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n")
    asked = client(request(lines=b"Accept: text/event-stream\r\nLast-Event-ID: 7\r\n"))
    texts = (
        b": comment\n\n",
        b"data: one\n\n",
        b"id: 8\nevent: x\ndata: \xe2\x82\xac\ndata: b\n\n",
        b"retry: 10\r\n\r\n",
    )
    steps = [upstream(b"%x\r\n%b\r\n" % (len(text), text)) for text in texts]
    yield Exchange("events", (asked, upstream(begun), *steps, upstream(b"0\r\n\r\n")))
    yield Exchange("events-left-open", (asked, upstream(begun), *steps))
    begun = answer(b"200 OK", b"Content-Type: text/event-stream; charset=utf-8\r\n")
    yield Exchange(
        "events-until-the-end",
        (asked, upstream(begun), *(upstream(text) for text in texts), UPSTREAM_ENDS),
        closes=True,
    )


EXCHANGES: Final = (
    *_methods(), *_statuses(), *_request_bodies(), *_answer_bodies(), *_slow(), *_large(), *_interim(), *_heads(),
    *_ranges(), *_request_headers(), *_answer_headers(), *_targets(), *_connections(), *_events(), *WEBSOCKETS,
)  # fmt: skip
