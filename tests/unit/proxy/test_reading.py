"""Whole request heads: what both parts say together, and what is remembered of them."""

import pytest

from sidegate.core.model.decision import Reason
from sidegate.core.routing.table import RouteTable
from sidegate.core.wire.block import HeaderRules
from sidegate.core.wire.fields import NO_LENGTH
from sidegate.core.wire.names import NamePolicy
from sidegate.proxy.reading import REMEMBERED_BYTES, Head, Readings, Unreadable

RULES = HeaderRules(NamePolicy(b"X-API-Key", frozenset()), b"__session", keep_credentials=False, max_fields=100)

GET = b"GET /a HTTP/1.1\r\nHost: api.example\r\n\r\n"
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def readings() -> Readings:
    """Nothing remembered, no routes."""
    return Readings(RULES, RouteTable([]), 8192)


def head(line: bytes, *lines: bytes) -> bytes:
    """A request head for ``api.example``."""
    return b"\r\n".join((line, b"Host: api.example", *lines, b"", b""))


def test_a_head_is_remembered_when_it_comes_again() -> None:
    """The third time it is found without being read, and is the very same."""
    some = readings()
    assert some.known(GET) is None
    first = some.read(GET)
    assert isinstance(first.head, Head)
    assert some.known(GET) is None
    again = some.read(GET)
    assert some.known(GET) is again


def test_heads_that_differ_in_a_token_are_one() -> None:
    """Line and headers are put together once for all tokens; what each presents stands beside it."""
    some = readings()
    found = [some.read(head(b"GET /a HTTP/1.1", b"Cookie: __session=%d" % number)) for number in range(5)]
    assert found[4].head is found[3].head
    assert [one.presented.session for one in found] == [b"0", b"1", b"2", b"3", b"4"]
    assert some.read(head(b"GET /b HTTP/1.1", b"Cookie: __session=1")).head is not found[4].head


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(head(b"GET /a HTTP/1.1", b"Bad Name: x"), id="refused"),
        pytest.param(head(b"GET /a HTTP/1.1", b"X-Long: " + b"x" * REMEMBERED_BYTES), id="long"),
    ],
)
def test_what_is_not_remembered(raw: bytes) -> None:
    """Refusals, which carry an exception, and what would take much memory."""
    some = readings()
    for _ in range(3):
        some.read(raw)
    assert some.known(raw) is None


@pytest.mark.parametrize("behind", [b"x", GET], ids=["a-body", "another-head"])
def test_only_a_head_with_nothing_behind_it_is_known(behind: bytes) -> None:
    """So that what comes behind is never lost."""
    some = readings()
    for _ in range(3):
        some.read(GET)
    assert some.known(GET + behind) is None
    assert some.known(GET[:-1]) is None


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        pytest.param(GET, 0, id="none"),
        pytest.param(head(b"POST /a HTTP/1.1", b"Content-Length: 0"), 0, id="empty"),
        pytest.param(head(b"POST /a HTTP/1.1", b"Content-Length: 7"), 7, id="known"),
        pytest.param(head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked"), NO_LENGTH, id="chunked"),
    ],
)
def test_length_of_the_body(raw: bytes, length: int) -> None:
    """As the header lines say."""
    found = readings().read(raw).head
    assert isinstance(found, Head)
    assert length == found.length


@pytest.mark.parametrize(
    ("raw", "keep"),
    [
        pytest.param(GET, True, id="1.1"),
        pytest.param(head(b"GET /a HTTP/1.0"), False, id="1.0"),
        pytest.param(head(b"GET /a HTTP/1.1", b"Connection: close"), False, id="close"),
        pytest.param(head(b"GET /a HTTP/1.1", *WEBSOCKET), False, id="websocket"),
    ],
)
def test_whether_another_request_may_follow(raw: bytes, *, keep: bool) -> None:
    """RFC 9112 section 9.3; a tunnel serves no more requests."""
    found = readings().read(raw).head
    assert isinstance(found, Head)
    assert keep is found.keep


def test_a_websocket_is_asked_for_upstream() -> None:
    """With the two lines that hop by hop headers lose, and the answer of RFC 6455 section 1.3 is known beforehand."""
    found = readings().read(head(b"GET /a HTTP/1.1", *WEBSOCKET)).head
    assert isinstance(found, Head)
    assert found.websocket_accept == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert found.forward.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")


@pytest.mark.parametrize(
    ("raw", "reason", "is_line_known", "is_block_known"),
    [
        pytest.param(b"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n", Reason.MALFORMED_REQUEST, False, False, id="line"),
        pytest.param(b"GET /a HTTP/1.1\r\n\r\n", Reason.MALFORMED_REQUEST, True, False, id="no-headers"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: x\n\r\n\r\n", Reason.MALFORMED_REQUEST, False, False, id="stray-end"),
        pytest.param(head(b"GET http://b.example/a HTTP/1.1"), Reason.MALFORMED_REQUEST, True, True, id="other-host"),
        pytest.param(
            head(b"POST /a HTTP/1.0", b"Transfer-Encoding: chunked"),
            Reason.AMBIGUOUS_FRAMING,
            True,
            True,
            id="chunks-in-1.0",
        ),
        pytest.param(
            head(b"POST /a HTTP/1.1", *WEBSOCKET), Reason.MALFORMED_REQUEST, True, True, id="websocket-by-post"
        ),
        pytest.param(
            head(b"GET /a HTTP/1.1", *WEBSOCKET[:3]), Reason.MALFORMED_REQUEST, True, True, id="websocket-without-key"
        ),
        pytest.param(
            head(b"GET /a HTTP/1.1", *WEBSOCKET, b"Content-Length: 1"),
            Reason.MALFORMED_REQUEST,
            True,
            True,
            id="websocket-with-body",
        ),
        pytest.param(head(b"GET /a%3Bb HTTP/1.1"), Reason.AMBIGUOUS_PATH, True, True, id="route-does-not-allow"),
    ],
)
def test_refused_heads(raw: bytes, reason: Reason, *, is_line_known: bool, is_block_known: bool) -> None:
    """What can be read of one is told all the same, for its record."""
    found = readings().read(raw).head
    assert isinstance(found, Unreadable)
    assert (reason, is_line_known, is_block_known) == (
        found.error.reason,
        found.reading is not None,
        found.block is not None,
    )
