"""Tests of the file sink: everything once, on the disk, verifiable like a spool."""

from pathlib import Path

import pytest

from sidegate.audit.ports import Batch
from sidegate.audit.sinks.file import FileSink
from sidegate.core.model.errors import DependencyError


def _batch(data: bytes, sidecar: str = "host-w0") -> Batch:
    return Batch(sidecar, 1, 1, 1, data)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.ndjson"))}


async def test_batches_are_appended_by_sidecar(tmp_path: Path) -> None:
    """In folders like those of the spool."""
    sink = FileSink(tmp_path)
    assert sink.name == "file"
    await sink.send(_batch(b"a\n"))
    await sink.send(_batch(b"b\nc\n"))
    await sink.send(_batch(b"x\n", "host-w1"))
    assert _files(tmp_path) == {"host-w0/00000001.ndjson": b"a\nb\nc\n", "host-w1/00000001.ndjson": b"x\n"}
    await sink.close()


async def test_file_that_is_full_is_followed_by_the_next(tmp_path: Path) -> None:
    """A batch is never divided."""
    sink = FileSink(tmp_path, segment_bytes=3)
    for data in (b"a\nb\n", b"c\n", b"d\n", b"e\n"):
        await sink.send(_batch(data))
    assert list(_files(tmp_path).values()) == [b"a\nb\n", b"c\nd\n", b"e\n"]
    await sink.close()


@pytest.mark.parametrize(
    ("kept", "again", "expected"),
    [
        pytest.param(b"a\nb\n", b"a\nb\n", b"a\nb\n", id="the-same-batch"),
        pytest.param(b"a\nb\n", b"a\nb\nc\n", b"a\nb\nc\n", id="a-longer-one"),
        pytest.param(b"a\nb\n", b"c\n", b"a\nb\nc\n", id="the-next-one"),
        pytest.param(b"", b"a\n", b"a\n", id="the-first-one"),
    ],
)
async def test_batch_that_comes_again_after_a_restart_is_kept_once(
    kept: bytes, again: bytes, expected: bytes, tmp_path: Path
) -> None:
    """At least once becomes exactly once, by the last line that was kept."""
    sink = FileSink(tmp_path)
    if kept:
        await sink.send(_batch(kept))
    await sink.close()
    sink = FileSink(tmp_path)
    await sink.send(_batch(again))
    assert b"".join(_files(tmp_path).values()) == expected
    await sink.close()


async def test_batch_that_comes_again_is_kept_once(tmp_path: Path) -> None:
    """Also without a restart: the acknowledgement was lost."""
    sink = FileSink(tmp_path)
    for data in (b"a\nb\n", b"a\nb\n", b"b\nc\n"):
        await sink.send(_batch(data))
    assert b"".join(_files(tmp_path).values()) == b"a\nb\nc\n"
    await sink.close()


async def test_torn_file_is_mended_and_the_batch_comes_again(tmp_path: Path) -> None:
    """A loss of power while it was written: it had not been acknowledged."""
    (tmp_path / "host-w0").mkdir()
    (tmp_path / "host-w0" / "00000001.ndjson").write_bytes(b"a\nb")
    sink = FileSink(tmp_path)
    await sink.send(_batch(b"a\nbb\n"))
    assert b"".join(_files(tmp_path).values()) == b"a\nbb\n"
    await sink.close()


async def test_folder_that_cannot_be_written_is_told_and_tried_again(tmp_path: Path) -> None:
    """The shipper waits; nothing is lost, the spool has it."""
    (tmp_path / "out").touch()
    sink = FileSink(tmp_path / "out")
    with pytest.raises(DependencyError, match="sink failed while appending records of `host-w0`"):
        await sink.send(_batch(b"a\n"))
    (tmp_path / "out").unlink()
    await sink.send(_batch(b"a\n"))
    assert _files(tmp_path / "out") == {"host-w0/00000001.ndjson": b"a\n"}
    await sink.close()


async def test_disk_keeps_its_reserve(tmp_path: Path) -> None:
    """A sink on the disk of the spool must not be what fills it."""
    sink = FileSink(tmp_path, reserve_bytes=1 << 60)
    with pytest.raises(DependencyError, match="reserve"):
        await sink.send(_batch(b"a\n"))
    await sink.close()


async def test_two_sinks_on_one_folder_are_refused(tmp_path: Path) -> None:
    """The second would write between the lines of the first."""
    first, second = FileSink(tmp_path), FileSink(tmp_path)
    await first.send(_batch(b"a\n"))
    with pytest.raises(DependencyError, match="held by another"):
        await second.send(_batch(b"b\n"))
    await first.close()
    await second.close()
