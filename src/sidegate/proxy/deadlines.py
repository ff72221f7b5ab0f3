"""One timer for all connections, instead of one per request."""

import asyncio
from typing import Final, Protocol

TICK_S: Final = 0.25
"""Resolution of all deadlines of the data path. They are seconds long; a timer each would cost more than a look-up."""


class Watched(Protocol):
    """Something that must move before its deadline."""

    deadline: float

    def deadline_passed(self, now: float) -> None:
        """Give up, or set a later deadline."""


class Deadlines:
    """Looks at every watched object once per tick.

    Attributes:
        now: Monotonic seconds of the last tick; cheap to read, late by at most a tick.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.now = loop.time()

    def start(self) -> None:
        """Begin to tick."""
        self._tick()

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def watch(self, watched: Watched) -> None:
        """Look at *watched* from the next tick on."""
        self._watched.add(watched)

    def forget(self, watched: Watched) -> None:
        """Look at *watched* no more."""
        self._watched.discard(watched)

    def _tick(self) -> None:
        self.now = now = self._loop.time()
        for watched in [one for one in self._watched if one.deadline <= now]:
            watched.deadline_passed(now)
        self._timer = self._loop.call_later(TICK_S, self._tick)
