"""Tests of ids."""

import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.uuid7 import Uuid7, millis_of


@given(st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10))
def test_id_is_a_version_7_uuid_of_its_instant(now: int, random: bytes) -> None:
    """The first 48 bits are the instant; version 7, variant 10 (RFC 9562 sections 4.1, 4.2, 5.7)."""
    text = Uuid7(lambda count: random[:count]).next(UnixMillis(now)).decode()
    read = uuid.UUID(text)
    assert text == str(read)
    assert read.version == 7
    assert read.variant == uuid.RFC_4122
    assert now == read.int >> 80
    assert now == millis_of(text)


@given(st.lists(st.integers(0, 50), min_size=2), st.randoms(use_true_random=False))
def test_ids_rise_whatever_the_clock_does(instants: list[int], random: object) -> None:
    """Within a sidecar ids sort in the order they were made, also when the clock stands or runs back."""
    ids = Uuid7(random.randbytes)  # type: ignore[attr-defined]
    made = [ids.next(UnixMillis(instant)) for instant in instants]
    assert all(before < after for before, after in pairwise(made))


def test_largest_start_leaves_room_to_count() -> None:
    """With all random bits set the counter does not run over into the bits before it."""
    ids = Uuid7(lambda count: b"\xff" * count)
    assert ids.next(UnixMillis(1)) == b"00000000-0001-7fff-bfff-7fffffffffff"
    assert ids.next(UnixMillis(1)) == b"00000000-0001-7fff-bfff-800000000000"


def test_randomness_is_asked_once_per_millisecond() -> None:
    """Neighbours of one millisecond only count on: asking the system costs more than the id."""
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    ids = Uuid7(random_bytes)
    for instant in (5, 5, 5, 6, 4, 6):
        ids.next(UnixMillis(instant))
    assert asked == [10, 10]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("00000000-0001-4fff-bfff-7fffffffffff", id="version-4"),
        pytest.param("00000000-0001-7fff-cfff-7fffffffffff", id="other-variant"),
        pytest.param("0000000000017fffbfff7fffffffffff", id="no-hyphens"),
        pytest.param("0000000G-0001-7fff-bfff-7fffffffffff", id="no-hex"),
        pytest.param("00000000-0001-7fff-bfff-7fffffffffff\n", id="line-feed"),
    ],
)
def test_other_texts_hold_no_instant(text: str) -> None:
    """Only the text form of a version 7 UUID tells when it was made."""
    assert millis_of(text) is None
