"""Keeps the embedded state current while the event loop runs."""

import asyncio
from pathlib import Path
from typing import Final

from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.core.model.units import Millis
from sidegate.credentials.journal import JournalLog, compact_journal
from sidegate.credentials.state import FollowedState
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log

POLL_EVERY: Final = Millis(50)
"""How late a revocation made by another process arrives at most; a poll without news costs some 3 microseconds."""

_log: Final = get_log("credentials")


class StateFollower:
    """Polls the state, says when it fails and recovers, and compacts the journal.

    Args:
        state: To be polled.
        log: The journal under it; None for a state in memory.
        folder: Of the journal.
        clock: For what compaction may leave out.
    """

    __slots__ = ("_clock", "_compacting", "_failure", "_folder", "_log", "_state")

    def __init__(self, state: FollowedState, log: JournalLog, folder: Path, clock: Clock) -> None:
        self._state = state
        self._log = log
        self._folder = folder
        self._clock = clock
        self._failure: str | None = None

    async def run(self, every: Millis = POLL_EVERY) -> None:
        """Go on until cancelled. To be started once as a task."""
        while True:
            await asyncio.sleep(every / 1000)
            await self.step()

    async def step(self) -> None:
        """Poll once, and compact when that is due."""
        self._state.poll()
        self._tell()
        if self._state.failure is None and self._log.is_compaction_due():
            await self._compact()

    async def _compact(self) -> None:
        now = self._clock.now()
        try:
            # In a thread of its own and from the file, not from the state: nothing is shared with the loop.
            done = await asyncio.to_thread(compact_journal, self._folder, now, self._log.generation)
        except DependencyError as error:
            # Mostly another worker at the same work; due again with the next poll if it was not that.
            _log.info("journal_compaction_deferred", why=str(error))
            return
        except IntegrityError as error:
            _log.error("journal_compaction_failed", why=str(error))
            return
        if done:
            self._state.prune(now)
            _log.info("journal_compacted", folder=str(self._folder))

    def _tell(self) -> None:
        failure = self._state.failure
        if failure == self._failure:
            return
        self._failure = failure
        if failure is None:
            _log.info("state_recovered")
        else:
            _log.error("state_failed", why=failure)
