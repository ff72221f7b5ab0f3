"""The event log as a file that the workers and commands of one machine share.

One folder holds ``journal`` and ``journal.lock``. Whoever appends holds an flock on the lock file; whoever follows
only reads. The lock is a file of its own because compaction puts another file in the journal's place.

Each line is checked. The first says which generation the file is and how many bytes after it compaction wrote: a
follower that had read all of the generation before goes on behind them.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sidegate.core.model.errors import Dependency, DependencyError, IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.credentials.events import Event, decode_event, encode_event, seal, unseal
from sidegate.credentials.ports import Durability
from sidegate.credentials.table import StateTable

JOURNAL: Final = "journal"
LOCK: Final = "journal.lock"
_NEXT: Final = "journal.next"

DEFAULT_PATIENCE: Final = Millis(200)
"""How long a worker waits for another's append, which takes microseconds, before it refuses. Its event loop stands
still for as long, so that a stopped process that holds the lock must not stop this one."""

COMPACT_ABOVE_BYTES: Final = 4 * 1024 * 1024
"""Smaller journals are read in some 50 ms and left alone."""
COMPACT_GROWTH: Final = 2
"""Compact when more was appended than this many times what compaction left."""

_FORMAT: Final = 1
_READ_BYTES: Final = 1024 * 1024
_LOCK_RETRY_S: Final = 0.001
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


@value
class _Header:
    generation: int
    base: int
    size: int


class JournalLog:
    """One follower of the journal in *folder*, made if it is not there.

    Args:
        folder: Belongs to Sidegate alone.
        patience: How long to wait for the lock.

    Raises:
        IntegrityError: The file there is not a journal.
        DependencyError: It cannot be opened.
    """

    __slots__ = ("_fd", "_folder", "_header", "_identity", "_lock_fd", "_offset", "_path", "_patience", "_unread")

    def __init__(self, folder: Path, patience: Millis = DEFAULT_PATIENCE) -> None:
        self._folder = folder
        self._path = folder / JOURNAL
        self._patience = patience
        self._fd = self._lock_fd = -1
        self._offset = 0
        self._unread: list[Event] = []
        try:
            with _told("opening the state journal"):
                folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
                self._lock_fd = _open(folder / LOCK, os.O_RDWR | os.O_CREAT)
            with self.exclusively(), _told("opening the state journal"):
                _begin(self._path)
            self._open_current()
        except BaseException:
            self.close()
            raise

    def read(self) -> list[Event]:
        """Return what was appended by anyone since the last call."""
        with _told("reading the state journal"):
            events = self._unread
            self._unread = []
            try:
                found = self._path.stat()
                if (found.st_dev, found.st_ino) != self._identity:
                    # Everything in the old file was written before it was replaced.
                    events.extend(self._read_new())
                    generation = self._header.generation
                    self._open_current()
                    if self._header.generation != generation + 1:
                        self._offset = self._header.size  # compaction was missed: read it all, it does no harm
                elif found.st_size == self._offset:
                    return events
                else:
                    self._require_growth(found.st_size)
                events.extend(self._read_new())
            except BaseException:
                self._unread = events
                raise
            return events

    @contextmanager
    def exclusively(self, patience: Millis | None = None) -> Iterator[None]:
        """Keep all other followers from appending while the context lasts."""
        _lock(self._lock_fd, self._patience if patience is None else patience)
        try:
            yield
        finally:
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    def append(self, events: Sequence[Event], durability: Durability) -> None:
        """Append *events*, all or none."""
        lines = b"".join(map(encode_event, events))
        # Again, in case the caller did not: behind the offset there is then nothing but what a crash tore off.
        self._unread = self.read()
        with _told("writing the state journal"):
            if os.fstat(self._fd).st_size != self._offset:
                os.ftruncate(self._fd, self._offset)
            try:
                _write_whole(self._fd, lines)
            except OSError:
                os.ftruncate(self._fd, self._offset)
                raise
            if durability is Durability.HOST:
                # Should this fail, the offset stays: the next read takes in what may be on the disk.
                os.fdatasync(self._fd)
        self._offset += len(lines)

    @property
    def generation(self) -> int:
        """How often the journal was compacted."""
        return self._header.generation

    def is_compaction_due(self) -> bool:
        """Whether so much was appended that :func:`compact_journal` is worth its while."""
        grown = self._offset - self._header.size - self._header.base
        return self._offset > COMPACT_ABOVE_BYTES and grown > COMPACT_GROWTH * self._header.base

    def close(self) -> None:
        """Let go of both files."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def _open_current(self) -> None:
        """Open the file that is there now and stand behind its compacted part, or at its first event."""
        with _told("opening the state journal"):
            fd = _open(self._path, os.O_RDWR | os.O_APPEND)
            try:
                self._header = _read_header(fd, self._path)
                found = os.fstat(fd)
            except BaseException:
                os.close(fd)
                raise
        first = self._fd < 0
        if not first:
            os.close(self._fd)
        self._fd = fd
        self._identity = (found.st_dev, found.st_ino)
        self._offset = self._header.size + (0 if first else self._header.base)

    def _require_growth(self, size: int) -> None:
        if size < self._offset:
            raise IntegrityError(
                f"the state journal {self._path} became shorter; restore it, or restart knowing that revocations "
                "and used-up keys are forgotten"
            )

    def _read_new(self) -> list[Event]:
        """Read whole lines from the offset on; what follows the last newline is not written yet, or torn."""
        held = b""
        while chunk := os.pread(self._fd, _READ_BYTES, self._offset + len(held)):
            held += chunk
        lines, newline, _ = held.rpartition(b"\n")
        events = [decode_event(line) for line in lines.split(b"\n")] if newline else []
        self._offset += len(lines) + len(newline)
        return events


