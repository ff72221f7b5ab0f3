"""A cache file: replaced as a whole, grown at its end, or said to be still current. For a thread, not for a loop."""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.local_cache.sealed import LINE_BYTES, CacheLabel, Kept, Seal, frame, open_sealed

_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_WRITABLE_BY_OTHERS: Final = 0o002
_PART: Final = ".new"
_AT_ONCE: Final = 1 << 20


class CacheFile:
    """One cache on disk, written by one process.

    Every method may block; call it in a thread, one call at a time.

    Args:
        path: Its name. The folder is made when it is first written.
        label: What it is of.
        max_bytes: How long it may get.
    """

    def __init__(self, path: Path, label: CacheLabel, max_bytes: int) -> None:
        self.path = path
        self._label = label
        self._max_bytes = max_bytes
        self._fd: int | None = None
        self._seal = Seal(label)

    @property
    def size(self) -> int:
        """Bytes of the file as this object wrote it; 0 before the first time."""
        return 0 if self._fd is None else LINE_BYTES + self._seal.length

    def read(self, now: UnixMillis, max_age: Millis) -> Kept | None:
        """Read what an earlier process left; None for nothing.

        Raises:
            IntegrityError: It cannot be used; says why (:func:`~sidegate.local_cache.sealed.open_sealed`), or that
                somebody else may have written it.
            OSError: It cannot be read.
        """
        content = self._content()
        return None if content is None else open_sealed(self._label, content, now, max_age)

    def replace(self, entries: Iterable[bytes], at: UnixMillis) -> bool:
        """Put *entries* there instead of whatever there is, all of it or nothing.

        Returns:
            Whether everything had room; what had none was left out, from the first entry that was too much on.

        Raises:
            OSError: It cannot be written; what was there before is still there.
        """
        self.path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        part = self.path.with_name(self.path.name + _PART)
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        try:
            seal = Seal(self._label)
            is_whole = self._write_all(fd, seal, entries)
            _pwrite(fd, seal.line(at), 0)
            # Before the name leads to it: a machine that crashes must not find a name with nothing behind it.
            os.fdatasync(fd)
            part.rename(self.path)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        self.close()
        self._fd, self._seal = fd, seal
        return is_whole

    def append(self, entry: bytes, at: UnixMillis) -> bool:
        """Add *entry*; what is there with it was current at *at*.

        Returns:
            False if there is no room, or nothing to add to: :meth:`replace` it then.

        Raises:
            OSError: It cannot be written; what was there before is still there.
        """
        framed = frame(entry)
        if self._fd is None or self._is_gone(self._fd) or self.size + len(framed) > self._max_bytes:
            return False
        _pwrite(self._fd, framed, self.size)
        self._seal.add(framed)
        _pwrite(self._fd, self._seal.line(at), 0)
        return True

    def touch(self, at: UnixMillis) -> bool:
        """Note that what is there was still current at *at*.

        Returns:
            False if there is nothing to note it on: :meth:`replace` it then.

        Raises:
            OSError: It cannot be written.
        """
        if self._fd is None or self._is_gone(self._fd):
            return False
        _pwrite(self._fd, self._seal.line(at), 0)
        return True

    def close(self) -> None:
        """Let go of the file; it stays where it is."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _write_all(self, fd: int, seal: Seal, entries: Iterable[bytes]) -> bool:
        """Write what has room; returns whether all had."""
        pending = bytearray()
        is_whole = True
        for entry in entries:
            framed = frame(entry)
            if LINE_BYTES + seal.length + len(framed) > self._max_bytes:
                is_whole = False
                break
            pending += framed
            seal.add(framed)
            if len(pending) >= _AT_ONCE:
                _pwrite(fd, pending, LINE_BYTES + seal.length - len(pending))
                pending.clear()
        _pwrite(fd, pending, LINE_BYTES + seal.length - len(pending))
        return is_whole

    def _content(self) -> bytes | None:
        try:
            # A pipe under this name must not hold up the start.
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _WRITABLE_BY_OTHERS:
                raise IntegrityError("it is not a file that only this user can have written")
            if found.st_size > self._max_bytes:
                raise IntegrityError(f"it has {found.st_size} bytes, allowed are {self._max_bytes}")
            return _pread(fd, found.st_size)
        finally:
            os.close(fd)

    @staticmethod
    def _is_gone(fd: int) -> bool:
        """Whether somebody removed the file, or put another one in its place."""
        return os.fstat(fd).st_nlink == 0


def _pwrite(fd: int, content: bytes | bytearray, place: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(fd, view, place)
        place += written
        view = view[written:]


def _pread(fd: int, size: int) -> bytes:
    content = bytearray()
    while len(content) < size and (more := os.pread(fd, size - len(content), len(content))):
        content += more
    return bytes(content)
