"""Tests of JSON text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.trail.json_text import json_array, json_text


@given(st.one_of(st.none(), st.text()))
def test_text_is_read_back_as_it_was(text: str | None) -> None:
    """Whatever a request holds, it is one JSON value that means the same, on one line."""
    written = json_text(text)
    assert text == json.loads(written)
    assert bytes(written).count(b"\n") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('a"b', b'"a\\"b"', id="quotation-mark"),
        pytest.param("a\nb", b'"a\\nb"', id="line-feed"),
        pytest.param("\u2028", '"\u2028"'.encode(), id="line-separator-is-no-line-feed"),
        pytest.param("a\ud800b", b'"a\\\\ud800b"', id="lone-surrogate"),
    ],
)
def test_text_cannot_break_out_of_its_line(text: str, expected: bytes) -> None:
    """A spelling never costs a record: what JSON or UTF-8 cannot hold is escaped."""
    assert expected == json_text(text)


@given(st.lists(st.text()))
def test_array_is_read_back_as_it_was(texts: list[str]) -> None:
    """An array is written like each of its texts."""
    assert texts == json.loads(json_array(tuple(texts)))
