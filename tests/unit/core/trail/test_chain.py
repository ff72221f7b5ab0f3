"""Tests of the hash chain."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.trail.chain import Head, LineTail, Linker, genesis, is_sidecar_name, read_tail
from sidegate.core.trail.record import OpenRecord

_HASH = b"0" * 64


def test_line_is_the_record_with_its_place_in_the_chain() -> None:
    """The hash covers the previous hash and all of the line before it; written out here without the module."""
    record = OpenRecord(b'{"v":1')
    body = b'{"v":1,"sidecar":"host-w0","seq":6'
    digest = sha256(b"a" * 64 + body).hexdigest().encode()
    lines, head = Linker("host-w0").link([record], Head(5, b"a" * 64))
    assert [body + b',"hash":"' + digest + b'"}\n'] == lines
    assert Head(6, digest) == head


def test_one_batch_equals_many() -> None:
    """How records are grouped leaves no trace: a torn batch can be cut, and the chain goes on."""
    records = [OpenRecord(b'{"n":%d' % n) for n in range(5)]
    linker = Linker("h")
    whole, end = linker.link(records, genesis("h"))
    first, head = linker.link(records[:2], genesis("h"))
    second, other_end = linker.link(records[2:], head)
    assert whole == first + second
    assert end == other_end


def test_chains_of_two_sidecars_have_nothing_in_common() -> None:
    """The same record hangs on another hash from the first one on."""
    assert genesis("a").hash != genesis("b").hash
    assert genesis("a").seq == 0


def test_nothing_to_link_leaves_the_chain_where_it_stands() -> None:
    """An empty batch is no line."""
    assert ([], Head(3, _HASH)) == Linker("h").link([], Head(3, _HASH))


@given(st.binary(max_size=300), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True))
def test_tail_is_read_back(record: bytes, sidecar: str) -> None:
    """Whatever the record holds, the end of its line is found, up to the longest name."""
    (line,), head = Linker(sidecar).link([OpenRecord(record)], Head(10**18 - 2, _HASH))
    tail = read_tail(line)
    assert tail is not None
    assert (sidecar, 10**18 - 1, head.hash) == (tail.sidecar, tail.seq, tail.hash)
    assert line == tail.body + b',"hash":"' + tail.hash + b'"}\n'


_LINE = b'{"v":1,"sidecar":"h","seq":1,"hash":"' + _HASH + b'"}\n'


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\n", id="empty-line"),
        pytest.param(_LINE[:-1], id="torn"),
        pytest.param(_LINE + b"\n", id="something-after"),
        pytest.param(_LINE.replace(b'"seq":1', b'"seq":0'), id="seq-0"),
        pytest.param(_LINE.replace(b'"seq":1', b'"seq":01'), id="leading-zero"),
        pytest.param(_LINE.replace(b'"seq":1', b'"seq":"1"'), id="seq-as-text"),
        pytest.param(_LINE.replace(b"00", b"0A", 1), id="upper-case-hash"),
        pytest.param(_LINE.replace(b'"h"', b'""'), id="no-sidecar"),
        pytest.param(_LINE.replace(b"}\n", b"}\r\n"), id="carriage-return"),
    ],
)
def test_other_ends_are_none(line: bytes) -> None:
    """There is one spelling of the end of a line."""
    assert read_tail(line) is None


def test_tail_is_that_of_a_record() -> None:
    """The line the cases above were made from is one."""
    assert LineTail("h", 1, _HASH, b'{"v":1,"sidecar":"h","seq":1') == read_tail(_LINE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("web-1.example-w0", True, id="host-and-worker"),
        pytest.param("a" * 128, True, id="longest"),
        pytest.param("a" * 129, False, id="too-long"),
        pytest.param("", False, id="empty"),
        pytest.param("..", False, id="dots"),
        pytest.param("a/b", False, id="slash"),
        pytest.param('a"b', False, id="quotation-mark"),
        pytest.param("a\n", False, id="line-feed"),
    ],
)
def test_sidecar_name_is_a_file_name_and_needs_no_escape(name: str, expected: bool) -> None:
    """It names a folder and stands in lines as it is."""
    assert expected is is_sidecar_name(name)
