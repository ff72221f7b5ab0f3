"""`sidegate audit sink`: from the audit stream into a folder of Parquet files (spec 5.8).

Nothing is acknowledged before it is in files, so what is killed, or loses Redis or its disk, begins again with what was
not; what then comes twice is left out by its id (:mod:`sidegate.audit.lake_writer`).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sidegate.audit.consumer import FIRST
from sidegate.audit.entries import StreamBatch
from sidegate.audit.lake_writer import Lake
from sidegate.audit.layout import split_lines
from sidegate.core.model.errors import DependencyError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.telemetry.log import get_log

_log: Final = get_log("audit")

_TAKE: Final = 64
"""Entries at a time, of a quarter of a megabyte at most, as a rule."""
_FILL_BYTES: Final = 32 * 1024 * 1024
_BLOCK: Final = Millis(1000)
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
_STAGED_MS: Final = 3_600_000
_MILLIS: Final = 1000


@value
class CollectingSettings:
    """How records are collected.

    Attributes:
        flush: Records wait so long for others, so that files do not become too many.
        take_over: What another member has not acknowledged for so long is taken over; well above *flush*.
        keep: So long entries stay in the stream after everybody has acknowledged them, for `audit tail` and `query`.
    """

    flush: Millis = Millis(60_000)
    take_over: Millis = Millis(300_000)
    keep: Millis = Millis(3_600_000)


class Consumer(Protocol):
    """A member of a group that shares the stream: :class:`~sidegate.audit.consumer.StreamConsumer` for Redis, which
    says what each does, or :class:`~sidegate.audit.nats_consumer.NatsConsumer`."""

    async def join(self) -> None:
        """Make the group if it is not there."""

    async def take_back(self, count: int, after: str = FIRST) -> list[StreamBatch]:
        """Return what this member was given before and has not acknowledged."""

    async def take(self, count: int, block: Millis | None) -> list[StreamBatch]:
        """Return what nobody was given yet."""

    async def take_over(self, count: int, idle: Millis, start: str = FIRST) -> tuple[list[StreamBatch], str]:
        """Take what others were given and have not acknowledged."""

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """Note what is kept for good elsewhere."""

    async def trim(self, kept_from: int) -> int:
        """Remove what everybody has and what is old."""

    async def leave(self) -> None:
        """Leave the group."""


class Collecting:
    """Takes entries from the stream and adds their lines to the folder.

    Args:
        consumer: Member of the group.
        lake: The folder.
        settings: How.
        now: Wall clock.

    Attributes:
        records: How many were added.
    """

    def __init__(
        self, consumer: Consumer, lake: Lake, settings: CollectingSettings, now: Callable[[], UnixMillis]
    ) -> None:
        self._consumer = consumer
        self._lake = lake
        self._settings = settings
        self._now = now
        self._taken: list[StreamBatch] = []
        self._bytes = 0
        self.records = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Collect until *stopping* is set; then what was taken is stored and acknowledged, if that can be done."""
        pause_s = 0.0
        while not stopping.is_set():
            try:
                await self._begin()
                while not stopping.is_set():
                    await self._collect(stopping)
                    pause_s = self._recover(pause_s)
            except (DependencyError, OSError) as error:
                if not pause_s:
                    _log.warning("collecting_failed", error=str(error), hint="it is tried again by itself")
                # What was taken is given back to this member by name, so nothing has to be remembered here.
                self._drop()
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2 or _FIRST_PAUSE_S)
                await _pause(stopping, pause_s)
        try:
            await self._flush()
            await self._consumer.leave()
        except (DependencyError, OSError) as error:
            _log.warning("collecting_failed", error=str(error), hint="another member, or the next start, goes on")

    async def drain(self) -> None:
        """Collect what is there now, and what the dead left.

        Raises:
            DependencyError: Redis does not answer.
            OSError: The folder cannot be written.
        """
        await self._begin()
        await self._take_over()
        while batches := await self._consumer.take(_TAKE, None):
            await self._put(batches)
        await self._flush()
        await self._tidy()
        await self._consumer.leave()

    # Within.

    async def _begin(self) -> None:
        await self._consumer.join()
        after = FIRST
        while batches := await self._consumer.take_back(_TAKE, after):
            await self._put(batches)
            after = batches[-1].id

    async def _collect(self, stopping: asyncio.Event) -> None:
        """Collect for the time of one flush."""
        loop = asyncio.get_running_loop()
        await self._tidy()
        await self._take_over()
        until = loop.time() + self._settings.flush / _MILLIS
        while (left := until - loop.time()) > 0 and not stopping.is_set():
            block = max(1, min(_BLOCK, round(left * _MILLIS)))
            await self._put(await self._consumer.take(_TAKE, Millis(block)))
        await self._flush()

    async def _take_over(self) -> None:
        start = FIRST
        while True:
            batches, start = await self._consumer.take_over(_TAKE, self._settings.take_over, start)
            await self._put(batches)
            if start == FIRST:
                return

    async def _put(self, batches: list[StreamBatch]) -> None:
        self._taken += batches
        self._bytes += sum(len(batch.data) for batch in batches)
        if self._bytes >= _FILL_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        if not self._taken:
            return
        lines = [line for batch in self._taken for line in split_lines(batch.data)]
        stored = await asyncio.to_thread(self._lake.store, lines)
        self.records += stored.records
        for empty in (batch.id for batch in self._taken if not batch.data):
            _log.error("stream_entry_unreadable", entry=empty, hint="something else writes to the audit stream")
        await self._consumer.acknowledge([batch.id for batch in self._taken])
        self._drop()

    def _drop(self) -> None:
        self._taken.clear()
        self._bytes = 0

    async def _tidy(self) -> None:
        now = self._now()
        await self._consumer.trim(max(0, now - self._settings.keep))
        await asyncio.to_thread(self._lake.clear_staging, UnixMillis(now - _STAGED_MS))

    def _recover(self, pause_s: float) -> float:
        if pause_s:
            _log.info("collecting_recovered")
        return 0.0


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
