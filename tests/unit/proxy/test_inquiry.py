"""How a described request becomes a head of HTTP/1.1, and an answer of ours a verdict."""

from dataclasses import replace

import pytest

from sidegate.proxy.inquiry import Inquiry, Verdict, _head_of, _read_verdict

PLAIN = Inquiry(b"GET", b"/a?b", b"h", ((b"X-A", b"1"), (b"x-a", b"2")), b"", "10.0.0.1")


def test_head() -> None:
    """Fields keep order and spelling; what is about the message between two proxies is said anew."""
    between = (
        *((b"Host", b"admin"), (b"Connection", b"keep-alive, X-A"), (b"content-length", b"7"), (b"Expect", b"x")),
        *((b"Transfer-Encoding", b"chunked"), (b"UPGRADE", b"websocket")),
    )
    head = b"GET /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\n%bConnection: close\r\n\r\n"
    assert _head_of(replace(PLAIN, fields=(*PLAIN.fields, *between))) == head % b""
    assert _head_of(replace(PLAIN, body=b"abc")) == head % b"Content-Length: 3\r\n"


@pytest.mark.parametrize("bad", [b"a\r\nX: y", b"a\nb", b"a\rb", b"a\0b"], ids=repr)
@pytest.mark.parametrize("part", ["method", "target", "host", "name", "value"])
def test_nothing_becomes_another_line(part: str, bad: bytes) -> None:
    """A part that holds a line end is not sent, whatever let it in."""
    fields = {"name": ((bad, b"1"),), "value": ((b"A", bad),)}
    given = replace(PLAIN, fields=fields[part]) if part in fields else replace(PLAIN, **{part: bad})
    assert _head_of(given) is None


def test_verdict() -> None:
    """Status, fields and body; what is about the message is left to whoever sends it on."""
    answer = b"HTTP/1.1 401 Unauthorized\r\nDate: x\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\r\n{}"
    assert _read_verdict(answer) == Verdict(401, (("WWW-Authenticate", "Bearer"),), b"{}")


def test_no_verdict() -> None:
    """A connection that ended without an answer is no yes."""
    assert _read_verdict(b"") is None
    assert _read_verdict(b"HTTP/1.1 200 OK\r\nX-Sidegate-Account: user:ana\r\n") is None
