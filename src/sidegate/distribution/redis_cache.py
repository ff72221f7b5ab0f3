"""Keeps on disk what is in memory, so that a sidecar can start while Redis is away (spec 5.4)."""

import asyncio
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidegate.core.model.errors import IntegrityError, Problem
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.distribution.piecework import PIECE_NS
from sidegate.distribution.politeness import politely
from sidegate.distribution.redis_cache_content import KeptOrganization, Step, follow_steps, merge, write_steps
from sidegate.distribution.redis_kept import KeptPolicy
from sidegate.distribution.redis_source import RedisPolicies
from sidegate.local_cache.file import CacheFile
from sidegate.local_cache.sealed import CacheLabel, Kept
from sidegate.telemetry.clock import Clock, monotonic_ns
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("distribution")

EVERY_S: Final = 1.0
"""Between two writings: so much older than it was is what the next process begins with."""

RETRY_S: Final = 10.0
"""After a failed one."""

SUFFIX: Final = ".cache"
_KIND: Final = "policy"
_FILL: Final = 0.75
"""Of the room, when everything is written anew; the rest is for what changes afterwards."""

_GROWTH: Final = 2
"""Times what it had when it was last written anew, and it is again."""

_SPARE_BYTES: Final = 1 << 20
_STEPS_AT_ONCE: Final = 100
_HINT: Final = "make its folder writable and leave room, or name another one; until then no start without Redis"


class PolicyCache:
    """The cache of one process.

    Args:
        folder: Holds the caches of all processes of the sidecar.
        part: Name of this process.
        source: Where the policy comes from, without credentials.
        max_bytes: How long its file may get.
        max_read_bytes: The same of any file that is read: there may have been fewer processes before.
        max_age: Oldest that may be begun with, milliseconds.
        clock: Wall clock.
    """

    def __init__(
        self,
        folder: Path,
        part: str,
        source: str,
        *,
        max_bytes: int,
        max_read_bytes: int,
        max_age: Millis,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._label = CacheLabel(_KIND, source)
        self._max_bytes = max_bytes
        self._max_read_bytes = max_read_bytes
        self._max_age = max_age
        self._clock = clock
        self._file = CacheFile(folder / f"{_KIND}-{part}{SUFFIX}", self._label, max_bytes)
        self._policies: RedisPolicies | None = None
        self._written_at: UnixMillis | None = None
        self._whole_bytes = 0
        self._problem: Problem | None = None

    @property
    def problem(self) -> Problem | None:
        """Why nothing is kept; None when all is well."""
        return self._problem

    async def load(self) -> KeptPolicy | None:
        """Read what the processes of an earlier run kept; None when there is nothing that may be used.

        What cannot be used is told in the log.
        """
        read = await asyncio.to_thread(self._read_all)
        if not read:
            return None
        return KeptPolicy(merge(organizations for _, organizations in read), max(at for at, _ in read))

    def start(self, policies: RedisPolicies, tasks: TaskSet) -> None:
        """Keep what *policies* has in memory from now on, until *tasks* is closed."""
        self._policies = policies
        tasks.spawn(self._run(), "policy_cache")

    async def close(self) -> None:
        """Write what is not written yet. Close the task set of :meth:`start` first."""
        await self.flush()
        self._file.close()

    async def flush(self) -> bool:
        """Write what changed, and when it was current; returns whether that worked."""
        policies = self._policies
        if policies is None or policies.steady_at is None:
            return True  # nothing came from Redis yet: what an earlier process kept is all there is
        try:
            await self._write(policies)
        except OSError as error:
            policies.log.break_off()
            if self._problem is None:
                why = error.strerror or str(error)
                self._problem = Problem(None, "cache.folder", f"cannot be written: {why}", _HINT)
                _log.warning("policy_cache_unwritable", folder=str(self._folder), why=why, hint=_HINT)
            return False
        if self._problem is not None:
            self._problem = None
            _log.info("policy_cache_written", folder=str(self._folder))
        return True

    async def _run(self) -> None:
        pause_s = EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = EVERY_S if await self.flush() else RETRY_S

    async def _write(self, policies: RedisPolicies) -> None:
        log = policies.log
        has_grown = self._file.size > self._whole_bytes * _GROWTH + _SPARE_BYTES
        if log.is_broken or has_grown:
            await self._write_anew(policies)
            return
        # Both at once: what is in memory now was current then.
        steps, at = log.take(), policies.steady_at
        if at is None or (not steps and at == self._written_at):
            return
        if await asyncio.to_thread(self._append, steps, at):
            self._written_at = at
        else:
            log.break_off()

    async def _write_anew(self, policies: RedisPolicies) -> None:
        policies.log.begin()
        steps = await self._gather(policies)
        steps += policies.log.take()
        at = policies.steady_at
        if at is None:
            return
        await asyncio.to_thread(self._replace, steps, at)
        self._written_at, self._whole_bytes = at, self._file.size
        policies.let_kept_go()

    async def _gather(self, policies: RedisPolicies) -> deque[Step]:
        """List steps to what is in memory, as many as have room, a piece at a time."""
        found: deque[Step] = deque()
        room = int(self._max_bytes * _FILL)
        until = monotonic_ns() + PIECE_NS
        for steps in policies.shelves.steps():
            room -= sum(len(step.record) + len(step.name) + len(step.org) for step in steps)
            if room < 0:
                break
            found += steps
            if monotonic_ns() >= until:
                await asyncio.sleep(0)
                until = monotonic_ns() + PIECE_NS
        return found

    # In a thread.

    def _append(self, steps: deque[Step], at: UnixMillis) -> bool:
        with politely():
            return self._file.append(b"".join(_pages(steps)), at) if steps else self._file.touch(at)

    def _replace(self, steps: deque[Step], at: UnixMillis) -> None:
        with politely():
            self._file.replace(_pages(steps), at)

    def _read_all(self) -> list[tuple[UnixMillis, dict[str, KeptOrganization]]]:
        with politely():
            found: list[tuple[UnixMillis, dict[str, KeptOrganization]]] = []
            for path in sorted(self._folder.glob(f"{_KIND}-*{SUFFIX}")):
                try:
                    kept = self._read(path)
                    if kept is not None:
                        found.append((kept.at, follow_steps(kept.entries, kept.at)))
                except (IntegrityError, OSError) as error:
                    _log.warning("policy_cache_refused", file=str(path), why=str(error))
            return found

    def _read(self, path: Path) -> Kept | None:
        return CacheFile(path, self._label, self._max_read_bytes).read(self._clock.now(), self._max_age)


def _pages(steps: deque[Step]) -> Iterator[bytes]:
    """Write *steps*, which is emptied here: freed all at once on the event loop, they would hold it up."""
    while steps:
        yield write_steps([steps.popleft() for _ in range(min(_STEPS_AT_ONCE, len(steps)))])
