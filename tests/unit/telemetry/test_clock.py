"""The clocks."""

import time

import pytest

from sidegate.core.model.units import Millis, UnixMillis
from sidegate.telemetry.clock import Clock, ManualClock, SystemClock, monotonic_ns, now


def test_now_is_the_wall_clock_in_whole_milliseconds() -> None:
    """`now` lies between two readings of the machine's clock."""
    before = time.time_ns() // 1_000_000
    read = now()
    assert before <= read <= time.time_ns() // 1_000_000


def test_the_system_clock_reads_the_same_clocks() -> None:
    """The object is the functions, nothing in between."""
    clock: Clock = SystemClock()
    assert clock.now is now
    assert clock.monotonic_ns is monotonic_ns
    assert monotonic_ns() <= clock.monotonic_ns()


def test_a_manual_clock_moves_only_when_it_is_moved() -> None:
    """Time passes by `advance` on both clocks; `set` corrects the wall clock only, also backwards."""
    clock = ManualClock(UnixMillis(1_000))
    assert (clock.now(), clock.monotonic_ns()) == (1_000, 0)
    clock.advance(Millis(25))
    assert (clock.now(), clock.monotonic_ns()) == (1_025, 25_000_000)
    clock.set(UnixMillis(7))
    assert (clock.now(), clock.monotonic_ns()) == (7, 25_000_000)


def test_time_does_not_pass_backwards() -> None:
    """A negative `advance` is a mistake and changes nothing."""
    clock = ManualClock()
    with pytest.raises(ValueError, match="use set"):
        clock.advance(Millis(-1))
    assert (clock.now(), clock.monotonic_ns()) == (0, 0)
