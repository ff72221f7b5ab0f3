"""Numbers of several processes in one piece of memory."""

import multiprocessing
import os
import signal
import subprocess
import sys
from array import array
from collections.abc import Iterator

import pytest

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis
from sidegate.telemetry import catalogue
from sidegate.telemetry.clock import ManualClock
from sidegate.telemetry.metrics import CELLS, CONNECTIONS, REASON_CELL, WORKER_STARTS, Metrics
from sidegate.telemetry.shared import (
    _SEQUENCE,
    STALE_NS,
    Board,
    Reading,
    Slot,
    _copy,
    _copy_at,
    readings_of,
    readings_of_workers,
)

READ = REASON_CELL[Reason.GRANTED]


@pytest.fixture
def board() -> Iterator[Board]:
    """Two slots."""
    with Board(2) as board:
        yield board


def counted(readings: list[Reading]) -> list[int]:
    """Return how often `read` was granted, by worker."""
    return [reading.cells[READ] for reading in readings]


def test_an_unused_slot_is_not_there(board: Board) -> None:
    """A worker that has not started is neither zero nor stuck."""
    assert board.read(0) == []
    Slot(board.fd, 1, Metrics(), pid=42).publish(7)
    assert [(reading.pid, reading.beat_ns) for reading in board.read(8)] == [(42, 7)]


def test_what_is_published_is_read_and_nothing_else(board: Board) -> None:
    """Numbers show when they are published, watched gauges included, in the order of the slots."""
    first, second = Metrics(lambda: 1), Metrics(lambda: 2)
    first.watch(catalogue.SUBJECTS_CACHED, lambda: 12)
    slots = Slot(board.fd, 0, first), Slot(board.fd, 1, second)
    first.count_decision(Reason.GRANTED, Authority.READ)
    slots[0].publish(1)
    slots[1].publish(1)
    second.count_decision(Reason.GRANTED, Authority.READ)
    second.count_decision(Reason.GRANTED, Authority.READ)
    assert counted(board.read(1)) == [1, 0]
    slots[1].publish(2)
    readings = board.read(2)
    assert counted(readings) == [1, 2]
    first.cells[WORKER_STARTS] = second.cells[WORKER_STARTS] = 1  # the board's own count
    assert [list(reading.cells) for reading in readings] == [first.cells, second.cells]


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        pytest.param(0, True, id="at-once"),
        pytest.param(STALE_NS, True, id="at-limit"),
        pytest.param(STALE_NS + 1, False, id="past-limit"),
    ],
)
def test_a_worker_that_stopped_publishing_is_not_live(board: Board, passed: int, expected: bool) -> None:
    """Its numbers stay; that it is stuck or gone shows."""
    Slot(board.fd, 0, Metrics()).publish(100)
    (reading,) = board.read(100 + passed)
    assert expected == reading.is_live


def test_a_worker_that_closed_is_not_live_and_its_counts_stay(board: Board) -> None:
    """The sums over workers must not fall."""
    metrics = Metrics()
    slot = Slot(board.fd, 0, metrics)
    metrics.count_decision(Reason.GRANTED, Authority.READ)
    slot.publish(1)
    slot.close()
    (reading,) = board.read(1)
    assert (reading.pid, reading.is_live, reading.cells[READ]) == (0, False, 1)


def test_the_supervisor_can_note_that_a_worker_has_died(board: Board) -> None:
    """Only that worker; its counts stay."""
    for worker in range(2):
        Slot(board.fd, worker, Metrics(), pid=100 + worker).publish(1)
    board.retire(101)
    board.retire(999)
    assert [reading.is_live for reading in board.read(1)] == [True, False]


def test_a_successor_goes_on_counting(board: Board) -> None:
    """Counters never fall when a worker is replaced; its connections are gone."""
    first = Metrics()
    slot = Slot(board.fd, 0, first)
    first.count_decision(Reason.GRANTED, Authority.READ)
    first.cells[CONNECTIONS] = 5
    slot.publish(1)  # and dies without a word
    second = Metrics()
    second.count_decision(Reason.GRANTED, Authority.READ)
    # Counted before it got its slot: lost, never counted twice.
    successor = Slot(board.fd, 0, second)
    second.count_decision(Reason.GRANTED, Authority.READ)
    successor.publish(2)
    (reading,) = board.read(2)
    assert (reading.cells[READ], reading.cells[CONNECTIONS]) == (2, 0)


def test_starts_are_counted_by_whoever_starts(board: Board) -> None:
    """A worker that dies again and again is seen, whether it ever came so far as to count or not."""
    Slot(board.fd, 0, Metrics()).publish(1)
    for _ in range(3):
        board.fall(0)
    board.fall(1)
    readings = board.read(1)
    assert [reading.cells[WORKER_STARTS] for reading in readings] == [4, 2]
    assert [reading.is_live for reading in readings] == [True, False]
    assert sum(readings[1].cells) == 2


