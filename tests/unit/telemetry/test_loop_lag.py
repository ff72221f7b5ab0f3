"""The delay of the event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sidegate.core.model.units import Millis
from sidegate.telemetry.clock import ManualClock, SystemClock
from sidegate.telemetry.log import log_unhandled
from sidegate.telemetry.loop_lag import LagWindow, LoopLag
from sidegate.telemetry.metrics import ABSENT, LOOP_LAG, Metrics

Lines = Callable[[], list[dict[str, Any]]]

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("lags", "expected"),
    [
        pytest.param([(1, 5)], [5], id="one"),
        pytest.param([(1, -5)], [0], id="early-timer-is-no-lag"),
        pytest.param([(1, 9), (2, 5)], [9, 9], id="greatest-stays"),
        pytest.param([(1, 9), (14, 5), (16, 1)], [9, 9, 9], id="kept-over-one-half-window"),
        pytest.param([(1, 9), (15, 5), (30, 1)], [9, 9, 5], id="forgotten-after-two"),
        pytest.param([(1, 9), (15, 5), (30, 1), (45, 0)], [9, 9, 5, 1], id="moves-on"),
        pytest.param([(1, 9), (31, 1)], [9, 1], id="forgotten-after-a-pause"),
    ],
)
def test_the_window_holds_the_greatest_of_the_last_15_to_30_seconds(
    lags: list[tuple[int, int]], expected: list[int]
) -> None:
    """(second, lag) after each other: what a scrape would see."""
    window = LagWindow(0)
    assert expected == [window.add(lag, second * SECOND) for second, lag in lags]


async def test_a_beat_measures_from_when_it_was_due() -> None:
    """The lag is what passed beyond the interval, on the clock given; each beat tells its time."""
    clock = ManualClock()
    metrics = Metrics()
    beats: list[int] = []
    beaten = asyncio.Event()

    def on_beat(now_ns: int) -> None:
        beats.append(now_ns)
        beaten.set()

    lag = LoopLag(metrics, clock, on_beat, beat_s=0.001)
    assert metrics.cells[LOOP_LAG] == ABSENT
    lag.start()
    clock.advance(Millis(8))  # 1 ms was asked for
    await beaten.wait()
    lag.close()
    lag.close()
    assert (beats[0], metrics.cells[LOOP_LAG]) == (8_000_000, 7_000_000)


async def test_it_beats_again_and_again() -> None:
    """Also without anybody to tell, and with the machine's clock."""
    told = asyncio.Event()
    beats: list[int] = []

    def on_beat(now_ns: int) -> None:
        beats.append(now_ns)
        if len(beats) == 3:
            told.set()

    silent = LoopLag(Metrics(), SystemClock(), beat_s=0.001)
    loud = LoopLag(Metrics(), SystemClock(), on_beat, beat_s=0.001)
    silent.start()
    loud.start()
    await told.wait()
    silent.close()
    loud.close()
    assert beats == sorted(beats)


async def test_a_beat_that_fails_is_reported_and_does_not_end_the_beat(lines: Lines) -> None:
    """What is called at a beat may have a bug; the numbers go on."""
    asyncio.get_running_loop().set_exception_handler(log_unhandled)
    again = asyncio.Event()
    calls: list[int] = []

    def on_beat(now_ns: int) -> None:
        calls.append(now_ns)
        if len(calls) == 1:
            raise ValueError("first beat")
        again.set()

    lag = LoopLag(Metrics(), SystemClock(), on_beat, beat_s=0.001)
    lag.start()
    await again.wait()
    lag.close()
    assert [(line["event"], line["error"]) for line in lines()] == [("exception_unhandled", "first beat")]


async def test_closing_before_starting_is_harmless() -> None:
    """A start that failed half-way closes everything."""
    lag = LoopLag(Metrics(), SystemClock())
    lag.close()
