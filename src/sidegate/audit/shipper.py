"""Sends what is spooled to one sink: at least once, in order, from where it stopped (spec 5.6).

A sink that acknowledges before it has made sure, as Redis does, may come back without its last seconds, or empty. It is
asked where it stands with every batch, and from time to time without one; what it lost is sent again, as segments are
kept for a while after it acknowledged them (:attr:`Sink.settle_s`).
"""

import asyncio
import os
import re
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import orjson

from sidegate.audit.layout import FILE_MODE, list_segments, segment_path, sync_folder
from sidegate.audit.ports import START, Batch, BehindError, Position, Sink
from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.core.model.units import UnixMillis, parse_instant
from sidegate.core.trail.chain import read_tail
from sidegate.core.trail.read import read_members
from sidegate.telemetry.log import get_log

_log: Final = get_log("audit")

_BATCH_BYTES: Final = 256 * 1024
_LINGER_S: Final = 0.1
"""After a batch that was not full, so long is waited for more: a batch per record would cost more than the record."""
_BACKOFF_FIRST_S: Final = 0.5
_BACKOFF_MAX_S: Final = 30.0
_LOOK_S: Final = 5.0
"""When nothing is spooled, a sink that may lose what it has is asked so often whether it still has it."""
_NO_LIMIT: Final = 1 << 62
_SINK_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")

Sleep = Callable[[float], Awaitable[None]]


class Source(Protocol):
    """What a shipper needs of the trail; :class:`~sidegate.audit.trail.AuditTrail` is one."""

    unshipped_since: dict[str, UnixMillis]

    @property
    def written_to(self) -> tuple[int, int]:
        """Number and size of the segment that grows."""

    @property
    def is_tight(self) -> bool:
        """Whether segments should go as soon as they may."""

    def attach(self, sink: str, on_stored: Callable[[], None]) -> None:
        """Keep every segment until *sink* has acknowledged it, and call *on_stored* after every batch."""

    def acknowledge(self, sink: str, through: int) -> None:
        """Note that *sink* has every segment up to number *through*."""


