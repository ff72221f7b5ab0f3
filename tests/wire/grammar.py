"""Requests by grammar, and mutations of their bytes: what the generator plays.

Credentials stand as short placeholders until the end, so that mutations hit what frames a request and not the middle of
a signature.
"""

import random
from collections.abc import Callable
from typing import Final

PATH: Final = b"/v1/orgs/acme/projects/p1/branches/x/files/"
VERA: Final = b"<V>"
ANA: Final = b"<A>"

_METHODS: Final = (b"GET", b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH")
_ODD_METHODS: Final = (b"TRACE", b"CONNECT", b"get", b"GE T", b"FOO", b"", b"PRI", b"M-SEARCH", b"G\x00T")
_TAILS: Final = (
    b"a.json", b"designs/b.json", b"a%20b", b"%61", b"d%C3%A9j", b"a+b", b"a:b@c", b"x/", b"a.json?q=1&q=2",
    b"a.json?", b"(a)*", b"a'b!$&,=",
)  # fmt: skip
_ODD_TAILS: Final = (
    b"../p9", b"%2e%2e/x", b"a%2Fb", b"a;b", b"a%3b", b"a\\b", b"%5c", b"a//b", b"%00", b"%c0%af", b"e%cc%81", b"a%",
    b"%zz", b"a#b", b"a b", b"\xff", b"..;/", b".", b"%252e", b"", b"/", b"?", b"a%u002f", b"%ed%a0%80",
)  # fmt: skip
_OTHER_PATHS: Final = (
    b"/healthz", b"/nowhere", b"*", b"/v1/orgs/globex/projects/g1/branches/x/files/a", b"/v1/orgs/acme/live",
    b"http://h/healthz", b"http://h" + PATH + b"a", b"http://evil/healthz", b"//h/healthz", b"h:80", b"/", b"",
    b"/v1/orgs/acme/projects/p1/branches/x:glob", b"/healthz/../healthz", b"/HEALTHZ",
)  # fmt: skip
_VERSIONS: Final = (b"HTTP/1.1",) * 12 + (b"HTTP/1.0", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b"")
_HEADERS: Final = (
    b"Accept: */*", b"X-Custom: \xe9\xff", b"User-Agent: t", b"Cookie: a=1; b=2", b"Content-Type: application/json",
    b"X-Request-Id: r1", b"traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", b"X:", b"x: y",
    b"If-None-Match: \"a\"", b"Range: bytes=0-1", b"Origin: null", b"Connection: keep-alive",
)  # fmt: skip
_ODD_HEADERS: Final = (
    b"Connection: close", b"Connection: X-Custom", b"Connection: Cookie", b"Connection: close, Content-Length",
    (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA", b"Upgrade: websocket", b"Expect: 100-continue",
    b"Expect: 100-Continue ", b"Expect: x", b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 05",
    b"Content-Length: +5", b"content-length:5", b"Content-Length: 5,5", b"Content-Length : 5", b"Content_Length: 5",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: chunked, identity", b"Transfer_Encoding: chunked",
    b"Transfer-Encoding:\tchunked", b"Transfer-Encoding: x\r\n chunked", b"TE: trailers", b"Trailer: X",
    b"X-Sidegate-Account: user:root", b"x_sidegate_account: user:root", b"X.Sidegate.Target: p9", b"X-Forwarded-For: 1",
    b"X_Forwarded_Host: evil", b"Forwarded: for=1", b"X-Real-IP: 1", b"X-Original-URL: /x", b"X-Rewrite-Url: /x",
    b"X-HTTP-Method-Override: DELETE", b"X-Middleware-Subrequest: x", b"X-Envoy-Original-Path: /x", b"Host: h",
    b"Host: evil", b" Host: h", b"Ho_st: evil", b"Cookie: __session=x", b"Cookie: __session=<A>; c=d",
    b"Cookie: a=\"; __session=<V>\"", b"Authorization: Bearer <V>", b"Authorization: Basic eA==", b"X-API-Key: sg_x",
    b"X-Sidegate-Approval: a", b"X-Sidegate-Min-Revision: 1", b"X-Sidegate-Min-Revision: x", b": x", b"X", b"X : y",
    b"Keep-Alive: 5", b"Proxy-Connection: x", b"X: " + b"y" * 3000, b"Early-Data: 1", b"Cookie2: $Version=1",
)  # fmt: skip
_SPECIAL: Final = (b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b";", b",", b"=", b"\x0b",
                   b"\x85", b"\xa0", b"\xff",
                   b"%", b"/", b"\\", b"0", b"\r\n\r\n", b"\"", b"_", b"-", b"#", b"?")  # fmt: skip

Mutation = Callable[["Grammar", bytes], bytes]


class Grammar:
    """Makes requests of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def case(self) -> bytes:
        """Return what one client sends: some requests in a row, mutated more often than not."""
        choice = self.random
        data = b"".join(self.request() for _ in range(choice.choice((1, 1, 1, 2, 2, 3, 5))))
        if choice.random() < 0.65:
            for _ in range(choice.choice((1, 1, 1, 2, 3))):
                data = choice.choice(_MUTATIONS)(self, data)
        return data

    def request(self) -> bytes:
        """Return one request, good or with one oddity here and there."""
        choice = self.random
        method = choice.choice(_ODD_METHODS) if choice.random() < 0.03 else choice.choice(_METHODS)
        kind = choice.random()
        if kind < 0.78:
            target = PATH + choice.choice(_TAILS)
        elif kind < 0.88:
            target = PATH + choice.choice(_ODD_TAILS)
        else:
            target = choice.choice(_OTHER_PATHS)
        lines = [b"%b %b %b" % (method, target, choice.choice(_VERSIONS)), b"Host: h"]
        credential = choice.random()
        if credential < 0.5:
            lines.append(b"Cookie: __session=" + ANA)
        elif credential < 0.85:
            lines.append(b'Cookie: x=y; __session=%b; z="w"' % VERA)
        elif credential < 0.92:
            lines.append(b"Authorization: Bearer " + VERA)
        lines += choice.sample(_HEADERS, choice.choice((0, 0, 1, 2, 4)))
        if choice.random() < 0.3:
            lines += choice.sample(_ODD_HEADERS, choice.choice((1, 1, 2)))
        framing, body = self._body(method)
        lines += framing
        first, *rest = lines
        if choice.random() < 0.5:
            choice.shuffle(rest)
        return b"\r\n".join([first, *rest]) + b"\r\n\r\n" + body

    def _body(self, method: bytes) -> tuple[list[bytes], bytes]:
        choice = self.random
        payload = choice.choice(
            (
                b"",
                b"hello",
                b'{"pattern":"a/*"}',
                b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n",
                b"0\r\n\r\n",
                bytes(range(256)),
            )
        )
        if choice.random() < (0.8 if method in {b"GET", b"HEAD", b"DELETE", b"OPTIONS"} else 0.1):
            return [], b""
        if choice.random() < 0.5:
            return [b"Content-Length: %d" % len(payload)], payload
        body = b""
        while payload:
            size = choice.randint(1, len(payload))
            extension = choice.choice((b"", b"", b"", b";a=b", b';a="b"', b";"))
            line = choice.choice((b"%x", b"%X", b"0%x")) % size + extension
            body += line + b"\r\n" + payload[:size] + b"\r\n"
            payload = payload[size:]
        trailer = choice.choice((b"", b"", b"", b"X-T: 1\r\n", b"Content-Length: 1\r\n", b"X-Sidegate-Account: r\r\n"))
        return [b"Transfer-Encoding: chunked"], body + b"0\r\n" + trailer + b"\r\n"

    # Mutations.

    def flip(self, data: bytes) -> bytes:
        """Change one byte."""
        at = self._place(data)
        return data[:at] + bytes([self.random.randrange(256)]) + data[at + 1 :]

    def flip_bit(self, data: bytes) -> bytes:
        """Change one bit."""
        at = self._place(data)
        return data[:at] + bytes([data[at] ^ (1 << self.random.randrange(8))]) + data[at + 1 :] if data else data

    def insert(self, data: bytes) -> bytes:
        """Insert what delimits something."""
        at = self._place(data)
        return data[:at] + self.random.choice(_SPECIAL) + data[at:]

    def drop(self, data: bytes) -> bytes:
        """Leave out a few bytes."""
        at = self._place(data)
        return data[:at] + data[at + self.random.choice((1, 1, 2, 5)) :]

    def cut(self, data: bytes) -> bytes:
        """End too early."""
        return data[: self._place(data)]

    def repeat(self, data: bytes) -> bytes:
        """Say a slice twice."""
        at = self._place(data)
        size = self.random.choice((1, 2, 10, 60))
        return data[: at + size] + data[at:]

    def repeat_line(self, data: bytes) -> bytes:
        """Say a line twice, or somewhere else."""
        lines = data.split(b"\r\n")
        line = self.random.choice(lines)
        lines.insert(self.random.randrange(len(lines) + 1), line)
        return b"\r\n".join(lines)

    def add_line(self, data: bytes) -> bytes:
        """Put an odd header line somewhere."""
        lines = data.split(b"\r\n")
        lines.insert(self.random.randrange(len(lines) + 1), self.random.choice(_ODD_HEADERS))
        return b"\r\n".join(lines)

    def swap_lines(self, data: bytes) -> bytes:
        """Exchange two lines."""
        lines = data.split(b"\r\n")
        one, two = self.random.randrange(len(lines)), self.random.randrange(len(lines))
        lines[one], lines[two] = lines[two], lines[one]
        return b"\r\n".join(lines)

    def alias(self, data: bytes) -> bytes:
        """Write a hyphen of a name in another way."""
        places = [at for at in range(len(data)) if data[at] == 0x2D]
        if not places:
            return data
        at = self.random.choice(places)
        return data[:at] + self.random.choice((b"_", b".", b"", b"--", b"~", b"-\x00")) + data[at + 1 :]

    def change_case(self, data: bytes) -> bytes:
        """Write a word in the other case."""
        at = self._place(data)
        size = self.random.choice((1, 5, 20))
        return data[:at] + data[at : at + size].swapcase() + data[at + size :]

    def change_number(self, data: bytes) -> bytes:
        """Write a digit in another way."""
        places = [at for at in range(len(data)) if data[at] in b"0123456789"]
        if not places:
            return data
        at = self.random.choice(places)
        odd = (b"0", b"9", b"+5", b"-1", b"0x5", b"00", b"5 ", b" 5", b"5_0", b"", b"ffffffffffffffff", b"1e3", b"\xb2")
        return data[:at] + self.random.choice(odd) + data[at + 1 :]

    def bare_line_end(self, data: bytes) -> bytes:
        """Spoil one line end."""
        places = [at for at in range(len(data)) if data[at : at + 2] == b"\r\n"]
        if not places:
            return data
        at = self.random.choice(places)
        return (
            data[:at]
            + self.random.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n ", b"\r\n\t", b""))
            + data[at + 2 :]
        )

    def splice(self, data: bytes) -> bytes:
        """Go on in the middle of another request."""
        other = self.request()
        return data[: self._place(data)] + other[self._place(other) :]

    def _place(self, data: bytes) -> int:
        return self.random.randrange(len(data)) if data else 0


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    Grammar.flip, Grammar.flip_bit, Grammar.insert, Grammar.insert, Grammar.drop, Grammar.cut, Grammar.repeat,
    Grammar.repeat_line, Grammar.add_line, Grammar.add_line, Grammar.swap_lines, Grammar.alias, Grammar.change_case,
    Grammar.change_number, Grammar.bare_line_end, Grammar.bare_line_end, Grammar.splice,
)  # fmt: skip
