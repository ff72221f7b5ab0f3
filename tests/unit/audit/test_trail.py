"""Tests of the trail: group commit, refusing, recovering, ending."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from sidegate.audit.layout import segment_path
from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AT_A_TIME, AuditTrail, DropCause
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.trail.durability import Durability, OnFull
from sidegate.core.trail.record import OpenRecord
from sidegate.telemetry.clock import ManualClock

MakeTrail = Callable[..., AuditTrail]
MakeRecord = Callable[..., OpenRecord]
Told = list[tuple[str, int]]
_RETRY = Millis(250)


@pytest.fixture
async def open_trail(make_trail: MakeTrail) -> AsyncIterator[MakeTrail]:
    """Build and open trails, and close them at the end."""
    trails: list[AuditTrail] = []

    def make(*args: Any, **options: Any) -> AuditTrail:
        trail = make_trail(*args, **options)
        trails.append(trail)
        trail.open()
        return trail

    yield make
    for trail in trails:
        await trail.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sidecar's folder."""
    return tmp_path / "audit" / "host-w0"


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [
        orjson.loads(line) for path in sorted(folder.glob("*.ndjson")) for line in path.read_bytes().split(b"\n")[:-1]
    ]


def _spooled(folder: Path) -> list[tuple[str, int]]:
    """Ids and numbers of the records."""
    return [(members["id"], members["seq"]) for members in _lines(folder) if members["record"] == "decision"]


def _problem(trail: AuditTrail) -> Problem | None:
    return trail.writable


def _segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.ndjson"))


