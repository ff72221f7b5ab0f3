"""The audit trail of one sidecar process: no operation without its record (spec 5.6).

On the data path::

    decision_id = trail.next_id(now)              # it goes into the header to the upstream, or into the problem
    record = encode_decision(fragment, decision_id, trail.instant(now), origin, decision_ns)
    trail.submit(record, exchange)                # then, in a later callback: exchange.recorded() or .unrecorded()

Group commit: what is submitted in one turn of the event loop is written by one ``write``, then those who wait are told,
in order. Nothing here awaits, and no task is made, with ``durability: process``.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from sidegate.audit.memory import MemorySpool
from sidegate.audit.ports import NOBODY, Store, Waiter
from sidegate.audit.spool import Spool, SpoolLimits
from sidegate.audit.writer import TrailWriter
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.core.trail.checkpoint import CheckpointCause, CheckpointSigner
from sidegate.core.trail.durability import Durability
from sidegate.core.trail.instant import InstantText
from sidegate.core.trail.record import OpenRecord
from sidegate.core.trail.uuid7 import Uuid7
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log

_log: Final = get_log("audit")

_RETRY: Final = Millis(250)
"""After a failure requests are refused for so long without asking the disk again: a refusal has to be cheap."""
_RELEASE_EVERY_S: Final = 0.02
"""Between two segments that are removed: to remove one takes milliseconds."""
_NANOS_PER_MILLI: Final = 1_000_000
_MILLIS_PER_SECOND: Final = 1000
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_HINT_FULL: Final = (
    "make room on the disk, bring the sinks back so that segments can be released, or raise `audit.max_bytes`"
)
_HINT_FAILED: Final = "make the folder writable for the user that sidegate runs as; it is tried again by itself"


AT_A_TIME: Final = 64
"""Records written, or waiters told, in one turn of the loop: with everything that follows some 40 us each. When a
thousand requests come at once, others are served in between."""


class DropCause(StrEnum):
    """Why something is missing from the spool; label of ``sidegate_audit_dropped_total``."""

    SPOOL_FULL = "spool_full"
    """Records not taken at the cap or on a full disk; their requests were refused."""
    WRITE_FAILED = "write_failed"
    """Records not taken because the write failed; their requests were refused."""
    OLDEST_DROPPED = "oldest_dropped"
    """Records removed to make room, ``on_full: drop_oldest``."""
    TORN_LINE = "torn_line"
    """A last line cut at start after a crash; nobody had been told that it was recorded."""


@value
class TrailSettings:
    """What an operator sets (spec 6.1, ``audit``).

    Attributes:
        root: The spool's folder; the segments are in ``root/<sidecar>/``.
        sidecar: Name of this process, the same after a restart: the chain goes on under it.
        limits: Size, durability, and what happens when it is full.
        checkpoint_records: A checkpoint is signed after so many records.
        checkpoint_every: And so long after the first record that none covers.
        checkpoint_copy: A second place for checkpoints; None for none.
    """

    root: Path
    sidecar: str
    limits: SpoolLimits = SpoolLimits()
    checkpoint_records: int = 1000
    checkpoint_every: Millis = Millis(10_000)
    checkpoint_copy: Path | None = None


class AuditTrail:
    """Takes records and tells their waiters. Used from one event loop.

    Args:
        settings: What an operator sets.
        signer: Signs checkpoints.
        clock: Wall clock for checkpoints, monotonic clock for retries.
        random_bytes: For ids.

    Attributes:
        next_id: ``next_id(now) -> bytes``: the next decision id, 36 ASCII bytes, rising (:class:`Uuid7`).
        instant: ``instant(now) -> bytes``: *now* as a record's ``time`` (:class:`InstantText`).
        dropped: What is missing, by cause; for the metrics collector.
        unshipped_since: By sink, the time of the oldest record that it has not acknowledged; kept by the shippers.
    """

    __slots__ = (
        "_acknowledged",
        "_cause",
        "_clock",
        "_drop_cause",
        "_executor",
        "_in_flight",
        "_is_closed",
        "_is_releasing",
        "_is_scheduled",
        "_loop",
        "_on_stored",
        "_problem",
        "_records",
        "_release_through",
        "_release_timer",
        "_retry_at_ns",
        "_retry_timer",
        "_settings",
        "_signing_timer",
        "_store",
        "_waiters",
        "_writer",
        "dropped",
        "instant",
        "next_id",
        "unshipped_since",
    )

    def __init__(
        self,
        settings: TrailSettings,
        signer: CheckpointSigner,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._store: Store
        if settings.limits.durability is Durability.MEMORY:
            self._store = MemorySpool(settings.sidecar)
        else:
            self._store = Spool(settings.root / settings.sidecar, settings.sidecar, settings.limits)
        self._writer = TrailWriter(self._store, signer, clock, settings.checkpoint_records, settings.checkpoint_copy)
        self._records: list[OpenRecord] = []
        self._waiters: list[Waiter] = []
        self._is_scheduled = False
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop
        self._executor: ThreadPoolExecutor | None = None
        self._in_flight: asyncio.Future[None] | None = None
        self._problem: Problem | None = None
        self._drop_cause = DropCause.WRITE_FAILED
        self._retry_at_ns = 0
        self._retry_timer: asyncio.TimerHandle | None = None
        self._signing_timer: asyncio.TimerHandle | None = None
        self._cause: CheckpointCause | None = None
        self._release_through = 0
        self._is_releasing = False
        self._release_timer: asyncio.TimerHandle | None = None
        self._acknowledged: dict[str, int] = {}
        self._on_stored: list[Callable[[], None]] = []
        self.next_id: Callable[[UnixMillis], bytes] = Uuid7(random_bytes).next
        self.instant: Callable[[UnixMillis], bytes] = InstantText().write
        self.dropped: dict[DropCause, int] = dict.fromkeys(DropCause, 0)
        self.unshipped_since: dict[str, UnixMillis] = {}

    # --- for the data path ---

    def submit(self, record: OpenRecord, waiter: Waiter = NOBODY) -> None:
        """Put *record* into the batch of this turn of the loop.

        Args:
            record: From :func:`encode_decision` and its like. ``sidecar``, ``seq`` and ``hash`` are added here.
            waiter: Told exactly once, in a later callback of the loop, never from within this call.
        """
        self._records.append(record)
        self._waiters.append(waiter)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._commit)

    # --- for the app ---

    def open(self) -> None:
        """Take the spool and go on with its chain; called in the loop that submits.

        A spool that cannot be written now is no error: every request is refused until it can (:attr:`writable`).

        Raises:
            ConfigError: Another process holds the spool.
        """
        self._loop = asyncio.get_running_loop()
        if self._settings.limits.durability is Durability.HOST:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="audit")
        try:
            self._writer.open()
        except OSError as error:
            self._note_failure(error)
        self._count_writer()

    async def close(self) -> None:
        """Write what is waiting, sign the end of the chain, bring it to the disk and let go of the spool.

        What is submitted from now on is refused.
        """
        self._is_closed = True
        for timer in (self._retry_timer, self._signing_timer, self._release_timer):
            if timer is not None:
                timer.cancel()
        while self._in_flight is not None:
            await asyncio.wait({self._in_flight})
        records, waiters = self._take()
        try:
            await self._loop.run_in_executor(self._executor, self._finish_writing, records)
        except (OSError, ConfigError) as error:
            self._note_failure(error)
            self._refuse(waiters)
        else:
            self._tell(waiters)
        finally:
            self._writer.close()
            if self._executor is not None:
                self._executor.shutdown(wait=False)

    @property
    def writable(self) -> Problem | None:
        """Why records cannot be written now, for ``/readyz``; None if they can."""
        return self._problem

    @property
    def spooled_bytes(self) -> int:
        """Bytes in the spool."""
        return self._store.total_bytes

    @property
    def limit_bytes(self) -> int:
        """Cap of the spool, in bytes."""
        return self._settings.limits.max_bytes

    @property
    def oldest_unshipped_seconds(self) -> float:
        """Age of the oldest record that some sink has not acknowledged; 0 if there is none, or no sink."""
        if not self.unshipped_since:
            return 0.0
        return max(0, self._clock.now() - min(self.unshipped_since.values())) / _MILLIS_PER_SECOND

    @property
    def is_tight(self) -> bool:
        """Whether more than half of what the spool may hold is used: then nothing is kept longer than it has to be."""
        return 2 * self._store.total_bytes > self._settings.limits.max_bytes

    @property
    def written_to(self) -> tuple[int, int]:
        """Where the next batch goes: number of the segment, and its size. All before it is safe to ship."""
        segments = self._store.segments
        return (segments[-1].number, segments[-1].size) if segments else (0, 0)

    # --- for shippers ---

    def attach(self, sink: str, on_stored: Callable[[], None]) -> None:
        """Keep every segment until *sink* has acknowledged it, and call *on_stored* after every batch."""
        self._acknowledged[sink] = 0
        self._on_stored.append(on_stored)

    def acknowledge(self, sink: str, through: int) -> None:
        """Note that *sink* has every segment up to number *through*; those that all sinks have are removed."""
        self._acknowledged[sink] = through
        release = min(self._acknowledged.values())
        if release > self._release_through:
            self._release_through = release
            if self._problem is not None:
                self._probe()  # there may be room again
            self._schedule()

    # --- group commit ---

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._commit)

    def _take(self) -> tuple[list[OpenRecord], list[Waiter]]:
        taken = self._records, self._waiters
        self._records, self._waiters = [], []
        return taken

    def _leave_some(self, records: list[OpenRecord], waiters: list[Waiter]) -> None:
        """Put back what is too much for one turn; not where a thread writes, so that the disk is asked less often."""
        if self._executor is None:
            self._records, self._waiters = records[AT_A_TIME:], waiters[AT_A_TIME:]
            del records[AT_A_TIME:], waiters[AT_A_TIME:]
            self._schedule()

    def _commit(self) -> None:
        self._is_scheduled = False
        if self._in_flight is not None:
            return  # what waits goes with the next batch, once the disk has answered
        records, waiters = self._take()
        if len(records) > AT_A_TIME:
            self._leave_some(records, waiters)
        if self._is_closed or (self._problem is not None and self._clock.monotonic_ns() < self._retry_at_ns):
            self._refuse(waiters)
            return
        cause, self._cause = self._cause, None
        if self._executor is not None:
            self._in_flight = self._loop.run_in_executor(self._executor, self._store_batch, records, cause)
            self._in_flight.add_done_callback(partial(self._settle, waiters))
            return
        try:
            self._store_batch(records, cause)
        except Exception as error:  # noqa: BLE001  the rim: whatever breaks, nobody is left waiting
            self._fail(waiters, error)
        else:
            self._tell(waiters)

    def _settle(self, waiters: list[Waiter], done: "asyncio.Future[None]") -> None:
        self._in_flight = None
        error = done.exception()
        if error is None:
            self._tell(waiters)
        else:
            self._fail(waiters, error)
        if self._records and not self._is_closed:
            self._schedule()

    def _store_batch(self, records: Sequence[OpenRecord], cause: CheckpointCause | None) -> None:
        """Write one batch; in the executor's thread with ``durability: host``, one at a time."""
        if self._release_through:
            try:
                self._is_releasing = self._writer.release(self._release_through)
            except OSError as error:
                _log.warning("segment_removal_failed", error=str(error), hint="make the spool folder writable")
        if records or cause is not None:
            self._writer.write(records, cause)

    def _finish_writing(self, records: Sequence[OpenRecord]) -> None:
        self._writer.write(records, CheckpointCause.CLOSED)
        self._writer.sync()

    def _tell(self, waiters: list[Waiter]) -> None:
        if self._problem is not None:
            _log.info("spool_recovered", sidecar=self._settings.sidecar)
            self._problem = None
        writer = self._writer
        if writer.dropped != self.dropped[DropCause.OLDEST_DROPPED]:
            self._count_writer()
        if writer.unsigned and self._signing_timer is None and not self._is_closed:
            self._signing_timer = self._loop.call_later(
                self._settings.checkpoint_every / _MILLIS_PER_SECOND, self._sign_interval
            )
        if self._is_releasing and self._release_timer is None and not self._is_closed:
            self._release_timer = self._loop.call_later(_RELEASE_EVERY_S, self._go_on_releasing)
        for on_stored in self._on_stored:
            on_stored()
        self._hand_out(waiters)

    def _hand_out(self, waiters: list[Waiter]) -> None:
        if len(waiters) > AT_A_TIME and not self._is_closed:
            self._loop.call_soon(self._hand_out, waiters[AT_A_TIME:])
            del waiters[AT_A_TIME:]
        for waiter in waiters:
            try:
                waiter.recorded()
            except Exception as error:  # noqa: BLE001  the rim: one exchange's bug must not strand the others
                self._report("an exchange failed after its record was written", error)

    def _refuse(self, waiters: list[Waiter]) -> None:
        self.dropped[self._drop_cause] += len(waiters)
        for waiter in waiters:
            try:
                waiter.unrecorded()
            except Exception as error:  # noqa: BLE001  the rim, as above
                self._report("an exchange failed after its record was refused", error)

    def _fail(self, waiters: list[Waiter], error: BaseException) -> None:
        if not isinstance(error, OSError | ConfigError):
            self._report("writing audit records failed", error)
        self._note_failure(error)
        self._refuse(waiters)

    def _report(self, during: str, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": during, "exception": error})

    def _go_on_releasing(self) -> None:
        self._release_timer = None
        self._schedule()

    # --- failing and recovering ---

    def _note_failure(self, error: BaseException) -> None:
        is_full = isinstance(error, OSError) and error.errno in _FULL
        self._drop_cause = DropCause.SPOOL_FULL if is_full else DropCause.WRITE_FAILED
        known = self._problem
        folder = self._settings.root / self._settings.sidecar
        self._problem = Problem(
            None,
            "audit.spool",
            f"`{folder}` {'is full' if is_full else 'cannot be written'}: {error}",
            _HINT_FULL if is_full else _HINT_FAILED,
        )
        if known is None:
            _log.error("spool_failed", sidecar=self._settings.sidecar, cause=self._drop_cause, error=str(error))
        self._retry_at_ns = self._clock.monotonic_ns() + _RETRY * _NANOS_PER_MILLI
        if not self._is_closed:
            if self._retry_timer is not None:
                self._retry_timer.cancel()
            self._retry_timer = self._loop.call_later(_RETRY / _MILLIS_PER_SECOND, self._probe)

    def _probe(self) -> None:
        """Try again, also when no request comes: an unready sidecar gets none."""
        self._retry_at_ns = 0
        self._cause = CheckpointCause.RECOVERED
        self._schedule()

    def _sign_interval(self) -> None:
        self._signing_timer = None
        if self._writer.unsigned:
            self._cause = CheckpointCause.INTERVAL
            self._schedule()

    def _count_writer(self) -> None:
        self.dropped[DropCause.OLDEST_DROPPED] = self._writer.dropped
        self.dropped[DropCause.TORN_LINE] = self._writer.cuts
