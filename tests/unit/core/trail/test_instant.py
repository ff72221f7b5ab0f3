"""Tests of instants as text."""

from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.trail.instant import InstantText


@given(st.lists(st.integers(0, 4_102_444_800_000)))
def test_text_equals_the_slow_one(instants: list[int]) -> None:
    """Remembering the second changes nothing of what is written."""
    text = InstantText()
    for instant in instants:
        for near in (instant, instant + 1, instant + 999, instant):
            assert format_instant(UnixMillis(near)).encode() == text.write(UnixMillis(near))
