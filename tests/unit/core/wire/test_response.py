"""Response heads of the upstream, read as strictly as requests (spec 2.5)."""

import pytest

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.wire.response import Framing, read_response_head

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("head", "forward"),
    [
        pytest.param(OK + b"Content-Length: 3\r\n", OK + b"Content-Length: 3\r\n", id="plain"),
        pytest.param(b"HTTP/1.0 200 Fine\r\n", b"HTTP/1.1 200 Fine\r\n", id="1.0-becomes-1.1"),
        pytest.param(b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \r\n", id="no-phrase"),
        pytest.param(b"HTTP/1.1 200 \xff\r\n", b"HTTP/1.1 200 \xff\r\n", id="phrase-not-ascii"),
        pytest.param(OK + b"x-A:  1 \r\nX-b: 2\r\n", OK + b"x-A: 1\r\nX-b: 2\r\n", id="order-and-spelling"),
        pytest.param(
            OK + b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n",
            OK + b"Content-Length: 0\r\n",
            id="hop-by-hop",
        ),
        pytest.param(
            OK + b"Connection: Content-Length\r\nContent-Length: 3\r\n",
            OK + b"Content-Length: 3\r\n",
            id="length-stays",
        ),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\nTrailer: x\r\n", OK, id="framing-re-made"),
        pytest.param(b"HTTP/1.1 204 N\r\nContent-Length: 0\r\n", b"HTTP/1.1 204 N\r\n", id="no-length-on-204"),
        pytest.param(b"HTTP/1.1 103 E\r\nLink: x\r\n", b"HTTP/1.1 103 E\r\nLink: x\r\n", id="interim"),
        pytest.param(
            b"HTTP/1.1 304 N\r\nContent-Length: 9\r\n", b"HTTP/1.1 304 N\r\nContent-Length: 9\r\n", id="length-on-304"
        ),
    ],
)
def test_forward(head: bytes, forward: bytes) -> None:
    """What reaches the client, byte for byte, before framing and connection are added."""
    assert forward == read_response_head(head).forward


@pytest.mark.parametrize(
    ("head", "framing", "length"),
    [
        pytest.param(OK + b"Content-Length: 3\r\n", Framing.LENGTH, 3, id="length"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n", Framing.CHUNKED, 0, id="chunked"),
        pytest.param(OK, Framing.UNTIL_CLOSE, 0, id="until-close"),
        pytest.param(b"HTTP/1.1 204 N\r\nContent-Length: 3\r\n", Framing.NONE, 0, id="204"),
        pytest.param(b"HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n", Framing.NONE, 0, id="304"),
        pytest.param(b"HTTP/1.1 100 C\r\n", Framing.NONE, 0, id="interim"),
    ],
)
def test_framing(head: bytes, framing: Framing, length: int) -> None:
    """How the end of the body is found (RFC 9112 section 6.3)."""
    read = read_response_head(head)
    assert (framing, length) == (read.framing, read.length)


@pytest.mark.parametrize(
    ("head", "close"),
    [
        pytest.param(OK + b"Content-Length: 0\r\n", False, id="1.1-keeps"),
        pytest.param(OK + b"Content-Length: 0\r\nConnection: Close\r\n", True, id="said-so"),
        pytest.param(OK, True, id="until-close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n", True, id="1.0-closes"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n", False, id="1.0-keep-alive"),
    ],
)
def test_close(head: bytes, close: bool) -> None:
    """Whether the upstream will serve another request on the connection."""
    assert close is read_response_head(head).close


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\r\n", id="empty-line"),
        pytest.param(b"HTTP/1.1 20 OK\r\n", id="two-digits"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n", id="four-digits"),
        pytest.param(b"HTTP/1.1 099 OK\r\n", id="below-100"),
        pytest.param(b"HTTP/1.1 600 OK\r\n", id="above-599"),
        pytest.param(b"HTTP/1.1  200 OK\r\n", id="two-spaces"),
        pytest.param(b"HTTP/2.0 200 OK\r\n", id="http2"),
        pytest.param(b"HTTP/1.2 200 OK\r\n", id="1.2"),
        pytest.param(b"ICY 200 OK\r\n", id="icecast"),
        pytest.param(b"HTTP/1.1 200 O\x00K\r\n", id="nul-in-phrase"),
        pytest.param(b"HTTP/1.1 200 OK\nA: b\r\n", id="bare-lf"),
        pytest.param(OK + b"A: b\nC: d\r\n", id="bare-lf-in-headers"),
        pytest.param(OK + b"A : b\r\n", id="blank-before-colon"),
        pytest.param(OK + b"A: b\r\n c\r\n", id="folded"),
        pytest.param(OK + b"A\r\n", id="no-colon"),
        pytest.param(OK + b"Content-Length: 1\r\nContent-Length: 1\r\n", id="two-lengths"),
        pytest.param(OK + b"Content-Length: 1, 1\r\n", id="length-list"),
        pytest.param(OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", id="length-and-coding"),
        pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n", id="coding-list"),
        pytest.param(OK + b"Transfer-Encoding: identity\r\n", id="identity"),
        pytest.param(b"HTTP/1.1 204 N\r\nContent-Length: -1\r\n", id="bad-length-on-204"),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", id="chunked-on-1.0"),
        pytest.param(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n", id="upgrade-not-named-by-connection"),
    ],
)
def test_refused(head: bytes) -> None:
    """A head that two readers could read in two ways is 502 `upstream_invalid`."""
    with pytest.raises(WireError) as refused:
        read_response_head(head)
    assert (refused.value.status, refused.value.reason) == (502, Reason.UPSTREAM_INVALID)


@pytest.mark.parametrize(
    ("lines", "upgrade", "accept"),
    [
        pytest.param(
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n", b"websocket", b"x", id="right"
        ),
        pytest.param(b"Connection: x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n", None, b"x", id="not-named"),
        pytest.param(b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"websocket", None, id="no-accept"),
        pytest.param(
            b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Accept: x\r\n",
            b"websocket",
            None,
            id="two-accepts",
        ),
    ],
)
def test_upgrade(lines: bytes, upgrade: bytes | None, accept: bytes | None) -> None:
    """An upgrade counts where Connection names it; an accept where it stands once."""
    read = read_response_head(b"HTTP/1.1 %b S\r\n%b" % (b"101" if upgrade else b"200", lines))
    assert (upgrade, accept) == (read.upgrade, read.websocket_accept)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        pytest.param(b"text/event-stream", True, id="plain"),
        pytest.param(b"Text/Event-Stream ; charset=utf-8", True, id="parameters"),
        pytest.param(b"text/event-streams", False, id="longer"),
        pytest.param(b"application/json", False, id="other"),
    ],
)
def test_event_stream(content_type: bytes, expected: bool) -> None:
    """Event streams are known by their content type, parameters aside."""
    assert expected is read_response_head(OK + b"Content-Type: " + content_type + b"\r\n").event_stream
