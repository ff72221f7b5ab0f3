"""Attacks on the lines of a head: line ends, request lines, hosts, paths."""

from collections.abc import Iterator

from tests.wire.attack import ALLOW, GET, PATH, POST, Attack, F, M, P
from tests.wire.kinds import Kind


def lines() -> Iterator[Attack]:
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
        yield Attack(f"line-{name}", Kind.LINES, POST + lines, (M,))
    folded = POST + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n{N}"
    yield Attack("line-fold-of-a-coding", Kind.LINES, folded, (F,))
    for name, data in {
        "crlf-before": b"\r\n" + GET + b"\r\n{N}",
        "lf-before": b"\n" + GET + b"\r\n{N}",
        "blank-line-after-request-line": b"GET {P} HTTP/1.1\r\n X: a\r\nHost: h\r\n{V}\r\n{N}",
        "lf-after-request-line": b"GET {P} HTTP/1.1\nHost: h\r\n{V}\r\n{N}",
        "byte-order-mark": b"\xef\xbb\xbf" + GET + b"\r\n{N}",
    }.items():
        yield Attack(f"line-{name}", Kind.LINES, data, (M,))


def request_line() -> Iterator[Attack]:
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


def hosts() -> Iterator[Attack]:
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
        "port-above": b"Host: h:65536\r\n",
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
        lines = GET + header + b": evil\r\n\r\n"
        absent = (header + b":",) if header != b"X-Host" else ()
        yield Attack(f"host-alias-{header.decode()}", Kind.HOST, lines, (ALLOW,), absent)
    absolute = b"GET HTTP://H{P}?q HTTP/1.1\r\nHost: h\r\n{V}\r\n"
    yield Attack("target-absolute", Kind.HOST, absolute, (ALLOW,), (b"HTTP://",), (b"GET " + PATH + b"?q HTTP/1.1",))


def paths() -> Iterator[Attack]:
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
