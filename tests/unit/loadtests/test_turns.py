"""What the probe of the event loop wrote, as it is read."""

import struct
import time
from pathlib import Path

import pytest
from loadtests.turns import BOUNDS_MS, Turn, TurnWatch

_MS = 1_000_000
_WORST = 16


def _page(
    turns: list[tuple[int, int, int]], *, over: tuple[int, ...] = (0,) * len(BOUNDS_MS), within_ns: int = 0
) -> bytes:
    """Lay out a page as turns.c does: wall, computed and delayed of each turn in milliseconds."""
    slots = [(1, *(part * _MS for part in turn)) for turn in turns]
    slots += [(0, 0, 0, 0)] * (_WORST - len(slots))
    worst = b"".join(struct.pack("=4Q", *slot) for slot in slots)
    return struct.pack(f"=3Q{len(over)}Q", 1, 1, 1000, *over) + worst + struct.pack("=Q", within_ns)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the page is."""
    return tmp_path / "turns"


def _watch(path: Path, page: bytes) -> TurnWatch:
    watch = TurnWatch(Path("probe.so"), path)
    with path.open("r+b") as file:
        file.write(page)
    return watch


def test_a_pause_is_what_a_turn_takes_of_its_own(path: Path) -> None:
    """Not what the machine gave others meanwhile; what was not computed was waited for."""
    turn = Turn(wall_ms=30.0, cpu_ms=4.0, delayed_ms=20.0)
    assert (turn.own_ms, turn.waited_ms) == (10.0, 6.0)
    watch = _watch(path, _page([(30, 4, 20), (12, 12, 0), (3, 1, 0)], over=(3, 2, 2, 2, 0)))
    seen = watch.read()
    watch.close()
    assert [turn.own_ms for turn in seen.worst] == [12.0, 10.0, 3.0]
    assert (seen.count, seen.longest.wall_ms, seen.over) == (
        1000,
        12.0,
        dict(zip(BOUNDS_MS, (3, 2, 2, 2, 0), strict=True)),
    )


def test_a_turn_that_does_not_end_counts(path: Path) -> None:
    """A loop that stands still at the end has the longest turn of all."""
    watch = _watch(path, _page([(3, 1, 0)], within_ns=time.monotonic_ns() - 5000 * _MS))
    seen = watch.read()
    watch.close()
    assert seen.longest.own_ms >= 5000


def test_nothing_was_seen(path: Path) -> None:
    """Before the first turn there is no longest."""
    watch = _watch(path, _page([]))
    seen = watch.read()
    watch.close()
    assert (seen.worst, seen.longest) == ((), Turn(0.0, 0.0, 0.0))


def test_the_process_is_told_where_to_write(path: Path) -> None:
    """And after how long of a turn its stack is wanted."""
    watch = TurnWatch(Path("probe.so"), path, signal_ms=4)
    watch.close()
    assert watch.environment == {"LD_PRELOAD": "probe.so", "TURNS_FILE": str(path), "TURNS_SIGNAL_MS": "4"}
