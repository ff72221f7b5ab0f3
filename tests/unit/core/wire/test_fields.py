"""Header lines, their framing and their second reading by llhttp (spec 2.1)."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.wire.fields import (
    NO_LENGTH,
    Fields,
    FramingError,
    has_stray_line_end,
    llhttp_agrees,
    read_framing,
    split_field,
    split_fields,
)


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        pytest.param(b"", [], id="none"),
        pytest.param(b"A: b\r\n", [(b"A", b"b")], id="one"),
        pytest.param(b"A:b\r\n", [(b"A", b"b")], id="no-blank"),
        pytest.param(b"A: \t b \t\r\n", [(b"A", b"b")], id="outer-blanks"),
        pytest.param(b"A:\r\n", [(b"A", b"")], id="empty-value"),
        pytest.param(b"A: b:c\r\n", [(b"A", b"b:c")], id="first-colon-divides"),
        pytest.param(b"A: \x80\xff\r\n", [(b"A", b"\x80\xff")], id="obs-text"),
        pytest.param(b"!#$%&'*+-.^_`|~0aZ: x\r\n", [(b"!#$%&'*+-.^_`|~0aZ", b"x")], id="every-token-character"),
        pytest.param(b"A: 1\r\nA: 2\r\n", [(b"A", b"1"), (b"A", b"2")], id="order-and-repeats"),
        pytest.param(b"A: b", None, id="no-line-end"),
        pytest.param(b"A: b\n", None, id="bare-lf"),
        pytest.param(b"A: b\rc\r\n", None, id="bare-cr"),
        pytest.param(b"A: b\r\n c\r\n", None, id="folded"),
        pytest.param(b" A: b\r\n", None, id="blank-first"),
        pytest.param(b"A : b\r\n", None, id="blank-before-colon"),
        pytest.param(b"A\r\n", None, id="no-colon"),
        pytest.param(b": b\r\n", None, id="no-name"),
        pytest.param(b"A(: b\r\n", None, id="not-a-token"),
        pytest.param(b"\xc3\xa9: b\r\n", None, id="name-not-ascii"),
        pytest.param(b"A: \x00\r\n", None, id="nul"),
        pytest.param(b"A: \x7f\r\n", None, id="delete"),
        pytest.param(b"A: \x0b\r\n", None, id="vertical-tab"),
        pytest.param(b"\r\n", None, id="empty-line"),
    ],
)
def test_split_fields(block: bytes, fields: Fields | None) -> None:
    """Lines are `Name: value` in allowed bytes, ended by CRLF, without folding; anything else is refused whole."""
    assert fields == split_fields(block)


@given(
    st.lists(st.sampled_from([b"A", b"a-b", b":", b" ", b"\t", b"\r", b"\n", b"\x00", b"\xff", b"(", b"x"]), max_size=9)
)
def test_one_line_alone(pieces: list[bytes]) -> None:
    """A line is read by itself as it is among others; a line end within it makes it none."""
    line = b"".join(pieces)
    among = split_fields(line + b"\r\n")
    expected = among[0] if among is not None and len(among) == 1 else None
    assert expected == split_field(line)


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        pytest.param([], (NO_LENGTH, False), id="none"),
        pytest.param([(b"Content-Length", b"0")], (0, False), id="zero"),
        pytest.param([(b"content-LENGTH", b"17")], (17, False), id="any-case"),
        pytest.param([(b"Content-Length", b"9" * 18)], (10**18 - 1, False), id="longest"),
        pytest.param([(b"Transfer-Encoding", b"Chunked")], (NO_LENGTH, True), id="chunked"),
    ],
)
def test_read_framing(fields: Fields, framing: tuple[int, bool]) -> None:
    """One plain length, or the single token chunked in any case."""
    assert framing == read_framing(fields)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], id="both"),
        pytest.param([(b"Content-Length", b"1"), (b"Content-Length", b"1")], id="repeated"),
        pytest.param([(b"Content-Length", b"1, 1")], id="listed"),
        pytest.param([(b"Content-Length", b"")], id="empty"),
        pytest.param([(b"Content-Length", b"+1")], id="signed"),
        pytest.param([(b"Content-Length", b"-1")], id="negative"),
        pytest.param([(b"Content-Length", b"01")], id="leading-zero"),
        pytest.param([(b"Content-Length", b"1 0")], id="blank-inside"),
        pytest.param([(b"Content-Length", b"0x1")], id="hexadecimal"),
        pytest.param([(b"Content-Length", b"\xb2")], id="superscript-digit"),
        pytest.param([(b"Content-Length", b"1" * 19)], id="too-long"),
        pytest.param([(b"Transfer-Encoding", b"gzip")], id="other-coding"),
        pytest.param([(b"Transfer-Encoding", b"gzip, chunked")], id="coding-list"),
        pytest.param([(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")], id="coding-repeated"),
        pytest.param([(b"Transfer-Encoding", b"chunked;q=1")], id="coding-parameter"),
        pytest.param([(b"Transfer-Encoding", b"xchunked")], id="coding-prefixed"),
        pytest.param([(b"Transfer-Encoding", b"")], id="coding-empty"),
    ],
)
def test_ambiguous_framing(fields: Fields) -> None:
    """Whatever two readers may disagree about is refused."""
    with pytest.raises(FramingError):
        read_framing(fields)


@pytest.mark.parametrize(
    ("block", "expected", "agrees"),
    [
        pytest.param(b"Host: x\r\n", [(b"Host", b"x")], True, id="same"),
        pytest.param(b"Host: x\r\n", [(b"Host", b"y")], False, id="other-value"),
        pytest.param(b"Host: x\r\n", [], False, id="a-field-more"),
        pytest.param(b"Host: x\r\nA:\r\n", [(b"Host", b"x"), (b"A", b"")], True, id="empty-value"),
        pytest.param(b"Host: x\r\nA: b \t\r\n", [(b"Host", b"x"), (b"A", b"b")], True, id="outer-blanks"),
        pytest.param(
            b"Connection: upgrade\r\nUpgrade: h2c\r\n",
            [(b"Connection", b"upgrade"), (b"Upgrade", b"h2c")],
            True,
            id="upgrade",
        ),
        pytest.param(b"A : b\r\n", [(b"A", b"b")], False, id="refused-by-llhttp"),
    ],
)
def test_llhttp_agrees(block: bytes, expected: Fields, agrees: bool) -> None:
    """llhttp must accept the head whole and read the very same fields."""
    head = b"GET / HTTP/1.1\r\n" + block + b"\r\n"
    assert agrees is llhttp_agrees(httptools.HttpRequestParser, head, expected)


_NAMES = st.text("aZ09-_!~", min_size=1, max_size=8).map(str.encode)
_VALUES = st.binary(max_size=12).map(lambda raw: bytes(b for b in raw if b >= 0x20 and b != 0x7F))


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))
def test_good_lines_are_read_alike(pairs: list[tuple[bytes, bytes]]) -> None:
    """What our grammar accepts, llhttp reads to the same names and values."""
    block = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
    fields = split_fields(block)
    assert fields == [(name, field.strip(b" \t")) for name, field in pairs]
    assert llhttp_agrees(httptools.HttpRequestParser, b"GET / HTTP/1.1\r\n" + block + b"\r\n", fields)


@given(st.binary(max_size=40).map(lambda raw: raw.replace(b"Q", b": ").replace(b"W", b"\r\n")))
def test_grammar_is_no_wider_than_llhttp(block: bytes) -> None:
    """No block that our grammar accepts is refused or read otherwise by llhttp."""
    fields = split_fields(block)
    if fields is not None and not any(n.lower() in {b"content-length", b"transfer-encoding"} for n, _ in fields):
        assert llhttp_agrees(httptools.HttpRequestParser, b"GET / HTTP/1.1\r\n" + block + b"\r\n", fields)


@pytest.mark.parametrize(
    ("data", "start", "end", "stray"),
    [
        pytest.param(b"a\r\nb\r\n", 0, 6, False, id="none"),
        pytest.param(b"a\nb", 0, 3, True, id="lf"),
        pytest.param(b"\na", 0, 2, True, id="lf-first"),
        pytest.param(b"a\rb", 0, 3, True, id="cr"),
        pytest.param(b"a\r\r\n", 0, 4, True, id="two-crs"),
        pytest.param(b"a\r\n\n", 0, 4, True, id="two-lfs"),
        pytest.param(b"a\r", 0, 2, False, id="cr-at-the-end"),
        pytest.param(b"a\r\n", 2, 3, False, id="lf-whose-cr-was-before"),
        pytest.param(b"a\r\nb\n", 0, 4, False, id="lf-behind-the-end"),
    ],
)
def test_has_stray_line_end(data: bytes, start: int, end: int, stray: bool) -> None:
    """A CR or LF counts unless it is, or may become, half of a CRLF."""
    assert stray is has_stray_line_end(data, start, end)
