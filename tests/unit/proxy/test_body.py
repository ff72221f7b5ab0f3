"""Bodies on their way through: where they end and how they are framed again (spec 2.1, 2.5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.proxy.body import BodyReader, ChunkedBody, LengthBody, UntilCloseBody, frame_chunks


def _read(body: BodyReader, pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    payload, rest = b"", b""
    for piece in pieces:
        found, rest = body.feed(piece)
        payload += found
        if body.done:
            break
    return payload, rest, body.done


@pytest.mark.parametrize(
    ("length", "pieces", "expected"),
    [
        pytest.param(3, [b"abc"], (b"abc", b"", True), id="whole"),
        pytest.param(3, [b"a", b"b", b"c"], (b"abc", b"", True), id="bytewise"),
        pytest.param(3, [b"ab"], (b"ab", b"", False), id="short"),
        pytest.param(3, [b"abcGET"], (b"abc", b"GET", True), id="what-follows"),
        pytest.param(3, [b"ab", b"cGET"], (b"abc", b"GET", True), id="what-follows-after-a-cut"),
        pytest.param(3, [b""], (b"", b"", False), id="nothing"),
    ],
)
def test_length(length: int, pieces: list[bytes], expected: tuple[bytes, bytes, bool]) -> None:
    """Exactly Content-Length bytes are the body, whatever way they come."""
    assert expected == _read(LengthBody(length), pieces)


def test_length_zero_is_done() -> None:
    """A body of no bytes is over before anything is fed."""
    assert LengthBody(0).done


def test_chunked() -> None:
    """Payload without its framing; what follows the last chunk is handed back."""
    assert _read(ChunkedBody(), [b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET"]) == (b"abcde", b"GET", True)


@pytest.mark.parametrize(
    ("maximum", "passes"),
    [
        pytest.param(0, True, id="no-limit"),
        pytest.param(5, True, id="at-the-limit"),
        pytest.param(4, False, id="above"),
    ],
)
def test_chunked_maximum(maximum: int, passes: bool) -> None:
    """A chunked body that turns out too long is 413; 0 is no limit."""
    body = ChunkedBody(maximum)
    wire = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    if passes:
        assert body.feed(wire) == (b"abcde", b"")
        return
    with pytest.raises(WireError) as refused:
        body.feed(wire)
    assert (refused.value.status, refused.value.reason) == (413, Reason.BODY_TOO_LARGE)


def test_chunked_maximum_counts_over_pieces() -> None:
    """The limit holds for the sum of all pieces."""
    body = ChunkedBody(4)
    body.feed(b"3\r\nabc\r\n")
    with pytest.raises(WireError):
        body.feed(b"2\r\nde\r\n")


def test_chunked_malformed() -> None:
    """Framing that cannot be read in one way is 400 `ambiguous_framing`."""
    with pytest.raises(WireError) as refused:
        ChunkedBody().feed(b"zz\r\n")
    assert (refused.value.status, refused.value.reason) == (400, Reason.AMBIGUOUS_FRAMING)


def test_until_close() -> None:
    """Everything is payload and only the connection's end is the end."""
    assert _read(UntilCloseBody(), [b"a", b"b"]) == (b"ab", b"", False)


@pytest.mark.parametrize(
    ("payload", "done", "wire"),
    [
        pytest.param(b"", False, b"", id="nothing-to-say"),
        pytest.param(b"abc", False, b"3\r\nabc\r\n", id="a-chunk"),
        pytest.param(b"", True, b"0\r\n\r\n", id="the-end"),
        pytest.param(b"abc", True, b"3\r\nabc\r\n0\r\n\r\n", id="last-chunk-and-end"),
    ],
)
def test_frame_chunks(payload: bytes, done: bool, wire: bytes) -> None:
    """An empty payload never becomes a chunk: a chunk of size 0 would end the body."""
    assert wire == frame_chunks(payload, done=done)


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_framed_again_is_the_same_body(pieces: list[bytes]) -> None:
    """What goes through one reader and is framed again is read to the same payload by the next hop."""
    framed = [frame_chunks(piece, done=False) for piece in pieces]
    assert _read(ChunkedBody(), [*framed, frame_chunks(b"", done=True)]) == (b"".join(pieces), b"", True)