def compact_journal(
    folder: Path, now: UnixMillis, generation: int | None = None, patience: Millis = DEFAULT_PATIENCE
) -> bool:
    """Replace the journal in *folder* by the shortest one that says the same, without what can no longer matter.

    Reads and writes the whole journal, holding the lock: to be called before the loop starts, or in a thread.

    Args:
        folder: Of the journal.
        now: Wall clock, for what can no longer matter.
        generation: Of the journal that was found too long; a later one is left alone. None for whichever is there.
        patience: How long to wait for the lock.

    Returns:
        Whether it was replaced; False when there is none, or when another worker has just done it.

    Raises:
        IntegrityError: It is not what was written; it stays as it is.
        DependencyError: It cannot be read or written, or others are writing; it stays as it is.
    """
    path = folder / JOURNAL
    if not path.exists():
        return False
    log = JournalLog(folder, patience)
    try:
        with log.exclusively(), _told("compacting the state journal"):
            table = StateTable()
            for event in log.read():
                table.apply(event)
            if generation not in {None, log.generation}:
                return False
            body = b"".join(map(encode_event, table.events(now)))
            _replace(folder, _write_header(log.generation + 1, len(body)) + body)
    finally:
        log.close()
    return True


def _begin(path: Path) -> None:
    """Make the journal if there is none. The lock is held."""
    if path.exists() and path.stat().st_size > 0:
        return
    _replace(path.parent, _write_header(0, 0))


def _replace(folder: Path, content: bytes) -> None:
    """Put a journal with *content* in place, so that after a crash there is either the old one or the new one."""
    following = folder / _NEXT
    fd = _open(following, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    following.replace(folder / JOURNAL)
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)


def _write_header(generation: int, base: int) -> bytes:
    return seal({"e": "journal", "format": _FORMAT, "generation": generation, "base": base})


def _read_header(fd: int, path: Path) -> _Header:
    line, newline, _ = os.pread(fd, 4096, 0).partition(b"\n")
    if not newline:
        raise IntegrityError(f"{path} is not a state journal; move it away, or name another folder")
    members = unseal(line)
    if members.get("e") != "journal" or members.get("format") != _FORMAT:
        raise IntegrityError(f"{path} is a state journal of another version; run the version that wrote it")
    return _Header(members["generation"], members["base"], len(line) + 1)


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, _FILE_MODE)


def _write_whole(fd: int, lines: bytes) -> None:
    written = os.write(fd, lines)
    if written != len(lines):
        raise OSError(f"only {written} of {len(lines)} bytes were written; free disk space")


def _lock(fd: int, patience: Millis) -> None:
    deadline = time.monotonic() + patience / 1000
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise DependencyError(
                    Dependency.STATE, f"waiting {patience} ms for another worker to finish writing", retry_after_s=1.0
                ) from None
            time.sleep(_LOCK_RETRY_S)
        else:
            return


@contextmanager
def _told(doing: str) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as error:
        raise DependencyError(Dependency.STATE, f"{doing}: {error}", retry_after_s=1.0) from error
