"""Where things are in a spool, and who holds it.

::

    var/audit/checkpoint.key              signs chain heads (0600); checkpoint.pub beside it checks them
    var/audit/<sidecar>/lock              held by the one process that writes the folder
    var/audit/<sidecar>/00000001.ndjson   segments, the last one grows
    var/audit/<sidecar>/<sink>.cursor     how far a sink has acknowledged
"""

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.value import value
from sidegate.core.trail.chain import is_sidecar_name

SEGMENT_SUFFIX: Final = ".ndjson"
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_SEGMENT_NAME: Final = re.compile(r"([0-9]{8})\.ndjson")
_LOCK_NAME: Final = "lock"
_READ_BYTES: Final = 1024 * 1024


@value
class SegmentFile:
    """One segment on the disk.

    Attributes:
        number: Its place, from 1.
        path: Where it is.
    """

    number: int
    path: Path


def segment_path(folder: Path, number: int) -> Path:
    """Return where segment *number* of *folder* is, or would be."""
    return folder / f"{number:08d}{SEGMENT_SUFFIX}"


def list_segments(folder: Path) -> list[SegmentFile]:
    """List the segments in *folder* by number. A folder that is not there holds none.

    Raises:
        OSError: The folder cannot be read.
    """
    try:
        entries = list(folder.iterdir())
    except FileNotFoundError:
        return []
    return sorted(
        (SegmentFile(int(match[1]), entry) for entry in entries if (match := _SEGMENT_NAME.fullmatch(entry.name))),
        key=lambda segment: segment.number,
    )


def list_sidecars(root: Path) -> list[Path]:
    """List the folders in *root* that hold segments, by name. *root* may itself be such a folder.

    Raises:
        OSError: *root* cannot be read.
    """
    if list_segments(root):
        return [root]
    return sorted(
        entry for entry in root.iterdir() if is_sidecar_name(entry.name) and entry.is_dir() and list_segments(entry)
    )


def read_lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Read the lines of *path* from byte *offset* on, each with its line feed; the last one may lack it.

    Only a line feed ends a line: ``str.splitlines`` would also end one at characters that a record may hold.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb", buffering=_READ_BYTES) as file:
        file.seek(offset)
        yield from file


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines of *data* as :func:`read_lines` does."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def sync_folder(folder: Path) -> None:
    """Bring the names in *folder* to the disk: a new file is durable only with its name.

    Raises:
        OSError: They may not be there.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class FolderLock:
    """Keeps every other process from writing a folder. Gone with the process, however it ends."""

    __slots__ = ("_fd", "_folder")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1

    def take(self) -> None:
        """Take the folder; nothing if it is held already and the lock's file is still there.

        Raises:
            ConfigError: Another process holds it.
            OSError: The lock's file cannot be made.
        """
        if self._fd >= 0:
            if os.fstat(self._fd).st_nlink > 0:
                return
            # The folder was removed with the lock in it; a lock on a removed file keeps nobody out.
            self.release()
        fd = os.open(self._folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            problem = Problem(
                None,
                "audit.spool",
                f"`{self._folder}` is held by another running sidegate",
                "stop that one, or give each its own spool folder",
            )
            raise ConfigError((problem,)) from None
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Let others take the folder."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_held(folder: Path) -> bool:
    """Whether a running process writes *folder* now. Takes nothing, changes nothing.

    Raises:
        OSError: The lock's file is there but cannot be opened.
    """
    try:
        fd = os.open(folder / _LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared: two readers looking at the same moment do not take each other for the writer.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
