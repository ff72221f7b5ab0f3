"""One timer for all connections, instead of one per request."""

import asyncio
from collections import deque
from typing import Final, Protocol

TICK_S: Final = 0.25
"""Resolution of all deadlines of the data path. They are seconds long; a timer each would cost more than a look-up."""

AT_A_TIME: Final = 16
"""Deadlines acted on in one turn of the loop. A refusal costs some 30 microseconds; thousands of clients that came
together to be slow must not stop the others for as long as all of them take."""


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
        self._passed: deque[Watched] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.TimerHandle | None = None
        self.now = loop.time()

    def start(self) -> None:
        """Begin to tick."""
        self._tick()

    def stop(self) -> None:
        """Tick no more."""
        for timer in (self._timer, self._work):
            if timer is not None:
                timer.cancel()
        self._timer = self._work = None

    def watch(self, watched: Watched) -> None:
        """Look at *watched* from the next tick on."""
        self._watched.add(watched)

    def forget(self, watched: Watched) -> None:
        """Look at *watched* no more."""
        self._watched.discard(watched)

    def _tick(self) -> None:
        # First, so that a bug in what is told does not end the ticking.
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self.now = now = self._loop.time()
        # Those of the last tick that have not had their turn yet are found again.
        self._passed = deque([one for one in self._watched if one.deadline <= now])
        if self._passed and self._work is None:
            self._tell()

    def _tell(self) -> None:
        passed, watched, now = self._passed, self._watched, self.now
        # Before they are told: one that fails is reported, and the others still have their turn.
        self._work = self._loop.call_later(0, self._tell) if len(passed) > AT_A_TIME else None
        for _ in range(min(AT_A_TIME, len(passed))):
            one = passed.popleft()
            # It may have moved, or be gone, since it was found.
            if one.deadline <= now and one in watched:
                one.deadline_passed(now)
