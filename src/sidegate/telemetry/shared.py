"""The numbers of several worker processes in one piece of memory, for the one process that is asked for them.

Each worker has a slot and is the only one that writes it, a few times a second and all at once. A slot outlives its
worker: the next worker in it goes on counting where the last one stopped, so that no counter ever falls.

The memory is anonymous (``memfd_create``): nothing lies in a file system, nothing stays behind, and the kernel never
makes a writer wait for a disk, as it may for a mapped file whose page is just being written back.
"""

import mmap
import os
from array import array
from collections.abc import Callable, Sequence
from typing import Final, Self

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.value import value
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.metrics import ABSENT, CELLS, LAYOUT, WORKER_STARTS, Metrics

STALE_NS: Final = 5_000_000_000
"""A worker that has not published for so long, some twenty beats, is stuck or gone: its gauges are not believed."""

# A slot, in words of 8 bytes: a head, then two copies of the cells. A publication goes into the copy that is not in
# use, and the sequence number, whose last bit says which one is, moves on when it is whole. So a worker that dies while
# it publishes leaves the last publication as it was.
_LAYOUT, _SEQUENCE, _PID, _BEAT, _FALLS = range(5)
_HEAD: Final = 8
_WORD: Final = 8
_SLOT: Final = -(-(_HEAD + 2 * CELLS) * _WORD // mmap.PAGESIZE) * mmap.PAGESIZE // _WORD

# A copy takes some microseconds, and publications are two hundred milliseconds apart: the first try succeeds. Two whole
# publications would have to begin during each of so many tries.
_TRIES: Final = 64

_WRAP: Final = (1 << 63) - 1
"""Nanoseconds of 512 requests at a time fill 63 bits in half a year; the sum then starts over, as after a restart."""


@value
class Reading:
    """What one process has counted, as of its last publication.

    Attributes:
        pid: The process; 0 when it has ended and only its counts are left.
        beat_ns: When it published, on the monotonic clock, which all processes of a machine share.
        cells: The numbers.
        is_live: Its gauges hold: it published not long ago.
    """

    pid: int
    beat_ns: int
    cells: Sequence[int]
    is_live: bool


class Board:
    """All slots, for the process that answers for all workers. Make it before the workers are started.

    Args:
        workers: Number of slots.
    """

    __slots__ = ("_map", "_words", "fd", "workers")

    def __init__(self, workers: int) -> None:
        self.workers = workers
        # Closed on exec unless whoever starts a worker hands it over by name (subprocess: pass_fds).
        self.fd = os.memfd_create("sidegate-metrics", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, workers * _SLOT * _WORD)
        self._map = mmap.mmap(self.fd, 0)
        self._words = memoryview(self._map).cast("q")

    def read(self, now_ns: int) -> list[Reading]:
        """Return what the workers published last; a slot that was never used is left out.

        Args:
            now_ns: The monotonic clock.
        """
        readings = []
        for worker in range(self.workers):
            words = self._words[worker * _SLOT : (worker + 1) * _SLOT]
            if words[_LAYOUT] == LAYOUT:
                cells = _copy(words)
                pid, beat = words[_PID], words[_BEAT]
            elif words[_FALLS]:
                cells, pid, beat = array("q", bytes(CELLS * _WORD)), 0, 0
            else:
                continue
            # Not counted by the worker: one that dies as soon as it is started would never come to it.
            cells[WORKER_STARTS] = 1 + words[_FALLS]
            readings.append(Reading(pid, beat, cells, pid != 0 and now_ns - beat <= STALE_NS))
        return readings

    def fall(self, worker: int) -> None:
        """Note that *worker* has ended and another takes its place. Called by the one process that starts them."""
        self._words[worker * _SLOT + _FALLS] += 1

    def retire(self, pid: int) -> None:
        """Note that the worker *pid* has ended, so that its gauges no longer count; its counts stay."""
        for worker in range(self.workers):
            if self._words[worker * _SLOT + _PID] == pid:
                self._words[worker * _SLOT + _PID] = 0

    def close(self) -> None:
        """Let go of the memory. Workers keep theirs."""
        self._words.release()
        self._map.close()
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Slot:
    """A worker's own slot.

    Args:
        fd: The board's file descriptor, as inherited.
        worker: Which slot, counted from 0.
        metrics: What this worker counts; goes on from what the slot's last worker published.
        pid: The worker's process id; its own when None.

    Raises:
        IntegrityError: *fd* is no board with such a slot, or one of another version.
    """

    __slots__ = ("_map", "_metrics", "_words")

    def __init__(self, fd: int, worker: int, metrics: Metrics, pid: int | None = None) -> None:
        needed = (worker + 1) * _SLOT * _WORD
        if os.fstat(fd).st_size < needed:
            raise IntegrityError(f"the metrics board has no slot {worker}; start workers from the supervisor only")
        self._map = mmap.mmap(fd, needed)
        self._words = memoryview(self._map).cast("q")[worker * _SLOT :]
        self._metrics = metrics
        found = self._words[_LAYOUT]
        if found == LAYOUT:
            metrics.resume(_copy(self._words))
        elif found != 0:
            self.close()
            raise IntegrityError(f"slot {worker} of the metrics board is of another version; restart the supervisor")
        self._words[_PID] = os.getpid() if pid is None else pid
        self._words[_LAYOUT] = LAYOUT

    def publish(self, now_ns: int) -> None:
        """Copy the numbers to where others see them. About 50 us; called a few times a second.

        Args:
            now_ns: The monotonic clock.
        """
        cells = self._metrics.read()
        try:
            packed = array("q", cells)
        except OverflowError:
            packed = array("q", (cell if ABSENT <= cell <= _WRAP else cell & _WRAP for cell in cells))
        words = self._words
        following = words[_SEQUENCE] + 1
        words[_copy_at(following)] = memoryview(packed)
        words[_BEAT] = now_ns
        words[_SEQUENCE] = following

    def close(self) -> None:
        """Give the slot up; what was published stays for the next worker and for the sums."""
        self._words[_PID] = 0
        self._words.release()
        self._map.close()


def _copy_at(sequence: int) -> slice:
    start = _HEAD + sequence % 2 * CELLS
    return slice(start, start + CELLS)


def _copy(words: memoryview) -> "array[int]":
    """Copy the cells of a slot as they were last published."""
    raw = b""
    for _ in range(_TRIES):
        sequence = words[_SEQUENCE]
        raw = words[_copy_at(sequence)].tobytes()
        if words[_SEQUENCE] == sequence:
            break
    # Otherwise a mixture of publications that lie microseconds apart: each word is one of theirs.
    return array("q", raw)


Readings = Callable[[], Sequence[Reading]]
"""Where the numbers to be exported come from: one reading per process."""


def readings_of(metrics: Metrics) -> Readings:
    """Return the readings of a single process: its own numbers, exact to this moment."""

    def read() -> list[Reading]:
        return [Reading(os.getpid(), 0, metrics.read(), is_live=True)]

    return read


def readings_of_workers(board: Board, own: Metrics, clock: Clock) -> Readings:
    """Return the readings of all workers on *board*, with those of the process itself that answers for them."""
    mine = readings_of(own)

    def read() -> list[Reading]:
        return [*board.read(clock.monotonic_ns()), *mine()]

    return read
