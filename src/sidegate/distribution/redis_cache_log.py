"""What changed in memory since it was last written to the cache on disk."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from sidegate.core.model.units import UnixMillis
from sidegate.distribution.redis_cache_content import Step, StepKind

MAX_STEPS: Final = 200_000
"""Waiting to be written. Above it, writing everything anew is less."""


class CacheLog:
    """Gathers steps for the cache; nothing before somebody wants them.

    Attributes:
        is_wanted: Whether somebody writes them.
        is_broken: Steps are missing: everything has to be written anew.
    """

    __slots__ = ("_steps", "is_broken", "is_wanted")

    def __init__(self) -> None:
        self._steps: deque[Step] = deque()
        self.is_wanted = False
        self.is_broken = True

    def add(self, step: Step) -> None:
        """Note *step*."""
        if not self.is_wanted or self.is_broken:
            return
        if len(self._steps) >= MAX_STEPS:
            self.break_off()
        else:
            self._steps.append(step)

    def add_all(self, steps: Iterable[Step]) -> None:
        """Note *steps*."""
        for step in steps:
            self.add(step)

    def doubt(self, org: str, since: UnixMillis | None) -> None:
        """Note since when *org* is in doubt; None for no doubt."""
        self.add(Step(StepKind.DOUBT, org, "" if since is None else str(since)))

    def take(self) -> deque[Step]:
        """Return what was gathered; it is gathered no more."""
        steps, self._steps = self._steps, deque()
        return steps

    def begin(self) -> None:
        """Gather from here on: what was before is being written as a whole."""
        self._steps = deque()
        self.is_wanted, self.is_broken = True, False

    def break_off(self) -> None:
        """Gather nothing until everything is written anew."""
        self._steps = deque()
        self.is_broken = True
