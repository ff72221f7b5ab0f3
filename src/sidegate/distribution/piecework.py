"""Work in small pieces between the turns of an event loop that must not notice."""

import asyncio
import gc
import sys
from collections import deque
from collections.abc import Iterator
from typing import Final, cast

from sidegate.telemetry.clock import monotonic_ns
from sidegate.telemetry.tasks import TaskSet

PIECE_NS: Final = 500_000
"""Of work between two turns; a tenth of the longest pause that there may be (spec 7)."""

_OURS_ALONE: Final = 2
"""References to an object that nobody else holds: the variable, and the argument of the call that counts them."""


class Piecework:
    """Does what can wait, a piece at a time, in the order in which it was given.

    Before it is started, work is done at once.
    """

    def __init__(self) -> None:
        self._todo: deque[Iterator[None]] = deque()
        self._tasks: TaskSet | None = None
        self._is_running = False

    def start(self, tasks: TaskSet) -> None:
        """Work in pieces from now on, until *tasks* is closed."""
        self._tasks = tasks

    def add(self, steps: Iterator[None]) -> None:
        """Have *steps* done, each some microseconds long."""
        if self._tasks is None:
            deque(steps, maxlen=0)
            return
        self._todo.append(steps)
        if not self._is_running:
            self._is_running = True
            self._tasks.spawn(self._run(), "piecework")

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return not self._todo

    async def _run(self) -> None:
        try:
            while self._todo:
                until = monotonic_ns() + PIECE_NS
                for _ in self._todo[0]:
                    if monotonic_ns() >= until:
                        break
                else:
                    self._todo.popleft()
                await asyncio.sleep(0)
        finally:
            self._is_running = False


def dismantle_free(retired: list[object]) -> Iterator[None]:
    """Dismantle those of *retired* that nobody else holds, and leave the others in it for another time."""
    held: list[object] = []
    while retired:
        one = [retired.pop()]
        if sys.getrefcount(one[0]) == _OURS_ALONE:
            yield from dismantle(one)
        else:
            held += one
    retired += held


def dismantle(things: list[object]) -> Iterator[None]:
    """Let go of *things*, which is emptied, one object at a time.

    Where nobody else holds a structure, dropping the last reference to it frees all of it in one go: some 100 ms for
    the 100,000 bindings of a large group. Here each object is taken apart before it is let go. What somebody else
    holds stays as it is.
    """
    while things:
        one = things.pop()
        if sys.getrefcount(one) == _OURS_ALONE:
            if type(one) is dict and one:
                # A key or a value at a time: it may have a hundred thousand.
                key, held = one.popitem()
                things += (one, key, held)
                del key, held
            elif type(one) in {tuple, list}:
                things += cast("list[object]", one)  # ten times as fast as asking for its references
            else:
                things += gc.get_referents(one)
        del one
        yield
