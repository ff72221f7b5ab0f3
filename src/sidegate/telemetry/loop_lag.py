"""How late the event loop is, and the beat at which workers publish their numbers."""

import asyncio
from collections.abc import Callable
from typing import Final

from sidegate.telemetry.clock import Clock
from sidegate.telemetry.metrics import LOOP_LAG, Metrics

BEAT_S: Final = 0.2
"""Time between two beats: a scrape sees numbers that are no older, and an idle process wakes up five times a second."""

_HALF_WINDOW_NS: Final = 15_000_000_000
"""The gauge holds the maximum of this and the last half window, so that a scrape every 15 s misses no maximum."""

_NANOS_PER_SECOND: Final = 1_000_000_000

OnBeat = Callable[[int], None]
"""Told the monotonic clock at every beat."""


class LagWindow:
    """The greatest of the lags of the last 15 to 30 seconds.

    Args:
        began_ns: The monotonic clock now.
    """

    __slots__ = ("_began_ns", "_current", "_last")

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self._current = 0
        self._last = 0

    def add(self, lag_ns: int, now_ns: int) -> int:
        """Take in one lag and return the greatest, in nanoseconds. A negative lag, a timer that came early, is none."""
        if now_ns - self._began_ns >= _HALF_WINDOW_NS:
            # After a pause of more than a whole window the last half is over too.
            self._last = self._current if now_ns - self._began_ns < 2 * _HALF_WINDOW_NS else 0
            self._current = 0
            self._began_ns = now_ns
        self._current = max(self._current, lag_ns)
        return max(self._current, self._last)


class LoopLag:
    """Measures the delay of timers of the running loop.

    Args:
        metrics: Where the gauge is.
        clock: The monotonic clock; not the loop's own, which uvloop reads once per turn and in milliseconds.
        on_beat: Called at every beat, e.g. to publish numbers.
        beat_s: Time between two beats.
    """

    __slots__ = ("_beat_s", "_cells", "_clock", "_due_ns", "_loop", "_on_beat", "_timer", "_window")

    def __init__(self, metrics: Metrics, clock: Clock, on_beat: OnBeat | None = None, beat_s: float = BEAT_S) -> None:
        self._cells = metrics.cells
        self._clock = clock
        self._on_beat = on_beat
        self._beat_s = beat_s
        self._window = LagWindow(clock.monotonic_ns())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._arm(self._loop)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_ns = self._clock.monotonic_ns() + int(self._beat_s * _NANOS_PER_SECOND)
        self._timer = loop.call_later(self._beat_s, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now_ns = self._clock.monotonic_ns()
        self._cells[LOOP_LAG] = self._window.add(now_ns - self._due_ns, now_ns)
        # Before the callback, so that one that fails is reported and does not end the beat.
        self._arm(loop)
        if self._on_beat is not None:
            self._on_beat(now_ns)

    def close(self) -> None:
        """Stop. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
