"""Chunked bodies: the same verdict however the bytes are cut, and never a different one than llhttp's (spec 2.1)."""

from collections.abc import Callable
from itertools import pairwise

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.wire.framing import (
    LAST_CHUNK,
    MAX_EXTENSION_BYTES,
    MAX_SIZE_DIGITS,
    MAX_TRAILER_BYTES,
    ChunkedReader,
    encode_chunk,
)

Verdict = tuple[bytes, bytes, bool] | None
REFUSED = (400, Reason.AMBIGUOUS_FRAMING)
Cutter = Callable[[bytes], list[bytes]]


def _read(pieces: list[bytes]) -> Verdict:
    """Feed *pieces*; return (payload, rest, done), or None if they are refused."""
    reader = ChunkedReader()
    payload, rest = b"", b""
    for piece in pieces:
        if reader.done:
            rest += piece
            continue
        try:
            found, rest = reader.feed(piece)
        except WireError as error:
            return None if (error.status, error.reason) == REFUSED else (b"", error.detail.encode(), False)
        payload += b"".join(found)
    return payload, rest, reader.done


def _bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"0\r\n\r\n", (b"", b"", True), id="empty"),
        pytest.param(b"5\r\nhello\r\n0\r\n\r\n", (b"hello", b"", True), id="one-chunk"),
        pytest.param(b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", (b"0123456789" * 2, b"", True), id="hex-case"),
        pytest.param(b"005\r\nhello\r\n000\r\n\r\n", (b"hello", b"", True), id="leading-zeros"),
        pytest.param(b"0\r\n\r\nGET ", (b"", b"GET ", True), id="what-follows"),
        pytest.param(b"5;a=b\r\nhello\r\n0;c\r\n\r\n", (b"hello", b"", True), id="extensions-are-dropped"),
        pytest.param(b"0\r\nA: b\r\nC: \xff\r\n\r\n", (b"", b"", True), id="trailers-are-dropped"),
        pytest.param(b"5\r\nhel", (b"hel", b"", False), id="cut-in-data"),
        pytest.param(b"5\r\nhello\r", (b"hello", b"", False), id="cut-in-line-end"),
        pytest.param(b"5\r", (b"", b"", False), id="cut-in-size-line"),
        pytest.param(b"0\r\n\r", (b"", b"", False), id="cut-at-the-end"),
        pytest.param(b"", (b"", b"", False), id="nothing-yet"),
        pytest.param(b"0" * MAX_SIZE_DIGITS + b"\r\n\r\n", (b"", b"", True), id="longest-size"),
        pytest.param(b"0;" + b"x" * (MAX_EXTENSION_BYTES - 1) + b"\r\n\r\n", (b"", b"", True), id="longest-extension"),
        pytest.param(
            b"0\r\nA:" + b"x" * (MAX_TRAILER_BYTES - 6) + b"\r\n\r\n", (b"", b"", True), id="longest-trailers"
        ),
    ],
)
@pytest.mark.parametrize("cut", [pytest.param(lambda data: [data], id="whole"), pytest.param(_bytewise, id="bytewise")])
def test_accepted(data: bytes, expected: Verdict, cut: Cutter) -> None:
    """Payload, end and what follows are found, whole or byte by byte."""
    assert expected == _read(cut(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\r\n", id="no-size"),
        pytest.param(b";a\r\n", id="extension-without-size"),
        pytest.param(b"g\r\n", id="not-hex"),
        pytest.param(b"0x5\r\n", id="prefixed"),
        pytest.param(b"+5\r\n", id="signed"),
        pytest.param(b"-5\r\n", id="negative"),
        pytest.param(b" 5\r\n", id="blank-before"),
        pytest.param(b"5 \r\n", id="blank-after"),
        pytest.param(b"5 ;a\r\n", id="blank-before-extension"),
        pytest.param(b"5_0\r\n", id="underscore"),
        pytest.param(b"0" * (MAX_SIZE_DIGITS + 1), id="too-many-digits"),
        pytest.param(b"5\nhello\n0\n\n", id="bare-lf"),
        pytest.param(b"5\rhello", id="bare-cr"),
        pytest.param(b"5\r\nhelloX", id="longer-than-its-size"),
        pytest.param(b"5\r\nhello\rX", id="cr-without-lf-after-data"),
        pytest.param(b"5\r\nhello\n", id="lf-after-data"),
        pytest.param(b"5;a\x00\r\n", id="nul-in-extension"),
        pytest.param(b"5;\xff\r\n", id="high-byte-in-extension"),
        pytest.param(b"0;" + b"x" * MAX_EXTENSION_BYTES, id="extension-too-long"),
        pytest.param((b"1;" + b"x" * 99 + b"\r\nz\r\n") * 3, id="extensions-too-long-in-all"),
        pytest.param(b"0\r\nno-colon\r\n\r\n", id="trailer-without-colon"),
        pytest.param(b"0\r\n: x\r\n\r\n", id="trailer-without-name"),
        pytest.param(b"0\r\nA : x\r\n\r\n", id="blank-before-colon"),
        pytest.param(b"0\r\n folded: x\r\n\r\n", id="folded-trailer"),
        pytest.param(b"0\r\nA: x\x00\r\n\r\n", id="nul-in-trailer"),
        pytest.param(b"0\r\nA: x\n\r\n", id="lf-in-trailer"),
        pytest.param(b"0\r\nA:" + b"x" * (MAX_TRAILER_BYTES - 3) + b"\r\n\r\n", id="trailers-too-long"),
        pytest.param(b"0\r\n" + b"A: x\r\n" * (MAX_TRAILER_BYTES // 6 + 1), id="too-many-trailers"),
    ],
)
@pytest.mark.parametrize("cut", [pytest.param(lambda data: [data], id="whole"), pytest.param(_bytewise, id="bytewise")])
def test_refused(data: bytes, cut: Cutter) -> None:
    """Malformed framing is 400 `ambiguous_framing`, whole or byte by byte."""
    assert _read(cut(data)) is None


_BITS = st.sampled_from(
    [
        b"0",
        b"1",
        b"5",
        b"a",
        b"F",
        b"\r\n",
        b"\r",
        b"\n",
        b";",
        b"x=y",
        b" ",
        b"\t",
        b"hello",
        b"z",
        b"A: b",
        b":",
        b"0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"1;e\r\nq\r\n",
        b"\x00",
        b"\xff",
        b'"',
        b"0\r\nTrail: er\r\n\r\n",
    ]
)
_STREAMS = st.lists(_BITS, max_size=14).map(b"".join)


@given(_STREAMS, st.data())
def test_cuts_do_not_matter(stream: bytes, data: st.DataObject) -> None:
    """Any cutting of the same bytes gives the same verdict, payload and rest."""
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    bounds = [0, *places, len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(bounds)]
    assert _read([stream]) == _read(pieces)
    assert _read([stream]) == _read(_bytewise(stream))


class _Body:
    def __init__(self) -> None:
        self.payload = b""
        self.complete = 0

    def on_body(self, data: bytes) -> None:
        self.payload += data

    def on_message_complete(self) -> None:
        self.complete += 1


@given(_STREAMS)
def test_agrees_with_llhttp(stream: bytes) -> None:
    """What we read to its end, llhttp in strict mode reads to the same end with the same payload, or refuses."""
    verdict = _read([stream])
    if verdict is None or not verdict[2]:
        return
    payload, rest, _ = verdict
    seen = _Body()
    parser = httptools.HttpRequestParser(seen)
    body = stream[: len(stream) - len(rest)]
    try:
        parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    except httptools.HttpParserError:
        # Stricter about extensions, which we drop and never pass on.
        assert b";" in body
        return
    assert (payload, 1) == (seen.payload, seen.complete)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
def test_what_is_encoded_is_read(chunks: list[bytes]) -> None:
    """Chunks written by `encode_chunk` and ended by `LAST_CHUNK` are read back as they were."""
    wire = b"".join(encode_chunk(chunk) for chunk in chunks) + LAST_CHUNK
    assert (b"".join(chunks), b"", True) == _read([wire])
