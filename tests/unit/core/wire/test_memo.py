"""The bounded memory of readings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.wire.memo import MakingMemo, Memo


class Reader:
    """Counts how often each key is read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __call__(self, key: int) -> str:
        self.read.append(key)
        if key < 0:
            raise ValueError(key)
        return str(key)


def test_reads_what_comes_twice_once_more_and_then_never() -> None:
    """The first sight is only noted; from the second on the answer is remembered. It is always that of the reader."""
    reader = Reader()
    memo = MakingMemo(4, reader)
    assert [memo.get(key) for key in (1, 2, 1, 1, 1)] == ["1", "2", "1", "1", "1"]
    assert reader.read == [1, 2, 1]


def test_failures_are_not_remembered() -> None:
    """What the reader raises reaches the caller, each time anew, and takes no place."""
    reader = Reader()
    memo = MakingMemo(1, reader)
    memo.get(5)
    memo.get(5)
    for _ in range(2):
        with pytest.raises(ValueError, match="-1"):
            memo.get(-1)
    memo.get(5)
    assert reader.read == [5, 5, -1, -1]


@pytest.mark.parametrize("times", [pytest.param(1, id="each-once"), pytest.param(3, id="each-thrice")])
def test_keys_in_use_survive_a_flood(times: int) -> None:
    """A key asked for between ever new ones is not read again: a flood only ages what nobody asks for."""
    reader = Reader()
    memo = MakingMemo(4, reader)
    for new in range(1, 101):
        memo.get(0)
        for _ in range(times):
            memo.get(new)
    assert reader.read.count(0) == 2


def test_forgotten_keys_are_read_again() -> None:
    """What nobody asked for during two generations is gone."""
    reader = Reader()
    memo = MakingMemo(2, reader)
    for key in (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0):
        memo.get(key)
    assert reader.read.count(0) == 3


@given(st.integers(1, 5), st.lists(st.integers(0, 30), max_size=80))
def test_bounds_and_answers(size: int, keys: list[int]) -> None:
    """Whatever is asked, the answer is right, and the last *size* keys that came twice in a row are not read again."""
    reader = Reader()
    memo = MakingMemo(size, reader)
    for key in keys:
        assert [memo.get(key), memo.get(key)] == [str(key)] * 2
    recent = list(dict.fromkeys(reversed(keys)))[:size]
    reader.read.clear()
    for key in recent:
        memo.get(key)
    assert reader.read == []


@given(st.integers(1, 5), st.lists(st.integers(0, 30), max_size=80, unique=True))
def test_bound(size: int, keys: list[int]) -> None:
    """Of ever new keys at most 2 x size are remembered."""
    memo: Memo[int, str] = Memo(size)
    for key in keys:
        for _ in range(2):
            memo.remember(key, str(key))
    # From the oldest on: finding one must not push out those that are counted after it.
    held = [key for key in keys[: -2 * size] if memo.find(key) is not None]
    assert held == []


def test_find_does_not_make() -> None:
    """What was never remembered is not found."""
    memo: Memo[int, str] = Memo(2)
    for _ in range(2):
        memo.remember(1, "one")
    assert (memo.find(1), memo.find(2)) == ("one", None)