def test_a_worker_that_died_while_it_published_spoils_nothing(board: Board) -> None:
    """What it had begun to write is not seen; the last whole publication is, and the successor goes on from it."""
    metrics = Metrics()
    slot = Slot(board.fd, 0, metrics)
    for beat in range(3):
        metrics.count_decision(Reason.GRANTED, Authority.READ)
        slot.publish(beat)
        following = slot._words[_SEQUENCE] + 1
        slot._words[_copy_at(following)] = memoryview(array("q", [777] * CELLS))  # and no more
        assert counted(board.read(0)) == [beat + 1]
    Slot(board.fd, 0, Metrics()).publish(9)
    assert counted(board.read(9)) == [3]


class Restless:
    """A slot whose writer publishes during every copy."""

    def __init__(self) -> None:
        self.sequence = 0

    def __getitem__(self, place: int | slice) -> object:
        if place == _SEQUENCE:
            self.sequence += 1
            return self.sequence
        return memoryview(array("q", [self.sequence]))


def test_a_reader_that_never_finds_rest_gives_up_with_what_it_has() -> None:
    """A scrape must end, whatever a worker does."""
    assert _copy(Restless()).tolist() == [127]  # type: ignore[arg-type]  # two readings of the number a try, 64 tries


def test_a_number_beyond_63_bits_starts_over(board: Board) -> None:
    """Sums of nanoseconds do get there; Prometheus takes it for a restart."""
    metrics = Metrics()
    slot = Slot(board.fd, 0, metrics)
    metrics.cells[READ] = (1 << 63) + 5
    metrics.cells[READ + 1] = 8
    slot.publish(1)
    (reading,) = board.read(1)
    assert (reading.cells[READ], reading.cells[READ + 1]) == (5, 8)
    metrics.cells[WORKER_STARTS] = 1  # the board's own count
    assert list(reading.cells)[READ + 2 :] == metrics.cells[READ + 2 :]


def test_a_slot_beyond_the_board_is_refused(board: Board) -> None:
    """The message says who starts workers."""
    with pytest.raises(IntegrityError, match="no slot 2; start workers from the supervisor"):
        Slot(board.fd, 2, Metrics())


def test_a_slot_of_another_version_is_refused(board: Board) -> None:
    """Cells that mean something else are not read as ours, by the worker or by the board."""
    slot = Slot(board.fd, 1, Metrics())
    slot.publish(1)
    slot._words[0] += 1
    with pytest.raises(IntegrityError, match="another version; restart the supervisor"):
        Slot(board.fd, 1, Metrics())
    assert board.read(1) == []


def test_a_single_process_reads_its_own_numbers() -> None:
    """Exact to this moment, live, under its own process id."""
    metrics = Metrics()
    read = readings_of(metrics)
    metrics.count_decision(Reason.GRANTED, Authority.READ)
    (reading,) = read()
    assert (reading.pid, reading.is_live, reading.cells[READ]) == (os.getpid(), True, 1)


def test_the_process_that_answers_for_workers_counts_too(board: Board) -> None:
    """Its own numbers stand behind theirs; theirs age on the clock."""
    clock, own, worker = ManualClock(), Metrics(), Metrics()
    Slot(board.fd, 0, worker, pid=11).publish(0)
    own.count_decision(Reason.GRANTED, Authority.READ)
    read = readings_of_workers(board, own, clock)
    assert [(reading.pid, reading.cells[READ]) for reading in read()] == [(11, 0), (os.getpid(), 1)]
    clock.advance(Millis(6_000))
    assert [reading.is_live for reading in read()] == [False, True]


ROUNDS = 2_000


def _work(fd: int, worker: int) -> None:
    """Count and publish many times; ends without a word, like a worker that is killed."""
    metrics = Metrics()
    slot = Slot(fd, worker, metrics)
    for beat in range(ROUNDS):
        metrics.count_decision(Reason.GRANTED, Authority.READ)
        metrics.count_decision(Reason.NO_GRANT, Authority.READ)
        slot.publish(beat)
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_write_at_once_are_read_whole(board: Board) -> None:
    """While two processes publish, every reading is one publication, and no count is lost, also after kill -9."""
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_work, args=(board.fd, worker)) for worker in range(2)]
    denied = REASON_CELL[Reason.NO_GRANT]
    for process in workers:
        process.start()
    seen = [0, 0]
    while any(process.is_alive() for process in workers):
        for reading in board.read(0):
            assert reading.cells[READ] == reading.cells[denied]
        seen = [max(before, now) for before, now in zip(seen, counted(board.read(0)) or seen, strict=False)]
    for process in workers:
        process.join()
    assert [process.exitcode for process in workers] == [-signal.SIGKILL] * 2
    assert counted(board.read(0)) == [ROUNDS, ROUNDS]


CHILD = """
import sys
from array import array
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.telemetry.metrics import Metrics
from sidegate.telemetry.shared import Slot
metrics = Metrics()
slot = Slot(int(sys.argv[1]), 1, metrics)
metrics.count_decision(Reason.GRANTED, Authority.READ)
slot.publish(5)
"""


def test_a_program_that_is_handed_the_descriptor_finds_its_slot(board: Board) -> None:
    """A worker need not be a fork: the layout is the same in every process, whatever the seed of its hashes."""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", CHILD, str(board.fd)], pass_fds=[board.fd], check=True, timeout=60)
    (reading,) = board.read(5)
    assert (reading.cells[READ], reading.pid != os.getpid()) == (2, True)
