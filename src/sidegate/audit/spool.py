"""The folder of segments that one sidecar writes (spec 5.6): files only, no loop, no chain.

Either all of a batch is in the segment or nothing of it: what a failed write left is cut off again. After any failure
the open file is not trusted; it is opened anew before the next write.
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from sidegate.audit.layout import (
    FILE_MODE,
    FOLDER_MODE,
    FolderLock,
    SegmentFile,
    list_segments,
    read_lines,
    segment_path,
    sync_folder,
)
from sidegate.core.model.value import value
from sidegate.core.trail.chain import Head, genesis, read_tail
from sidegate.core.trail.checkpoint import read_checkpoint
from sidegate.core.trail.durability import Durability, OnFull

MIB: Final = 1024 * 1024

_SEGMENTS_AT_CAP: Final = 4
"""A segment is at most this part of the cap: dropping or releasing one makes room without emptying the spool."""
_DISK_LOOK_BYTES: Final = 4 * MIB
"""So much is written before the free disk space is looked at again; a disk that fills faster fails the write itself."""


@value
class SpoolLimits:
    """How a spool is written, and how large it may become. Sizes in bytes.

    Attributes:
        segment_bytes: A segment that has reached it is closed and the next one begun.
        max_bytes: Cap of the folder.
        reserve_bytes: Of the disk, left free for everybody else.
        on_full: What happens at the cap.
        durability: ``host`` makes :meth:`Spool.append` wait for the disk.
    """

    segment_bytes: int = 16 * MIB
    max_bytes: int = 1024 * MIB
    reserve_bytes: int = 64 * MIB
    on_full: OnFull = OnFull.DENY
    durability: Durability = Durability.PROCESS

    @property
    def segment_cap(self) -> int:
        """The size at which a segment is closed."""
        return max(1, min(self.segment_bytes, self.max_bytes // _SEGMENTS_AT_CAP))


class SpoolFullError(OSError):
    """No room for another batch: at the cap, or the disk is down to its reserve."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ENOSPC, what)


