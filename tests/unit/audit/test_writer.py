"""Tests of writing a chain: numbers without gaps, and checkpoints where they are due."""

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from structlog.testing import capture_logs

from sidegate.audit.layout import segment_path
from sidegate.audit.spool import Spool, SpoolFullError, SpoolLimits
from sidegate.audit.verify import verify
from sidegate.audit.writer import TrailWriter
from sidegate.core.trail.checkpoint import CheckpointCause, CheckpointSigner
from sidegate.core.trail.durability import OnFull
from sidegate.core.trail.record import OpenRecord
from sidegate.telemetry.clock import ManualClock

MakeWriter = Callable[..., TrailWriter]
_LIMITS = SpoolLimits(reserve_bytes=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sidecar's folder."""
    return tmp_path / "audit" / "host-w0"


@pytest.fixture
def make_writer(folder: Path, signer: CheckpointSigner, clock: ManualClock) -> Iterator[MakeWriter]:
    """Open writers on one folder; the one before is let go first, as if its process had ended."""
    open_writers: list[TrailWriter] = []

    def make(limits: SpoolLimits = _LIMITS, *, every: int = 100, copy: Path | None = None) -> TrailWriter:
        for writer in open_writers:
            writer.close()
        writer = TrailWriter(Spool(folder, "host-w0", limits), signer, clock, every, copy)
        open_writers.append(writer)
        return writer

    yield make
    for writer in open_writers:
        writer.close()


def _stream(folder: Path) -> list[tuple[str, int]]:
    """Each line as what it is (a checkpoint by its cause) and its number."""
    return [
        (members.get("cause", members["record"]), members["seq"])
        for path in sorted(folder.glob("*.ndjson"))
        for members in map(orjson.loads, path.read_bytes().splitlines())
    ]


def _records(count: int, size: int = 0) -> list[OpenRecord]:
    return [OpenRecord(b'{"v":1,"record":"decision","pad":"%b"' % (b"x" * size))] * count


def _fill(writer: TrailWriter) -> None:
    """Write until nothing more is taken."""
    with pytest.raises(SpoolFullError):  # noqa: PT012  which write it is does not matter
        while True:
            writer.write(_records(1, 1000))


def _findings(folder: Path, keys: dict[str, Ed25519PublicKey]) -> list[str]:
    return [str(finding) for finding in verify(folder.parent, keys).findings]


def test_stream_opens_and_closes_with_a_checkpoint(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """So that there is never a spool without one, and nothing unsigned after a clean end."""
    writer = make_writer()
    writer.open()
    writer.write(_records(2))
    writer.write(_records(1), CheckpointCause.CLOSED)
    writer.sync()
    assert _stream(folder) == [("opened", 0), ("decision", 1), ("decision", 2), ("decision", 3), ("closed", 3)]
    assert _findings(folder, keys) == []


def test_checkpoint_comes_after_so_many_records(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """Also within one batch: never more than that without one, so that a longer run proves a removal."""
    writer = make_writer(every=2)
    writer.open()
    writer.write(_records(1))
    writer.write(_records(4))
    assert writer.unsigned == 1
    assert _stream(folder) == [
        ("opened", 0),
        ("decision", 1),
        ("decision", 2),
        ("interval", 2),
        ("decision", 3),
        ("decision", 4),
        ("interval", 4),
        ("decision", 5),
    ]
    assert _findings(folder, keys) == []


def test_each_segment_begins_with_a_checkpoint(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """It can be checked, and gone on from, by itself."""
    writer = make_writer(SpoolLimits(segment_bytes=1, reserve_bytes=0))
    writer.open()
    writer.write(_records(1))
    writer.write((), CheckpointCause.CLOSED)
    assert _stream(folder) == [("opened", 0), ("rotated", 0), ("decision", 1), ("closed", 1)]
    assert len(list(folder.glob("*.ndjson"))) == 3
    assert _findings(folder, keys) == []


def test_chain_goes_on_after_a_restart(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """Without a gap, and what was unsigned when the process was killed is signed at once."""
    make_writer().write(_records(2))
    writer = make_writer()
    writer.open()
    writer.write(_records(1))
    assert _stream(folder) == [
        ("opened", 0),
        ("decision", 1),
        ("decision", 2),
        ("opened", 2),
        ("decision", 3),
    ]
    assert writer.cuts == 0
    assert _findings(folder, keys) == []


def test_torn_line_is_cut_counted_and_signed(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """The checkpoint says how many bytes were cut: not even that happens unseen."""
    make_writer().write(_records(2))
    path = segment_path(folder, 1)
    path.write_bytes(path.read_bytes()[:-5])
    writer = make_writer()
    writer.open()
    writer.write(_records(1))
    assert _stream(folder) == [("opened", 0), ("decision", 1), ("opened", 1), ("decision", 2)]
    cuts = [orjson.loads(line)["cut"] for line in path.read_bytes().splitlines() if b'"cut":' in line]
    assert cuts[0] == 0
    assert cuts[1] > 100
    assert writer.cuts == 1
    assert _findings(folder, keys) == []


def test_unreadable_end_stays_and_is_found(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """Somebody changed the last record while nobody ran: the evidence stays, the chain goes on in a new segment."""
    make_writer().write(_records(2))
    path = segment_path(folder, 1)
    path.write_bytes(path.read_bytes().replace(b'"seq":2,', b'"seq":x,'))
    writer = make_writer()
    writer.open()
    writer.write(_records(1))
    assert segment_path(folder, 2).exists()
    assert _findings(folder, keys) == [f"{path}:3: inserted: the line is neither a record nor a checkpoint"]


def test_opening_on_a_full_disk_can_be_tried_again(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """The folder is taken by then; what was found in it is not forgotten."""
    make_writer().write(_records(2))
    path = segment_path(folder, 1)
    path.write_bytes(path.read_bytes()[:-5])
    writer = make_writer()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        with pytest.raises(OSError, match=r"took \d+ of|File too large"):
            writer.open()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.open()
    assert _stream(folder) == [("opened", 0), ("decision", 1), ("opened", 1)]
    assert orjson.loads(path.read_bytes().splitlines()[-1])["cut"] > 0
    assert writer.cuts == 1
    assert _findings(folder, keys) == []


def test_failed_batch_leaves_the_numbers(folder: Path, make_writer: MakeWriter) -> None:
    """The next batch has them: no gap for what was refused."""
    writer = make_writer()
    writer.write(_records(1))
    folder.rename(folder.with_name("away"))
    folder.touch()  # neither the segment nor a new one can be written
    os.truncate(folder.with_name("away") / "00000001.ndjson", 0)
    for _ in range(2):
        with pytest.raises(OSError, match=r"changed by somebody else|exists|Not a directory"):
            writer.write(_records(3))
    assert writer.head.seq == 1
    folder.unlink()
    writer.write(_records(1))
    assert _stream(folder) == [("rotated", 1), ("decision", 2)]


def test_dropped_segments_are_counted_and_signed(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """``on_full: drop_oldest``: what is missing from the front was signed for, so the rest is intact."""
    writer = make_writer(SpoolLimits(max_bytes=12_000, reserve_bytes=0, on_full=OnFull.DROP_OLDEST))
    for _ in range(30):
        writer.write(_records(1, 1000))
    first = next(seq for kind, seq in _stream(folder) if kind == "decision")
    assert first > 1
    assert writer.dropped == first - 1
    assert "released" in dict(_stream(folder))
    assert _findings(folder, keys) == []


def test_cap_refuses_and_leaves_the_chain(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """``on_full: deny``: nothing is dropped."""
    writer = make_writer(SpoolLimits(max_bytes=8_000, reserve_bytes=0))
    _fill(writer)
    assert 0 < writer.head.seq < 8
    assert writer.dropped == 0
    assert _findings(folder, keys) == []


def test_released_segments_are_signed_for(
    folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """What every sink has is removed, one segment at a time and signed for once; never the segment that grows."""
    writer = make_writer(SpoolLimits(segment_bytes=1, reserve_bytes=0))
    for _ in range(4):
        writer.write(_records(1))
    assert [writer.release(3) for _ in range(3)] == [True, True, False]
    assert [kind for kind, _ in _stream(folder)].count("released") == 1
    assert [seq for kind, seq in _stream(folder) if kind == "decision"] == [3, 4]
    assert _findings(folder, keys) == []
    while writer.release(99):
        pass
    assert {kind for kind, _ in _stream(folder)} == {"released"}
    assert _findings(folder, keys) == []


def test_release_makes_room_at_the_cap(folder: Path, make_writer: MakeWriter) -> None:
    """Signing it may exceed the cap by one line: a full spool must not keep itself full."""
    writer = make_writer(SpoolLimits(max_bytes=8_000, reserve_bytes=0))
    _fill(writer)
    before = writer.head.seq
    writer.release(1)
    writer.write(_records(1, 1000))
    assert writer.head.seq == before + 1


def test_release_before_the_store_is_open_does_nothing(make_writer: MakeWriter) -> None:
    """The spool could not be opened yet; there is time."""
    make_writer().release(5)


def test_checkpoints_go_to_the_second_place_too(
    tmp_path: Path, folder: Path, make_writer: MakeWriter, keys: dict[str, Ed25519PublicKey]
) -> None:
    """There they show what was removed from the end."""
    copy = tmp_path / "elsewhere" / "checkpoints.ndjson"
    writer = make_writer(every=2, copy=copy)
    writer.open()
    writer.write(_records(4))
    lines = [line for line in segment_path(folder, 1).read_bytes().splitlines() if b'"checkpoint"' in line]
    assert copy.read_bytes().splitlines() == lines
    path = segment_path(folder, 1)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    assert _findings(folder, keys) == []
    findings = verify(folder.parent, keys, copy).findings
    assert [str(finding) for finding in findings] == [
        "removed: records 3 to 4 are missing from the end: a copied checkpoint covers them"
    ]


def test_second_place_that_fails_stops_nothing(tmp_path: Path, make_writer: MakeWriter) -> None:
    """Requests wait for the spool alone; that it failed is said."""
    (tmp_path / "file").touch()
    writer = make_writer(copy=tmp_path / "file" / "copy")
    with capture_logs() as logs:
        writer.open()
    writer.write(_records(1))
    assert writer.head.seq == 1
    assert [line["event"] for line in logs] == ["checkpoint_copy_failed"]