async def _turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _until(is_reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_reached():  # noqa: ASYNC110  turns of the loop are what is counted here
            await asyncio.sleep(0)


# --- group commit ---


async def test_nobody_is_told_before_the_record_is_in_the_file(
    open_trail: MakeTrail, folder: Path, make_record: MakeRecord
) -> None:
    """Write-ahead (spec 5.6): when the waiter hears of it, another process can read it."""
    trail = open_trail()
    seen: list[list[tuple[str, int]]] = []

    class Reading:
        def recorded(self) -> None:
            seen.append(_spooled(folder))

        def unrecorded(self) -> None:
            raise AssertionError

    trail.submit(make_record(1), Reading())
    assert seen == []
    assert _spooled(folder) == []
    await _turns()
    assert seen == [[("1", 1)]]


@pytest.mark.parametrize("durability", Durability)
async def test_waiters_are_told_once_each_in_their_order(
    durability: Durability, open_trail: MakeTrail, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """One batch per turn; with each durability."""
    trail = open_trail(durability=durability)
    for number in range(5):
        trail.submit(make_record(number), waiter(number))
    assert told == []
    await _until(lambda: len(told) == 5)
    trail.submit(make_record(5), waiter(5))
    await _until(lambda: len(told) == 6)
    assert told == [("recorded", number) for number in range(6)]


async def test_one_turn_is_one_write(open_trail: MakeTrail, make_record: MakeRecord, waiter: Any) -> None:
    """What is submitted in one turn goes out together: told by the times the shipper is called."""
    trail = open_trail()
    stored: list[int] = []
    trail.attach("probe", lambda: stored.append(1))
    for number in range(10):
        trail.submit(make_record(number), waiter(number))
    await _turns()
    assert len(stored) == 1


@pytest.mark.parametrize("durability", Durability)
async def test_many_at_once_are_told_over_several_turns(
    durability: Durability, open_trail: MakeTrail, folder: Path, make_record: MakeRecord
) -> None:
    """A thousand requests that come together do not stop the loop for as long as all of them take."""
    trail = open_trail(durability=durability)
    told: list[int] = []

    class Telling:
        def __init__(self, number: int) -> None:
            self._number = number

        def recorded(self) -> None:
            told.append(self._number)

        def unrecorded(self) -> None:
            raise AssertionError

    for number in range(1, 1001):
        trail.submit(make_record(number), Telling(number))
    most = before = 0
    async with asyncio.timeout(30):
        while len(told) < 1000:
            await asyncio.sleep(0)
            most, before = max(most, len(told) - before), len(told)
    assert told == list(range(1, 1001))
    assert 0 < most <= AT_A_TIME
    if durability is not Durability.MEMORY:
        assert _spooled(folder) == [(str(number), number) for number in range(1, 1001)]


async def test_a_full_disk_refuses_many_at_once_over_several_turns(
    open_trail: MakeTrail, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """Also those that were put back are refused; nobody is left waiting."""
    trail = open_trail(SpoolLimits(max_bytes=1500, reserve_bytes=0))
    for number in range(1, 301):
        trail.submit(make_record(number), waiter(number))
    await _until(lambda: len(told) == 300)
    assert {what for what, _ in told} == {"unrecorded"}
    assert trail.dropped[DropCause.SPOOL_FULL] == 300


async def test_record_of_nobody_is_kept_too(open_trail: MakeTrail, folder: Path, make_record: MakeRecord) -> None:
    """A completion: nothing waits for it."""
    trail = open_trail()
    trail.submit(make_record(1))
    await _turns()
    assert _spooled(folder) == [("1", 1)]


async def test_waiter_may_submit_when_told(open_trail: MakeTrail, folder: Path, make_record: MakeRecord) -> None:
    """Its record goes with the next batch."""
    trail = open_trail()

    class Again:
        def recorded(self) -> None:
            trail.submit(make_record(2))

        def unrecorded(self) -> None:
            raise AssertionError

    trail.submit(make_record(1), Again())
    await _turns()
    assert _spooled(folder) == [("1", 1), ("2", 2)]


@pytest.mark.parametrize("durability", [Durability.PROCESS, Durability.HOST])
async def test_waiter_that_breaks_strands_nobody(
    durability: Durability, open_trail: MakeTrail, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """A bug of one exchange is reported, and the others go on."""
    trail = open_trail(durability=durability)
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))

    class Broken:
        def recorded(self) -> None:
            raise ZeroDivisionError

        def unrecorded(self) -> None:
            raise ZeroDivisionError

    trail.submit(make_record(1), waiter(1))
    trail.submit(make_record(2), Broken())
    trail.submit(make_record(3), waiter(3))
    await _until(lambda: len(told) == 2)
    assert told == [("recorded", 1), ("recorded", 3)]
    assert reported == ["an exchange failed after its record was written"]


async def test_batches_gather_while_the_disk_works(
    open_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """``durability: host``: the loop goes on, what comes meanwhile is the next batch, in order."""
    trail = open_trail(durability=Durability.HOST)
    for number in range(20):
        trail.submit(make_record(number), waiter(number))
        await asyncio.sleep(0)
    await _until(lambda: len(told) == 20)
    assert told == [("recorded", number) for number in range(20)]
    assert _spooled(folder) == [(str(number), number + 1) for number in range(20)]


async def test_ids_and_instants_come_from_the_trail(open_trail: MakeTrail) -> None:
    """Version 7, rising; the time as in a record."""
    trail = open_trail()
    now = UnixMillis(1_764_547_200_123)
    first, second = trail.next_id(now), trail.next_id(now)
    assert first < second
    assert len(first) == 36
    assert trail.instant(now) == b"2025-12-01T00:00:00.123Z"


# --- checkpoints ---


async def test_checkpoint_is_signed_in_time(open_trail: MakeTrail, folder: Path, make_record: MakeRecord) -> None:
    """Some time after the first record that none covers; nothing is written when there is none."""
    trail = open_trail()
    trail.submit(make_record(1))
    await _turns()
    assert trail._signing_timer is not None
    trail._signing_timer.cancel()
    trail._sign_interval()
    await _turns()
    assert [members.get("cause") for members in _lines(folder)] == ["opened", None, "interval"]
    trail._sign_interval()
    await _turns()
    assert len(_lines(folder)) == 3


async def test_end_is_signed_and_refuses(
    *, make_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told, findings: Any
) -> None:
    """What was submitted before is kept; what comes after is told so."""
    trail = make_trail()
    trail.open()
    trail.submit(make_record(1), waiter(1))
    await trail.close()
    trail.submit(make_record(2), waiter(2))
    await _turns()
    assert told == [("recorded", 1), ("unrecorded", 2)]
    assert [members.get("cause") for members in _lines(folder)] == ["opened", None, "closed"]
    assert findings() == []


async def test_end_waits_for_the_disk(
    make_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """``durability: host``: a batch is under way and another one waits."""
    trail = make_trail(durability=Durability.HOST)
    trail.open()
    trail.submit(make_record(1), waiter(1))
    await asyncio.sleep(0)
    trail.submit(make_record(2), waiter(2))
    await trail.close()
    assert sorted(told) == [("recorded", 1), ("recorded", 2)]
    assert _spooled(folder) == [("1", 1), ("2", 2)]


async def test_end_on_a_broken_disk_refuses_what_waits(
    make_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """It ends all the same."""
    trail = make_trail()
    trail.open()
    _make_unwritable(folder)
    trail.submit(make_record(1), waiter(1))
    await trail.close()
    assert told == [("unrecorded", 1)]


async def test_second_trail_on_the_folder_is_refused(open_trail: MakeTrail) -> None:
    """At start, as a mistake in the configuration."""
    open_trail()
    with pytest.raises(ConfigError, match="held by another"):
        open_trail()


# --- failing and recovering ---


def _make_unwritable(folder: Path) -> None:
    """Put a file where the folder was. (Permissions would not stop a test that runs as root.)"""
    folder.rename(folder.with_name("away"))
    for path in folder.with_name("away").glob("*.ndjson"):
        path.unlink()
    folder.touch()


def _make_writable(folder: Path) -> None:
    folder.unlink()


@pytest.mark.parametrize("durability", [Durability.PROCESS, Durability.HOST])
async def test_unwritable_folder_denies_and_recovers_with_the_next_record(
    *,
    durability: Durability,
    open_trail: MakeTrail,
    folder: Path,
    make_record: MakeRecord,
    waiter: Any,
    told: Told,
    clock: ManualClock,
) -> None:
    """Said in ``writable`` and counted; the numbers go on without a gap."""
    trail = open_trail(durability=durability)
    trail.submit(make_record(1), waiter(1))
    await _until(lambda: len(told) == 1)
    _make_unwritable(folder)
    trail.submit(make_record(2), waiter(2))
    await _until(lambda: len(told) == 2)
    clock.advance(_RETRY)
    trail.submit(make_record(3), waiter(3))
    await _until(lambda: len(told) == 3)
    assert told[1:] == [("unrecorded", 2), ("unrecorded", 3)]
    assert _problem(trail) is not None
    assert "cannot be written" in str(_problem(trail))
    assert trail.dropped[DropCause.WRITE_FAILED] == 2
    _make_writable(folder)
    clock.advance(_RETRY)
    trail.submit(make_record(4), waiter(4))
    await _until(lambda: len(told) == 4)
    assert told[3] == ("recorded", 4)
    assert _problem(trail) is None
    assert _spooled(folder) == [("4", 2)]


async def test_failed_disk_is_left_alone_for_a_while(
    open_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """A refusal is cheap: the disk is not asked again before its time, even if it would answer."""
    trail = open_trail()
    _make_unwritable(folder)
    trail.submit(make_record(1), waiter(1))
    await _turns()
    _make_writable(folder)
    trail.submit(make_record(2), waiter(2))
    await _turns()
    assert told == [("unrecorded", 1), ("unrecorded", 2)]


async def test_recovers_without_a_request(
    open_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """An unready sidecar gets none: it tries by itself, with a checkpoint."""
    trail = open_trail()
    _make_unwritable(folder)
    trail.submit(make_record(1), waiter(1))
    await _turns()
    assert trail._retry_timer is not None
    trail._probe()
    await _turns()
    assert _problem(trail) is not None
    _make_writable(folder)
    trail._probe()
    await _turns()
    assert _problem(trail) is None
    assert [members["cause"] for members in _lines(folder)] == ["recovered"]


async def test_spool_that_cannot_be_opened_denies_until_it_can(
    *, make_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told, clock: ManualClock
) -> None:
    """The process starts all the same, unready, and gets well by itself."""
    folder.parent.touch()
    trail = make_trail()
    trail.open()
    assert _problem(trail) is not None
    trail.submit(make_record(1), waiter(1))
    await _turns()
    folder.parent.unlink()
    clock.advance(_RETRY)
    trail.submit(make_record(2), waiter(2))
    await _turns()
    assert told == [("unrecorded", 1), ("recorded", 2)]
    assert _problem(trail) is None
    await trail.close()


async def test_bug_while_writing_denies_and_is_reported(open_trail: MakeTrail, waiter: Any, told: Told) -> None:
    """Whatever breaks, nobody is left waiting. Here: something that is no record."""
    trail = open_trail()
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))
    trail.submit(None, waiter(1))  # type: ignore[arg-type]
    await _turns()
    assert told == [("unrecorded", 1)]
    assert reported == ["writing audit records failed"]


async def test_refused_waiter_that_breaks_strands_nobody(
    open_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told
) -> None:
    """As for those who are told that it is kept."""
    trail = open_trail()
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))

    class Broken:
        def recorded(self) -> None:
            raise AssertionError

        def unrecorded(self) -> None:
            raise ZeroDivisionError

    _make_unwritable(folder)
    trail.submit(make_record(1), Broken())
    trail.submit(make_record(2), waiter(2))
    await _turns()
    assert told == [("unrecorded", 2)]
    assert reported == ["an exchange failed after its record was refused"]


async def test_full_disk_denies_and_recovers(
    *,
    open_trail: MakeTrail,
    folder: Path,
    make_record: MakeRecord,
    waiter: Any,
    told: Told,
    clock: ManualClock,
    findings: Any,
) -> None:
    """The kernel takes a part of a batch only: all of the batch is refused, and nothing of it stays."""
    trail = open_trail()
    trail.submit(make_record(1), waiter(1))
    await _turns()
    size = segment_path(folder, 1).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 250, hard))
    try:
        for number in (2, 3):
            trail.submit(make_record(number), waiter(number))
        await _turns()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert told == [("recorded", 1), ("unrecorded", 2), ("unrecorded", 3)]
    assert segment_path(folder, 1).stat().st_size == size
    assert trail.dropped[DropCause.SPOOL_FULL] == 2
    assert "is full" in str(_problem(trail))
    clock.advance(_RETRY)
    trail.submit(make_record(4), waiter(4))
    await _turns()
    assert told[3:] == [("recorded", 4)]
    assert _spooled(folder) == [("1", 1), ("4", 2)]
    assert findings() == []


async def test_cap_denies_until_sinks_have_it(
    open_trail: MakeTrail, make_record: MakeRecord, waiter: Any, told: Told, findings: Any
) -> None:
    """``on_full: deny``; acknowledging a segment makes room at once, without waiting for a retry."""
    trail = open_trail(SpoolLimits(max_bytes=8_000, reserve_bytes=0))
    trail.attach("probe", lambda: None)
    number = 0
    while _problem(trail) is None:
        number += 1
        trail.submit(make_record(number, 1000), waiter(number))
        await _turns()
    assert told[-1] == ("unrecorded", number)
    assert trail.dropped[DropCause.SPOOL_FULL] == 1
    full = trail.spooled_bytes
    trail.acknowledge("probe", 1)
    await _turns()
    assert _problem(trail) is None
    assert trail.spooled_bytes < full
    trail.submit(make_record(99, 1000), waiter(99))
    await _turns()
    assert told[-1] == ("recorded", 99)
    assert findings() == []


async def test_segment_is_kept_until_every_sink_has_it(
    open_trail: MakeTrail, folder: Path, make_record: MakeRecord
) -> None:
    """The slowest of them decides. They go one by one, by themselves: nobody waits for all of them at once."""
    trail = open_trail(SpoolLimits(segment_bytes=1, reserve_bytes=0))
    for sink in ("a", "b"):
        trail.attach(sink, lambda: None)
    for number in range(4):
        trail.submit(make_record(number))
        await _turns()
    last, _ = trail.written_to
    trail.acknowledge("a", last - 1)
    await _turns()
    oldest = _segments(folder)[:3]
    trail.acknowledge("b", 2)
    await _turns()
    assert _segments(folder)[:2] == oldest[1:]
    async with asyncio.timeout(10):
        while oldest[1] in _segments(folder):
            await _turns()
    assert _segments(folder)[0] == oldest[2]


async def test_segment_that_cannot_be_removed_stops_nothing(
    open_trail: MakeTrail, folder: Path, make_record: MakeRecord
) -> None:
    """It is tried again with the next one; that it failed is said."""
    trail = open_trail(SpoolLimits(segment_bytes=1, reserve_bytes=0))
    trail.attach("probe", lambda: None)
    trail.submit(make_record(1))
    await _turns()
    _make_unwritable(folder)
    with capture_logs() as logs:
        trail.acknowledge("probe", 1)
        await _turns()
    assert [line["event"] for line in logs] == ["segment_removal_failed"]
    _make_writable(folder)


async def test_oldest_is_dropped_and_counted(
    *, open_trail: MakeTrail, folder: Path, make_record: MakeRecord, waiter: Any, told: Told, findings: Any
) -> None:
    """``on_full: drop_oldest``: nobody is refused."""
    trail = open_trail(SpoolLimits(max_bytes=8_000, reserve_bytes=0, on_full=OnFull.DROP_OLDEST))
    for number in range(30):
        trail.submit(make_record(number, 1000), waiter(number))
        await _turns()
    assert told == [("recorded", number) for number in range(30)]
    assert trail.dropped[DropCause.OLDEST_DROPPED] == _spooled(folder)[0][1] - 1
    assert trail.spooled_bytes <= 8_000
    assert findings() == []


async def test_torn_line_is_counted(
    open_trail: MakeTrail, make_trail: MakeTrail, folder: Path, make_record: MakeRecord
) -> None:
    """At the start after a crash."""
    trail = make_trail()
    trail.open()
    trail.submit(make_record(1))
    await trail.close()
    path = segment_path(folder, 1)
    os.truncate(path, path.stat().st_size - 1)
    assert open_trail().dropped[DropCause.TORN_LINE] == 1


# --- for metrics ---


async def test_age_of_the_oldest_unshipped_record(open_trail: MakeTrail, clock: ManualClock) -> None:
    """Of all sinks; none, or a clock set back, is age 0."""
    trail = open_trail()
    assert trail.oldest_unshipped_seconds == 0.0
    trail.unshipped_since["a"] = clock.now()
    trail.unshipped_since["b"] = UnixMillis(clock.now() - 1500)
    assert trail.oldest_unshipped_seconds == 1.5
    clock.set(UnixMillis(0))
    assert trail.oldest_unshipped_seconds == 0.0


async def test_size_and_place_of_the_spool(open_trail: MakeTrail, folder: Path, make_trail: MakeTrail) -> None:
    """What metrics and shippers read."""
    trail = open_trail()
    assert trail.spooled_bytes == segment_path(folder, 1).stat().st_size
    assert trail.written_to == (1, trail.spooled_bytes)
    assert make_trail(sidecar="other").written_to == (0, 0)