class Shipper:
    """Ships one sidecar's spool to one sink.

    Args:
        folder: The sidecar's folder.
        sidecar: Its name.
        source: The trail that writes there.
        sink: Where to.
        sleep: Waits so many seconds; ``asyncio.sleep``.
    """

    def __init__(self, folder: Path, sidecar: str, source: Source, sink: Sink, sleep: Sleep = asyncio.sleep) -> None:
        if _SINK_NAME.fullmatch(sink.name) is None:
            raise ValueError(f"sink name `{sink.name}` cannot name a file; use 1 to 64 of a-z 0-9 -")
        self._folder = folder
        self._sidecar = sidecar
        self._source = source
        self._sink = sink
        self._sleep = sleep
        self._path = cursor_path(folder, sink.name)
        self._cursor = read_cursor(self._path)
        self._is_oldest = False
        self._settling: deque[tuple[float, int]] = deque()
        self._stored = asyncio.Event()
        self._moved = asyncio.Event()
        self._is_away = False
        source.attach(sink.name, self._stored.set)

    async def run(self) -> None:
        """Ship until cancelled."""
        self._acknowledge(self._cursor.segment - 1)
        while True:
            self._stored.clear()
            await self.drain()
            if await self._is_stored():
                await self._sleep(_LINGER_S)
            else:
                await self._look()

    async def drain(self) -> None:
        """Ship what is there by now; takes as long as the sink is away."""
        name = self._sink.name
        while (read := await asyncio.to_thread(self._read, *self._source.written_to)) is not None:
            batch, begun = read
            if begun is not None:
                self._source.unshipped_since[name] = begun
            if not await self._send(batch):
                continue
            await asyncio.to_thread(write_cursor, self._path, batch.end)
            is_next_segment = batch.end.segment != self._cursor.segment
            self._cursor, self._is_oldest = batch.end, False
            self._moved.set()
            if is_next_segment:
                self._acknowledge(batch.end.segment - 1)
            self._release()
        self._source.unshipped_since.pop(name, None)

    async def caught_up(self) -> None:
        """Wait, while :meth:`run` runs, until the sink has what is in the spool by now, or turns out to be away."""
        last, size = self._source.written_to
        while (self._cursor.segment, self._cursor.offset) < (last, size) and not self._is_away:
            self._moved.clear()
            await self._moved.wait()

    async def _is_stored(self) -> bool:
        """Wait for the next batch; False if a sink that may lose things should be asked first."""
        if not self._sink.settle_s:
            return await self._stored.wait()
        try:
            async with asyncio.timeout(_LOOK_S):
                return await self._stored.wait()
        except TimeoutError:
            return False

    async def _look(self) -> None:
        """Ask whether the sink still has what it acknowledged."""
        if self._cursor != START:
            await self._send(Batch(self._sidecar, 0, 0, 0, b"", self._cursor, self._cursor))
        self._release()

    async def _send(self, batch: Batch) -> bool:
        """Send *batch*, as often as it takes; False if what came before it has to be sent first."""
        delay = 0.0
        while True:
            try:
                await self._sink.send(batch)
            except BehindError as behind:
                await self._go_back(batch, behind.position)
                return False
            except DependencyError as error:
                if not delay:
                    _log.warning("sink_failed", sink=self._sink.name, sidecar=self._sidecar, error=str(error))
                self._is_away = True
                self._moved.set()
                delay = min(_BACKOFF_MAX_S, max(2 * delay or _BACKOFF_FIRST_S, error.retry_after_s or 0))
                await self._sleep(delay)
            else:
                self._is_away = False
                if delay:
                    _log.info("sink_recovered", sink=self._sink.name, sidecar=self._sidecar)
                return True

    async def _go_back(self, batch: Batch, position: Position | None) -> None:
        """Go on from where the sink has everything, or from the oldest segment that is left."""
        there = await asyncio.to_thread(list_segments, self._folder)
        oldest = Position(there[0].number, 0) if there else START
        wanted = position if position is not None and position.segment >= oldest.segment else oldest
        if batch.begin == START:
            self._is_oldest = True  # it never had anything of this sidecar
            return
        is_complete = wanted == position or wanted.segment <= 1
        tell = _log.warning if is_complete else _log.error
        tell(
            "sink_lost_records",
            sink=self._sink.name,
            sidecar=self._sidecar,
            is_complete=is_complete,
            hint="what is left of it in the spool is sent again",
        )
        self._is_oldest = wanted != position
        if (wanted.segment, wanted.offset) < (batch.begin.segment, batch.begin.offset):
            await asyncio.to_thread(write_cursor, self._path, wanted)
            self._cursor = wanted

    def _acknowledge(self, through: int) -> None:
        self._settling.append((asyncio.get_running_loop().time() + self._sink.settle_s, through))
        self._release()

    def _release(self) -> None:
        """Let go of the segments that the sink has for good; of all it has acknowledged when the spool needs room."""
        now = asyncio.get_running_loop().time()
        through = None
        while self._settling and (self._settling[0][0] <= now or self._source.is_tight):
            through = self._settling.popleft()[1]
        if through is not None:
            self._source.acknowledge(self._sink.name, through)

    def _read(self, last: int, size: int) -> tuple[Batch, UnixMillis | None] | None:
        """Read the next batch and the time of its first line; None if there is none.

        Args:
            last: The segment that grows.
            size: How much of it may be read.
        """
        cursor = self._cursor
        if last and (cursor.segment > last or (cursor.segment == last and cursor.offset > size)):
            # The spool is not the one that was shipped from. Sending all of it is safe, leaving something out is not.
            _log.error("spool_replaced", sink=self._sink.name, hint="run `sidegate audit verify` on spool and sink")
            self._cursor = cursor = START
        while cursor.segment <= last:
            limit = size - cursor.offset if cursor.segment == last else _NO_LIMIT
            data = _read_whole_lines(segment_path(self._folder, cursor.segment), cursor.offset, limit)
            if data:
                end = Position(cursor.segment, cursor.offset + len(data))
                return self._batch_of(data, end), _time_of(data)
            later = [file.number for file in list_segments(self._folder) if file.number > cursor.segment]
            if not later:
                return None
            if cursor.segment and later[0] > cursor.segment + 1:
                _log.warning("segments_skipped", sink=self._sink.name, after=cursor.segment, before=later[0])
            cursor = Position(later[0], 0)
        return None

    def _batch_of(self, data: bytes, end: Position) -> Batch:
        lines = data.split(b"\n")[:-1]
        tails = [tail for line in lines if (tail := read_tail(line + b"\n")) is not None]
        first, last = (tails[0].seq, tails[-1].seq) if tails else (0, 0)
        return Batch(self._sidecar, first, last, len(tails), data, self._cursor, end, self._is_oldest)


def _read_whole_lines(path: Path, offset: int, limit: int) -> bytes:
    """Read whole lines of *path* from *offset*: about 256 KiB, at least one line, nothing beyond *limit* bytes."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""  # released, or dropped to make room
    try:
        wanted = _BATCH_BYTES
        while True:
            data = os.pread(fd, min(wanted, limit), offset)
            whole = data.rfind(b"\n") + 1
            if whole or len(data) < wanted:
                break
            wanted *= 2
        if whole:
            # What a sink has must not be lost here, or its numbers would be given a second time after a loss of power.
            os.fdatasync(fd)
        return data[:whole]
    finally:
        os.close(fd)


def _time_of(data: bytes) -> UnixMillis | None:
    try:
        return parse_instant(str(read_members(data[: data.find(b"\n")]).get("time")))
    except (IntegrityError, ValueError):
        return None


def cursor_path(folder: Path, sink: str) -> Path:
    """Return the file in a sidecar's *folder* that says how far *sink* has acknowledged."""
    return folder / f"{sink}.cursor"


def read_cursor(path: Path) -> Position:
    """Read how far a sink has acknowledged; the start of everything if that is not known."""
    try:
        members = orjson.loads(path.read_bytes())
        return Position(int(members["segment"]), int(members["offset"]))
    except FileNotFoundError:
        return START
    except (ValueError, KeyError, TypeError):
        # Sending everything again is safe, as sinks de-duplicate by id; leaving something out is not.
        _log.warning("cursor_unreadable", file=str(path), hint="everything in the spool is sent again")
        return START


def write_cursor(path: Path, cursor: Position) -> None:
    """Keep how far a sink has acknowledged; on the disk when it returns."""
    draft = path.with_name(f".{path.name}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(fd, orjson.dumps({"v": 1, "segment": cursor.segment, "offset": cursor.offset}))
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.replace(path)
    sync_folder(path.parent)
