"""The only door to the time of day; everything below it is handed an instant."""

import time
from typing import Final, Protocol

from sidegate.core.model.units import Millis, UnixMillis

_NANOS_PER_MILLI: Final = 1_000_000
_EPOCH: Final = UnixMillis(0)

_time_ns = time.time_ns

monotonic_ns = time.monotonic_ns
"""Nanoseconds since some fixed point; for durations only, never set back. The C function itself: no call is added."""

process_cpu_ns = time.process_time_ns
"""Nanoseconds of CPU time that this process has spent since it began; a fork begins anew."""


def now() -> UnixMillis:
    """Return the wall clock. Read once per request and passed down (style 1)."""
    return UnixMillis(_time_ns() // _NANOS_PER_MILLI)


class Clock(Protocol):
    """Where the rim reads the time from, so that tests can set it."""

    def now(self) -> UnixMillis:
        """Return the wall clock."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds since some fixed point; it never goes back."""


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    # The functions themselves, so that a call through the object costs one attribute more than a direct call.
    now = staticmethod(now)
    monotonic_ns = staticmethod(monotonic_ns)


class ManualClock:
    """A clock that stands still until it is moved.

    Args:
        at: The wall clock at the beginning.
    """

    __slots__ = ("_monotonic_ns", "_now")

    def __init__(self, at: UnixMillis = _EPOCH) -> None:
        self._now = at
        self._monotonic_ns = 0

    def now(self) -> UnixMillis:
        """Return the instant it was last moved to."""
        return self._now

    def monotonic_ns(self) -> int:
        """Return the nanoseconds it was advanced by so far; :meth:`set` does not count."""
        return self._monotonic_ns

    def advance(self, by: Millis) -> None:
        """Let *by* pass, on both clocks.

        Raises:
            ValueError: *by* is negative; time passes forwards, use :meth:`set` for a clock that is corrected.
        """
        if by < 0:
            raise ValueError(f"time cannot pass by {by} ms; use set() for a corrected wall clock")
        self._now = UnixMillis(self._now + by)
        self._monotonic_ns += by * _NANOS_PER_MILLI

    def set(self, at: UnixMillis) -> None:
        """Correct the wall clock to *at*, forwards or back; the monotonic clock is not touched."""
        self._now = at
