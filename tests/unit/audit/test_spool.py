"""Tests of the folder of segments: whole batches or nothing."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidegate.audit.layout import segment_path
from sidegate.audit.spool import Spool, SpoolAlteredError, SpoolFullError, SpoolLimits
from sidegate.core.model.errors import ConfigError
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.chain import Head, Linker, genesis
from sidegate.core.trail.checkpoint import Checkpoint, CheckpointCause, CheckpointSigner
from sidegate.core.trail.durability import Durability, OnFull
from sidegate.core.trail.record import OpenRecord

_LIMITS = SpoolLimits(reserve_bytes=0)


@pytest.fixture
def open_spool(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """Open spools on one folder, and close them at the end."""
    spools: list[Spool] = []

    def make(limits: SpoolLimits = _LIMITS) -> Spool:
        spool = Spool(tmp_path / "h", "h", limits)
        spools.append(spool)
        spool.open()
        return spool

    yield make
    for spool in spools:
        spool.close()


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    """Let the kernel cut every write that would make a file larger than *size*: a partial write, then EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.ndjson"))}


def _append(spool: Spool, data: bytes) -> None:
    spool.prepare(1)
    spool.append(data)


# --- writing ---


def test_batches_follow_each_other(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """In one segment, byte for byte, counted, and for nobody else to read."""
    spool = open_spool()
    begins = []
    for data in (b"a\n", b"b\nc\n"):
        spool.prepare(1)
        begins.append(spool.begins_segment)
        spool.append(data)
    assert begins == [True, False]
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"a\nb\nc\n"}
    assert spool.total_bytes == 6
    assert (tmp_path / "h").stat().st_mode & 0o777 == 0o700
    assert segment_path(tmp_path / "h", 1).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("durability", [Durability.PROCESS, Durability.HOST])
def test_full_segment_is_followed_by_the_next(
    durability: Durability, open_spool: Callable[..., Spool], tmp_path: Path
) -> None:
    """The batch that reaches the size is still whole in the old one."""
    spool = open_spool(SpoolLimits(segment_bytes=4, reserve_bytes=0, durability=durability))
    for data in (b"aa\n", b"bb\n", b"cc\n"):
        _append(spool, data)
    spool.sync()
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"aa\nbb\n", "00000002.ndjson": b"cc\n"}
    assert [segment.number for segment in spool.segments] == [1, 2]


def test_segment_is_at_most_a_quarter_of_the_cap() -> None:
    """So that dropping or releasing one makes room without emptying the spool."""
    assert SpoolLimits(segment_bytes=100, max_bytes=1000).segment_cap == 100
    assert SpoolLimits(segment_bytes=100, max_bytes=200).segment_cap == 50
    assert SpoolLimits(segment_bytes=100, max_bytes=0).segment_cap == 1


def test_second_writer_is_kept_out(open_spool: Callable[..., Spool]) -> None:
    """Two chains in one folder would both be broken."""
    open_spool()
    with pytest.raises(ConfigError, match="held by another running sidegate"):
        open_spool()


def test_closed_spool_can_be_opened_again(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """By the next process: it goes on in the same segment."""
    spool = open_spool()
    _append(spool, b"a\n")
    spool.close()
    _append(open_spool(), b"b\n")
    # Neither line is one of a chain: what cannot be read stays, and writing goes on behind it.
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"a\n", "00000002.ndjson": b"b\n"}


# --- failing ---


def test_batch_that_fits_in_part_leaves_nothing(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """The kernel took a part: it is cut off again, and the next batch goes where this one should have gone."""
    spool = open_spool()
    _append(spool, b"aaaa\n")
    with _file_size_limit(8), pytest.raises(SpoolFullError, match="took 3 of the 5 bytes"):
        _append(spool, b"bbbb\n")
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"aaaa\n"}
    assert spool.total_bytes == 5
    _append(spool, b"cccc\n")
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"aaaa\ncccc\n"}


