"""Tests of shipping: at least once, in order, from where it stopped."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidegate.audit.layout import segment_path
from sidegate.audit.ports import START, Batch, BehindError, Position
from sidegate.audit.shipper import Shipper
from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.chain import Linker, genesis
from sidegate.core.trail.record import OpenRecord


class ListSink:
    """Keeps batches in a list; fails as often as it is told to."""

    def __init__(self, name: str = "list") -> None:
        self.name = name
        self.settle_s = 0.0
        self.batches: list[Batch] = []
        self.failures = 0

    async def send(self, batch: Batch) -> None:
        """Keep it, or fail."""
        if self.failures:
            self.failures -= 1
            raise DependencyError(Dependency.SINK, "sending")
        self.batches.append(batch)

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def data(self) -> bytes:
        """All lines."""
        return b"".join(batch.data for batch in self.batches)


class FolderSource:
    """What a shipper needs of a trail, told by hand."""

    def __init__(self) -> None:
        self.unshipped_since: dict[str, UnixMillis] = {}
        self.written_to = (0, 0)
        self.is_tight = False
        self.acknowledged: list[int] = []
        self.on_stored: Callable[[], None] = lambda: None

    def attach(self, sink: str, on_stored: Callable[[], None]) -> None:
        """Note who is to be called."""
        self.on_stored = on_stored

    def acknowledge(self, sink: str, through: int) -> None:
        """Note what is acknowledged."""
        self.acknowledged.append(through)


@pytest.fixture
def lines() -> Iterator[bytes]:
    """The lines of a chain, one after the other."""
    linker, head = Linker("h"), genesis("h")

    def make() -> Iterator[bytes]:
        nonlocal head
        number = 0
        while True:
            number += 1
            record = OpenRecord(b'{"v":1,"record":"decision","time":"1970-01-01T00:00:%02d.000Z"' % (number % 60))
            (line,), head = linker.link([record], head)
            yield line

    return make()


def _take(lines: Iterator[bytes], count: int) -> bytes:
    return b"".join(next(lines) for _ in range(count))


def _write(source: FolderSource, folder: Path, number: int, data: bytes) -> None:
    with segment_path(folder, number).open("ab") as file:
        file.write(data)
    source.written_to = (number, segment_path(folder, number).stat().st_size)


async def _no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_everything_is_shipped_in_order(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """Byte for byte, across segments; a segment is acknowledged once the next one is reached."""
    source, sink = FolderSource(), ListSink()
    parts = [_take(lines, 3), _take(lines, 2)]
    for number, part in enumerate(parts, 1):
        _write(source, tmp_path, number, part)
    shipper = Shipper(tmp_path, "h", source, sink, _no_wait)
    await shipper.drain()
    assert sink.data == b"".join(parts)
    assert [(batch.sidecar, batch.first_seq, batch.last_seq, batch.records) for batch in sink.batches] == [
        ("h", 1, 3, 3),
        ("h", 4, 5, 2),
    ]
    assert source.acknowledged == [0, 1]
    assert source.unshipped_since == {}


async def test_only_what_is_written_for_good_is_shipped(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """A batch that is being written, and may be cut off again, is not."""
    source, sink = FolderSource(), ListSink()
    kept = _take(lines, 1)
    _write(source, tmp_path, 1, kept)
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(next(lines))
    await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    assert sink.data == kept


async def test_shipping_goes_on_where_it_stopped(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """In the next process."""
    source, sink = FolderSource(), ListSink()
    first, second = _take(lines, 2), _take(lines, 2)
    _write(source, tmp_path, 1, first)
    await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    _write(source, tmp_path, 1, second)
    await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    assert [batch.data for batch in sink.batches] == [first, second]


async def test_two_sinks_have_a_cursor_each(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """One that is new gets everything."""
    source, one, other = FolderSource(), ListSink("one"), ListSink("other")
    data = _take(lines, 2)
    _write(source, tmp_path, 1, data)
    for sink in (one, other):
        await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    assert one.data == other.data == data


async def test_sink_that_fails_gets_the_batch_again(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """With growing pauses up to half a minute; meanwhile the age of the record shows."""
    source, sink, pauses = FolderSource(), ListSink(), []
    _write(source, tmp_path, 1, _take(lines, 1))
    sink.failures = 8

    async def sleep(seconds: float) -> None:
        assert source.unshipped_since == {"list": UnixMillis(1000)}
        pauses.append(seconds)

    await Shipper(tmp_path, "h", source, sink, sleep).drain()
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert len(sink.batches) == 1
    assert source.unshipped_since == {}


async def test_large_segment_goes_in_pieces_of_whole_lines(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """About 256 KiB each."""
    source, sink = FolderSource(), ListSink()
    data = _take(lines, 4000)
    _write(source, tmp_path, 1, data)
    await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    assert sink.data == data
    assert len(sink.batches) > 1
    assert all(batch.data.endswith(b"\n") and len(batch.data) <= 256 * 1024 for batch in sink.batches)


async def test_line_longer_than_a_piece_goes_whole(tmp_path: Path) -> None:
    """A line that is none of ours is shipped like any other: a sink shows what the spool shows."""
    source, sink = FolderSource(), ListSink()
    line = b"x" * 600_000 + b"\n"
    _write(source, tmp_path, 1, line + b"y\n")
    await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    assert sink.data == line + b"y\n"
    assert [(batch.first_seq, batch.last_seq, batch.records) for batch in sink.batches] == [(0, 0, 0)]


async def test_dropped_segments_are_passed_over(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """``on_full: drop_oldest`` took them before they were shipped."""
    source, sink = FolderSource(), ListSink()
    _write(source, tmp_path, 1, _take(lines, 1))
    shipper = Shipper(tmp_path, "h", source, sink, _no_wait)
    await shipper.drain()
    segment_path(tmp_path, 1).unlink()
    late = _take(lines, 1)
    _write(source, tmp_path, 4, late)
    await shipper.drain()
    assert [batch.data for batch in sink.batches][1:] == [late]
    assert source.acknowledged == [0, 3]


async def test_segment_that_vanished_without_a_later_one_ships_nothing(tmp_path: Path) -> None:
    """Nothing is there to be shipped."""
    source, sink = FolderSource(), ListSink()
    source.written_to = (3, 100)
    await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    assert sink.batches == []


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param(b'{"v":1,"segment":9,"offset":0}', id="segment-that-is-not-reached"),
        pytest.param(b'{"v":1,"segment":1,"offset":99999}', id="offset-that-is-not-reached"),
        pytest.param(b"{}", id="no-members"),
        pytest.param(b"rubbish", id="no-json"),
        pytest.param(b'{"segment":null,"offset":0}', id="no-number"),
        pytest.param(b"[]", id="no-object"),
    ],
)
async def test_cursor_that_does_not_fit_ships_everything(cursor: bytes, tmp_path: Path, lines: Iterator[bytes]) -> None:
    """Twice is safe, sinks de-duplicate by id; leaving something out is not."""
    source, sink = FolderSource(), ListSink()
    data = _take(lines, 2)
    _write(source, tmp_path, 1, data)
    (tmp_path / "list.cursor").write_bytes(cursor)
    await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    assert sink.data == data


async def test_running_shipper_follows_the_trail(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """What was shipped before the start is acknowledged at once; each batch wakes it."""
    source, sink = FolderSource(), ListSink()
    (tmp_path / "list.cursor").write_bytes(b'{"v":1,"segment":3,"offset":0}')
    first, second = _take(lines, 1), _take(lines, 1)
    _write(source, tmp_path, 3, first)
    shipper = Shipper(tmp_path, "h", source, sink, _no_wait)
    running = asyncio.create_task(shipper.run())
    async with asyncio.timeout(30):
        while len(sink.batches) < 1:  # noqa: ASYNC110  a thread reads; turns of the loop are all that passes
            await asyncio.sleep(0)
        _write(source, tmp_path, 3, second)
        source.on_stored()
        while len(sink.batches) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert sink.data == first + second
    assert source.acknowledged[0] == 2


def test_sink_name_is_fit_for_a_file(tmp_path: Path) -> None:
    """The cursor is named after it."""
    with pytest.raises(ValueError, match="cannot name a file"):
        Shipper(tmp_path, "h", FolderSource(), ListSink("../x"))


class ForgetfulSink(ListSink):
    """Knows where it stands, and can be made to forget the last batches, or to come back empty."""

    def __init__(self) -> None:
        super().__init__("forgetful")
        self.settle_s = 60.0
        self.asked = 0

    async def send(self, batch: Batch) -> None:
        """Take what follows, or what the spool has nothing before."""
        known = self.batches[-1].end if self.batches else None
        if not batch.is_oldest and known != batch.begin:
            raise BehindError("adding", known)
        if batch.data:
            await super().send(batch)
        else:
            self.asked += 1


async def test_new_sink_is_told_that_nothing_came_before(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """It says that it is behind, and the spool has nothing older: that is no loss."""
    source, sink = FolderSource(), ForgetfulSink()
    data = _take(lines, 3)
    _write(source, tmp_path, 1, data)
    await Shipper(tmp_path, "h", source, sink, _no_wait).drain()
    assert sink.data == data
    assert [(batch.begin, batch.end, batch.is_oldest) for batch in sink.batches] == [
        (START, Position(1, len(data)), True)
    ]


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_what_a_sink_lost_is_sent_again(kept: int, tmp_path: Path, lines: Iterator[bytes]) -> None:
    """From where it stands, or from the oldest segment; then it has everything, in order and once."""
    source, sink = FolderSource(), ForgetfulSink()
    shipper = Shipper(tmp_path, "h", source, sink, _no_wait)
    parts = [_take(lines, 2) for _ in range(4)]
    for number, part in zip((1, 1, 2), parts, strict=False):
        _write(source, tmp_path, number, part)
        await shipper.drain()
    del sink.batches[kept:]
    _write(source, tmp_path, 2, parts[3])
    await shipper.drain()
    assert sink.data == b"".join(parts)


async def test_loss_beyond_what_the_spool_has_does_not_stop_it(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """The rest is sent all the same."""
    source, sink = FolderSource(), ForgetfulSink()
    shipper = Shipper(tmp_path, "h", source, sink, _no_wait)
    first, second, third = (_take(lines, 2) for _ in range(3))
    _write(source, tmp_path, 1, first)
    await shipper.drain()
    _write(source, tmp_path, 2, second)
    await shipper.drain()
    segment_path(tmp_path, 1).unlink()
    sink.batches.clear()
    _write(source, tmp_path, 2, third)
    await shipper.drain()
    assert sink.data == second + third


async def test_segments_are_kept_while_the_sink_may_lose_them(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """Unless the spool needs the room."""
    source, sink = FolderSource(), ForgetfulSink()
    shipper = Shipper(tmp_path, "h", source, sink, _no_wait)
    for number in (1, 2, 3):
        _write(source, tmp_path, number, _take(lines, 1))
        await shipper.drain()
    assert source.acknowledged == []
    source.is_tight = True
    _write(source, tmp_path, 3, _take(lines, 1))
    await shipper.drain()
    assert source.acknowledged == [2]


async def test_end_waits_for_a_sink_that_answers(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """What is in the spool by now is with the sink when the wait is over; when all is there nothing is waited for."""
    source, sink = FolderSource(), ListSink()
    shipper = Shipper(tmp_path, "h", source, sink, _no_wait)
    await shipper.caught_up()
    running = asyncio.ensure_future(shipper.run())
    data = _take(lines, 3)
    _write(source, tmp_path, 1, data)
    source.on_stored()
    async with asyncio.timeout(30):
        await shipper.caught_up()
    assert sink.data == data
    running.cancel()


async def test_end_does_not_wait_for_a_sink_that_is_away(tmp_path: Path, lines: Iterator[bytes]) -> None:
    """Its records go at the next start."""
    source, sink, asleep = FolderSource(), ListSink(), asyncio.Event()
    sink.failures = 1

    async def sleep(_seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    shipper = Shipper(tmp_path, "h", source, sink, sleep)
    _write(source, tmp_path, 1, _take(lines, 1))
    running = asyncio.ensure_future(shipper.run())
    async with asyncio.timeout(30):
        await shipper.caught_up()
        await asleep.wait()
        await shipper.caught_up()
    assert sink.batches == []
    running.cancel()