class SpoolAlteredError(OSError):
    """Somebody else removed, cut or wrote to the segment being written."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ESTALE, what)


class Segment:
    """One file of the folder.

    Attributes:
        number: Its place, from 1.
        path: Where it is.
        size: Bytes of whole batches in it.
        first_seq: Of the first record that is or will be in it; None if its first line cannot be read.
    """

    __slots__ = ("first_seq", "number", "path", "size")

    def __init__(self, file: SegmentFile, size: int, first_seq: int | None) -> None:
        self.number = file.number
        self.path = file.path
        self.size = size
        self.first_seq = first_seq


@value
class Found:
    """What was in the folder when it was opened.

    Attributes:
        head: Where the chain stands.
        base: From the last checkpoint: the first record that should still be there.
        unsigned: Records after that checkpoint.
        cut: Bytes of a torn last line that were cut off.
        is_damaged: The last line, though whole, is none of ours; it stays, and writing goes on in a new segment.
    """

    head: Head
    base: int
    unsigned: int
    cut: int
    is_damaged: bool


class Spool:
    """The folder, held by this process.

    Args:
        folder: ``<audit.spool>/<sidecar>``; made if it is not there.
        sidecar: Whose records these are.
        limits: How large it may become.
    """

    __slots__ = (
        "_allowance",
        "_fd",
        "_is_failed",
        "_limits",
        "_lock",
        "_needs_segment",
        "_number",
        "folder",
        "segments",
        "sidecar",
        "total_bytes",
    )

    def __init__(self, folder: Path, sidecar: str, limits: SpoolLimits) -> None:
        self.folder = folder
        self.sidecar = sidecar
        self.segments: list[Segment] = []
        self.total_bytes = 0
        self._limits = limits
        self._lock = FolderLock(folder)
        self._fd = -1
        self._allowance = 0
        self._is_failed = False
        self._needs_segment = True
        self._number = 0

    # --- opening and closing ---

    def open(self) -> Found:
        """Take the folder, cut off a torn last line and read where the chain stands.

        Raises:
            ConfigError: Another process holds the folder.
            OSError: It cannot be made, read or written.
        """
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._lock.take()
        try:
            return self._take_stock()
        except OSError:
            self.close()
            raise

    def _take_stock(self) -> Found:
        self.segments = [
            Segment(file, file.path.stat().st_size, _read_first_seq(file.path)) for file in list_segments(self.folder)
        ]
        self._number = self.segments[-1].number if self.segments else 0
        cut = self._cut_torn_line(self.segments[-1]) if self.segments else 0
        self.total_bytes = sum(segment.size for segment in self.segments)
        head, base, signed_seq, is_damaged = self._read_end()
        self._needs_segment = is_damaged or not self.segments
        if not self._needs_segment:
            last = self.segments[-1]
            self._fd = _open_to_append(last.path)
            if last.size == 0:
                last.first_seq = head.seq + 1
        return Found(head, base, head.seq - signed_seq, cut, is_damaged)

    @staticmethod
    def _cut_torn_line(segment: Segment) -> int:
        data = segment.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        # After a loss of power a file may have its full length and end in blocks of zeros; no line of ours holds one.
        while whole and b"\0" in data[data.rfind(b"\n", 0, whole - 1) + 1 : whole]:
            whole = data.rfind(b"\n", 0, whole - 1) + 1
        if whole < len(data):
            fd = _open_to_append(segment.path)
            try:
                os.ftruncate(fd, whole)
                os.fsync(fd)
            finally:
                os.close(fd)
        segment.size = whole
        return len(data) - whole

    def _read_end(self) -> tuple[Head, int, int, bool]:
        """Read back from the last line to the last checkpoint: head, base, seq of the checkpoint, damage at the end."""
        head: Head | None = None
        is_damaged = False
        for segment in reversed(self.segments):
            for line in reversed(list(read_lines(segment.path))):
                signed = read_checkpoint(line)
                if signed is not None:
                    return head or signed.head_after, signed.checkpoint.base, signed.checkpoint.seq, is_damaged
                if head is not None:
                    continue
                tail = read_tail(line)
                if tail is None:
                    is_damaged = True
                else:
                    head = Head(tail.seq, tail.hash)
        return head or genesis(self.sidecar), 1, 0, is_damaged

    def close(self) -> None:
        """Let go of the folder. What was written stays."""
        self._replace_fd(-1)
        self._lock.release()

    # --- writing ---

    @property
    def begins_segment(self) -> bool:
        """Whether the next batch is the first of a segment; it has to begin with a checkpoint."""
        return self._needs_segment or self.segments[-1].size == 0

    def prepare(self, next_seq: int) -> None:
        """See to it that there is a segment to write to: the next one if the last is full, anew after a failure.

        Args:
            next_seq: Of the record that would come first in a new segment.

        Raises:
            OSError: There is none.
            ConfigError: The folder was removed, and another process has made and taken it since.
        """
        if self._is_failed:
            self._reopen()
        if self._needs_segment or self.segments[-1].size >= self._limits.segment_cap:
            self._begin_segment(next_seq)

    def _begin_segment(self, next_seq: int) -> None:
        self._needs_segment = True
        there = list_segments(self.folder)
        # A number is never used twice, also not after somebody removed the file: cursors name segments by it.
        number = max(self._number, there[-1].number if there else 0) + 1
        path = segment_path(self.folder, number)
        self._replace_fd(_open_to_append(path, os.O_CREAT | os.O_EXCL))
        if self._limits.durability is Durability.HOST:
            # Without it what is in the file is not on the disk yet either, and the event loop would wait for nothing.
            sync_folder(self.folder)
        self._number = number
        self.segments.append(Segment(SegmentFile(number, path), 0, next_seq))
        self._needs_segment = False

    def _reopen(self) -> None:
        """Open the last segment anew and cut off what a failed write left."""
        self._replace_fd(-1)
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._lock.take()
        there = {file.number for file in list_segments(self.folder)}
        self.segments = [segment for segment in self.segments if segment.number in there]
        self.total_bytes = sum(segment.size for segment in self.segments)
        if not self.segments:
            self._needs_segment = True
        if not self._needs_segment:
            last = self.segments[-1]
            self._fd = _open_to_append(last.path)
            if os.fstat(self._fd).st_size < last.size:
                self._needs_segment = True
            else:
                os.ftruncate(self._fd, last.size)
        self._is_failed = False

    def make_room(self, size: int) -> list[Segment]:
        """See to it that *size* more bytes fit under the cap and leave the disk its reserve.

        Returns:
            The segments that were dropped for it, oldest first; always none with ``on_full: deny``.

        Raises:
            SpoolFullError: They do not fit, and nothing may be dropped, or nothing is left to drop.
            OSError: The disk does not answer.
        """
        dropped: list[Segment] = []
        while (shortage := self._shortage(size)) is not None:
            # The last segment is never dropped: it holds where the chain stands.
            if self._limits.on_full is OnFull.DENY or len(self.segments) < 2:  # noqa: PLR2004
                raise SpoolFullError(shortage)
            dropped.append(self.segments[0])
            self.remove_oldest()
            self._allowance = 0
        return dropped

    def _shortage(self, size: int) -> str | None:
        if self.total_bytes + size > self._limits.max_bytes:
            return f"holds {self.total_bytes} of {self._limits.max_bytes} bytes"
        if self._allowance < size:
            disk = os.statvfs(self.folder)
            free = disk.f_bavail * disk.f_frsize - self._limits.reserve_bytes
            if free < size:
                return f"would leave the disk less than its reserve of {self._limits.reserve_bytes} bytes"
            self._allowance = max(size, min(free, _DISK_LOOK_BYTES))
        return None

    def append(self, data: bytes) -> None:
        """Write *data*, whole or not at all, and nothing else at the end of the segment.

        Raises:
            SpoolAlteredError: The segment is not as it was left; what is in it stays, a new one is begun next time.
            SpoolFullError: There was room for a part only.
            OSError: Not written, or with ``durability: host`` not known to be on the disk.
        """
        segment = self.segments[-1]
        try:
            status = os.fstat(self._fd)
            if status.st_nlink == 0 or status.st_size != segment.size:
                # A write to a removed file succeeds and is lost.
                self._needs_segment = True
                raise SpoolAlteredError(f"segment `{segment.path}` was changed by somebody else")
            written = os.write(self._fd, data)
            if written == len(data) and self._limits.durability is Durability.HOST:
                os.fdatasync(self._fd)
        except OSError:
            self._cut_back()
            raise
        if written != len(data):
            self._cut_back()
            raise SpoolFullError(f"took {written} of the {len(data)} bytes of a batch")
        segment.size += written
        self.total_bytes += written
        self._allowance -= written

    def _cut_back(self) -> None:
        """Cut off what stands behind the last whole batch, and trust the open file no longer."""
        self._is_failed = True
        if not self._needs_segment:
            # If it cannot be cut now it is before the next write; a crash until then leaves a torn batch at most,
            # of records nobody was told about.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.segments[-1].size)

    def sync(self) -> None:
        """Bring all that was written to the disk, whatever the durability.

        Raises:
            OSError: It may not be there.
        """
        os.fdatasync(self._fd)

    def remove_oldest(self) -> None:
        """Remove the oldest segment.

        Raises:
            OSError: It is still there.
        """
        segment = self.segments[0]
        segment.path.unlink(missing_ok=True)
        del self.segments[0]
        self.total_bytes -= segment.size

    def _replace_fd(self, fd: int) -> None:
        old, self._fd = self._fd, fd
        if old >= 0:
            # It may be bad already; whatever it is, it is not used again.
            with contextlib.suppress(OSError):
                os.close(old)


def _open_to_append(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, FILE_MODE)


def _read_first_seq(path: Path) -> int | None:
    line = next(read_lines(path), b"")
    signed = read_checkpoint(line)
    if signed is not None:
        return signed.checkpoint.seq + 1
    tail = read_tail(line)
    return None if tail is None else tail.seq