def test_batch_that_does_not_fit_at_all_leaves_nothing(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """As above, with an error of the system."""
    spool = open_spool()
    _append(spool, b"aaaa\n")
    with _file_size_limit(5), pytest.raises(OSError, match="File too large"):
        _append(spool, b"bbbb\n")
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"aaaa\n"}


def test_failing_file_is_opened_anew(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """Whatever was wrong with the open file, the one of the next write is another."""
    spool = open_spool()
    _append(spool, b"a\n")
    os.close(spool._fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        _append(spool, b"b\n")
    _append(spool, b"c\n")
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"a\nc\n"}


def test_what_could_not_be_cut_off_at_once_is_before_the_next_write(
    open_spool: Callable[..., Spool], tmp_path: Path
) -> None:
    """A file that takes neither data nor a cut: what stands behind the last whole batch goes when it is opened anew."""
    spool = open_spool()
    _append(spool, b"a\n")
    os.close(spool._fd)
    with segment_path(tmp_path / "h", 1).open("ab") as file:
        file.write(b"half a batch")
    with pytest.raises(OSError, match="Bad file descriptor"):
        _append(spool, b"b\n")
    _append(spool, b"c\n")
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"a\nc\n"}


def test_removed_segment_is_noticed_and_replaced(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """A write to a removed file would succeed and be lost."""
    spool = open_spool()
    _append(spool, b"a\n")
    segment_path(tmp_path / "h", 1).unlink()
    with pytest.raises(SpoolAlteredError, match="changed by somebody else") as error:
        _append(spool, b"b\n")
    assert error.value.errno == errno.ESTALE
    _append(spool, b"c\n")
    assert _files(tmp_path / "h") == {"00000002.ndjson": b"c\n"}
    assert spool.total_bytes == 2


def test_removed_folder_is_noticed_and_made_again(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """With its lock, which still keeps others out."""
    spool = open_spool()
    _append(spool, b"a\n")
    for path in (tmp_path / "h").iterdir():
        path.unlink()
    (tmp_path / "h").rmdir()
    with pytest.raises(SpoolAlteredError):
        _append(spool, b"b\n")
    _append(spool, b"c\n")
    assert list(_files(tmp_path / "h").values()) == [b"c\n"]
    with pytest.raises(ConfigError):
        open_spool()


@pytest.mark.parametrize(
    ("alter", "left"),
    [
        pytest.param(lambda path: path.write_bytes(b"a\nxx\n"), b"a\nxx\n", id="appended"),
        pytest.param(lambda path: path.write_bytes(b"a"), b"a", id="cut"),
    ],
)
def test_segment_that_somebody_else_wrote_to_is_left(
    alter: Callable[[Path], object], left: bytes, open_spool: Callable[..., Spool], tmp_path: Path
) -> None:
    """It is evidence; writing goes on in a new one."""
    spool = open_spool()
    _append(spool, b"a\n")
    alter(segment_path(tmp_path / "h", 1))
    with pytest.raises(SpoolAlteredError):
        _append(spool, b"b\n")
    _append(spool, b"c\n")
    assert _files(tmp_path / "h") == {"00000001.ndjson": left, "00000002.ndjson": b"c\n"}


def test_segment_cut_while_it_was_failing_is_left(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """Shorter than it was: something is gone, and nothing may hide that."""
    spool = open_spool()
    _append(spool, b"aaaa\n")
    os.close(spool._fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        _append(spool, b"b\n")
    segment_path(tmp_path / "h", 1).write_bytes(b"aa")
    _append(spool, b"c\n")
    assert _files(tmp_path / "h") == {"00000001.ndjson": b"aa", "00000002.ndjson": b"c\n"}


def test_number_that_is_taken_is_passed_over(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """A file that somebody put there is not written to."""
    spool = open_spool(SpoolLimits(segment_bytes=1, reserve_bytes=0))
    _append(spool, b"a\n")
    segment_path(tmp_path / "h", 7).write_bytes(b"x\n")
    _append(spool, b"b\n")
    assert list(_files(tmp_path / "h")) == ["00000001.ndjson", "00000007.ndjson", "00000008.ndjson"]


def test_link_in_place_of_a_segment_is_not_followed(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """Records must not be led to another file."""
    spool = open_spool()
    _append(spool, b"a\n")
    os.close(spool._fd)
    (tmp_path / "elsewhere").write_bytes(b"a\n")
    segment_path(tmp_path / "h", 1).unlink()
    segment_path(tmp_path / "h", 1).symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(OSError, match=r"Bad file descriptor|symbolic links"):
            _append(spool, b"b\n")
    assert (tmp_path / "elsewhere").read_bytes() == b"a\n"


# --- room ---


def test_cap_refuses_what_would_exceed_it(open_spool: Callable[..., Spool]) -> None:
    """``on_full: deny``: exactly the cap still fits."""
    spool = open_spool(SpoolLimits(max_bytes=8, reserve_bytes=0))
    spool.prepare(1)
    assert spool.make_room(8) == []
    _append(spool, b"aaaa\n")
    assert spool.make_room(3) == []
    with pytest.raises(SpoolFullError, match="holds 5 of 8 bytes") as error:
        spool.make_room(4)
    assert error.value.errno == errno.ENOSPC


def test_oldest_is_dropped_for_room(open_spool: Callable[..., Spool], tmp_path: Path) -> None:
    """``on_full: drop_oldest``: as many as needed, oldest first, never the one that grows."""
    spool = open_spool(SpoolLimits(segment_bytes=1, max_bytes=12, reserve_bytes=0, on_full=OnFull.DROP_OLDEST))
    for data in (b"aa\n", b"bb\n", b"cc\n"):
        _append(spool, data)
    assert [segment.number for segment in spool.make_room(6)] == [1]
    assert [segment.number for segment in spool.make_room(9)] == [2]
    assert _files(tmp_path / "h") == {"00000003.ndjson": b"cc\n"}
    with pytest.raises(SpoolFullError):
        spool.make_room(10)


def test_disk_keeps_its_reserve(open_spool: Callable[..., Spool]) -> None:
    """More reserve than any disk has: nothing fits."""
    spool = open_spool(SpoolLimits(reserve_bytes=1 << 60))
    spool.prepare(1)
    with pytest.raises(SpoolFullError, match="less than its reserve"):
        spool.make_room(1)


# --- opening ---


def _chain(signer: CheckpointSigner, *, records: int, base: int = 1) -> tuple[bytes, Head]:
    first = signer.sign(Checkpoint(UnixMillis(0), "h", 0, genesis("h").hash, base, 10, 0, CheckpointCause.OPENED))
    linked, head = Linker("h").link([OpenRecord(b'{"v":1,"n":%d' % n) for n in range(records)], first.head_after)
    return first.line + b"".join(linked), head


def _found(folder: Path) -> tuple[Head, int, int, int, bool]:
    spool = Spool(folder, "h", _LIMITS)
    found = spool.open()
    spool.close()
    return found.head, found.base, found.unsigned, found.cut, found.is_damaged


def test_new_folder_begins_the_chain(tmp_path: Path) -> None:
    """Nothing there, nothing lost."""
    assert _found(tmp_path / "h") == (genesis("h"), 1, 0, 0, False)


@pytest.mark.parametrize("records", [0, 3])
def test_chain_goes_on_where_it_stood(records: int, tmp_path: Path, signer: CheckpointSigner) -> None:
    """After a checkpoint, and after records that none covers yet."""
    data, head = _chain(signer, records=records, base=1)
    (tmp_path / "h").mkdir()
    segment_path(tmp_path / "h", 4).write_bytes(data)
    assert _found(tmp_path / "h") == (head, 1, records, 0, False)


def test_torn_line_is_cut_at_every_offset(tmp_path: Path, signer: CheckpointSigner) -> None:
    """Nothing before it is touched, and the chain goes on after the last whole record."""
    whole, head = _chain(signer, records=2)
    torn, _ = _chain(signer, records=3)
    (tmp_path / "h").mkdir()
    path = segment_path(tmp_path / "h", 1)
    for size in range(len(whole), len(torn)):
        path.write_bytes(torn[:size])
        assert _found(tmp_path / "h") == (head, 1, 2, size - len(whole), False)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("tail", [b"\0" * 4096, b'{"v":1,\0\0\0\n', b"\0\n\0\n\0"], ids=["zeros", "line", "lines"])
def test_zeros_at_the_end_are_cut(tail: bytes, tmp_path: Path, signer: CheckpointSigner) -> None:
    """What a file system leaves after a loss of power is no line of ours."""
    whole, head = _chain(signer, records=2)
    (tmp_path / "h").mkdir()
    path = segment_path(tmp_path / "h", 1)
    path.write_bytes(whole + tail)
    assert _found(tmp_path / "h") == (head, 1, 2, len(tail), False)
    assert path.read_bytes() == whole


def test_whole_line_that_is_none_of_ours_stays(tmp_path: Path, signer: CheckpointSigner) -> None:
    """It may be a record that somebody changed: evidence. The chain goes on after the last one that can be read."""
    whole, head = _chain(signer, records=2)
    (tmp_path / "h").mkdir()
    path = segment_path(tmp_path / "h", 1)
    path.write_bytes(whole + b'{"v":1}\n')
    assert _found(tmp_path / "h") == (head, 1, 2, 0, True)
    assert path.read_bytes() == whole + b'{"v":1}\n'


def test_empty_segment_is_used(open_spool: Callable[..., Spool], tmp_path: Path, signer: CheckpointSigner) -> None:
    """A crash between making the file and writing to it; the chain stands in the one before."""
    whole, head = _chain(signer, records=2)
    (tmp_path / "h").mkdir()
    segment_path(tmp_path / "h", 1).write_bytes(whole)
    segment_path(tmp_path / "h", 2).touch()
    assert _found(tmp_path / "h") == (head, 1, 2, 0, False)
    spool = open_spool()
    assert spool.begins_segment
    assert [segment.first_seq for segment in spool.segments] == [1, 3]
    _append(spool, b"x\n")
    assert _files(tmp_path / "h")["00000002.ndjson"] == b"x\n"


def test_first_record_of_each_segment_is_known(tmp_path: Path, signer: CheckpointSigner) -> None:
    """From its opening checkpoint, from its first record, or not at all."""
    whole, _ = _chain(signer, records=2)
    (tmp_path / "h").mkdir()
    segment_path(tmp_path / "h", 1).write_bytes(b"rubbish\n")
    segment_path(tmp_path / "h", 2).write_bytes(whole)
    segment_path(tmp_path / "h", 3).write_bytes(whole[whole.find(b"\n") + 1 :])
    spool = Spool(tmp_path / "h", "h", _LIMITS)
    spool.open()
    assert [segment.first_seq for segment in spool.segments] == [None, 1, 1]
    spool.close()


def test_folder_that_cannot_be_made_is_an_error_that_holds_nothing(tmp_path: Path) -> None:
    """It can be tried again once the reason is gone."""
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "h", "h", _LIMITS)
    with pytest.raises(NotADirectoryError):
        spool.open()
    (tmp_path / "file").unlink()
    assert spool.open().head == genesis("h")
    spool.close()


def test_segment_that_cannot_be_read_is_an_error_that_holds_nothing(tmp_path: Path) -> None:
    """A folder in place of a segment; the lock is free again."""
    segment_path(tmp_path / "h", 1).mkdir(parents=True)
    spool = Spool(tmp_path / "h", "h", _LIMITS)
    with pytest.raises(IsADirectoryError):
        spool.open()
    segment_path(tmp_path / "h", 1).rmdir()
    assert spool.open().head == genesis("h")
    spool.close()
