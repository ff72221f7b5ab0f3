"""Files of a branch: every write is a new version, and a reader sees the old bytes or the new, never a mixture."""

import os
import threading
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from examples.datastore.disk import Disk, branch_place, files_place, version_key
from examples.datastore.names import BranchRef
from examples.datastore.problems import RefusedError, conflict, missing

# 100 000 entries of about 200 bytes: 20 MB at most, then the numbers are read from the disk again.
MAX_CACHED_VERSIONS = 100_000


class OpenFile(NamedTuple):
    """A file opened for reading; who holds it closes ``handle``."""

    handle: int
    size: int
    etag: str
    version: int | None


class Written(NamedTuple):
    """What a write made."""

    version: int
    size: int
    etag: str
    created: bool


class Expectation(NamedTuple):
    """The client's If-Match and If-None-Match."""

    match: str | None = None
    none_match: str | None = None

    def require(self, etag: str | None) -> None:
        """Refuse unless the present *etag* (None: there is no such file) is as the client expects."""
        if self.match is not None and not lists_tag(self.match, etag):
            raise RefusedError(HTTPStatus.PRECONDITION_FAILED, "the file is not in the state named by If-Match")
        if self.none_match is not None and lists_tag(self.none_match, etag):
            raise RefusedError(HTTPStatus.PRECONDITION_FAILED, "the file is in the state ruled out by If-None-Match")


NO_EXPECTATION = Expectation()


def lists_tag(header: str, etag: str | None) -> bool:
    """Return whether a list of entity tags, or ``*``, names *etag*. Weak tags never do: ours are all strong."""
    if etag is None:
        return False
    return header.strip() == "*" or etag in (tag.strip() for tag in header.split(","))


def etag_of(status: os.stat_result, version: int | None) -> str:
    """Return the strong entity tag of a file; a written file is never modified in place."""
    return f'"{version or 0}-{status.st_mtime_ns:x}-{status.st_size:x}"'


class FileStore:
    """Reads and writes the files of all branches."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        # Merges commit from a worker thread; all else commits on the event loop. Held for one file at a time.
        self._lock = threading.Lock()
        self._latest: dict[tuple[BranchRef, str], int] = {}

    def open(self, ref: BranchRef, path: str, version: int | None = None) -> OpenFile:
        """Open the current or an older version of a file."""
        with self._lock:
            opened = self._open(ref, path) if version is None else self._open_version(ref, path, version)
        if opened is None:
            raise missing("there is no such file or version on this branch")
        return opened

    def open_plain(self, place: str) -> OpenFile:
        """Open a file that has no versions."""
        handle = self.disk.open(place)
        if handle is None:
            raise missing("there is no such file")
        return _opened(handle, None)

    def commit(self, ref: BranchRef, path: str, staged: Path, expected: Expectation = NO_EXPECTATION) -> Written:
        """Make *staged* the next version of a file."""
        with self._lock:
            before = self._require_writable(ref, path)
            expected.require(before)
            return self._link(ref, path, staged, before)

    def remove(self, ref: BranchRef, path: str, expected: Expectation = NO_EXPECTATION) -> None:
        """Remove a file; its versions stay readable by number."""
        place = files_place(ref)
        with self._lock:
            before = self._require_file(ref, path)
            expected.require(before)
            self.disk.path(f"{place}/{path}").unlink()
            self.disk.prune_parents(place, path)

    def remove_tree(self, ref: BranchRef, path: str) -> None:
        """Remove a file or a directory with all below it."""
        place = files_place(ref)
        with self.disk.staged() as grave, self._lock:
            target = self.disk.path(f"{place}/{path}")
            if not target.exists():
                raise missing("there is nothing at this path")
            target.rename(grave)
            self.disk.prune_parents(place, path)

    def move(self, ref: BranchRef, source: str, destination: str) -> Written:
        """Give a file another path; there it is a new version."""
        if source == destination:
            raise conflict("source and destination are the same path")
        place = files_place(ref)
        with self._lock, self.disk.staged() as staged:
            self._require_file(ref, source)
            before = self._require_writable(ref, destination)
            origin = self.disk.path(f"{place}/{source}")
            staged.hardlink_to(origin)
            written = self._link(ref, destination, staged, before)
            origin.unlink()
            self.disk.prune_parents(place, source)
            return written

    def versions(self, ref: BranchRef, path: str) -> list[dict[str, object]]:
        """List the versions of a file, oldest first."""
        directory = self.disk.path(_versions_place(ref, path))
        if not directory.is_dir():
            raise missing("this path has never held a file")
        numbers = sorted(int(entry.name) for entry in directory.iterdir())
        return [_describe(directory / str(number), number) for number in numbers]

    def remove_branch(self, ref: BranchRef) -> None:
        """Remove a branch with its files and all their versions."""
        # Under the lock, so that no write to the branch is half-way when its place goes.
        with self.disk.staged() as grave, self._lock:
            if not self.disk.is_directory(files_place(ref)):
                raise missing("there is no such branch")
            self.disk.path(branch_place(ref)).rename(grave)
            for key in [key for key in self._latest if key[0] == ref]:
                del self._latest[key]

    def _open(self, ref: BranchRef, path: str) -> OpenFile | None:
        handle = self.disk.open(f"{files_place(ref)}/{path}")
        return None if handle is None else _opened(handle, self._latest_version(ref, path))

    def _open_version(self, ref: BranchRef, path: str, version: int) -> OpenFile | None:
        handle = self.disk.open(f"{_versions_place(ref, path)}/{version}")
        return None if handle is None else _opened(handle, version)

    def _current_etag(self, ref: BranchRef, path: str) -> str | None:
        opened = self._open(ref, path)
        if opened is None:
            return None
        os.close(opened.handle)
        return opened.etag

    def _require_file(self, ref: BranchRef, path: str) -> str:
        etag = self._current_etag(ref, path)
        if etag is not None:
            return etag
        if self.disk.is_directory(f"{files_place(ref)}/{path}"):
            raise conflict("a directory is at this path; this operation is for single files")
        raise missing("there is no such file on this branch")

    def _require_writable(self, ref: BranchRef, path: str) -> str | None:
        etag = self._current_etag(ref, path)
        if etag is not None:
            return etag
        place = files_place(ref)
        if not self.disk.is_directory(place):
            raise missing("there is no such branch")
        if self.disk.is_directory(f"{place}/{path}"):
            raise conflict("a directory is at this path")
        return None

    def _link(self, ref: BranchRef, path: str, staged: Path, before: str | None) -> Written:
        place = files_place(ref)
        self.disk.make_parents(place, path)
        version = self._latest_version(ref, path) + 1
        kept = Path(f"{self.disk.root}/{_versions_place(ref, path)}/{version}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Version and current file are one inode under two names; a later write puts another inode in the second.
        kept.hardlink_to(staged)
        staged.replace(f"{self.disk.root}/{place}/{path}")
        # Renaming a link onto another link to the same inode is a no-op (POSIX rename); drop what is then left.
        staged.unlink(missing_ok=True)
        self._remember(ref, path, version)
        status = kept.stat()
        return Written(version, status.st_size, etag_of(status, version), before is None)

    def _latest_version(self, ref: BranchRef, path: str) -> int:
        known = self._latest.get((ref, path))
        if known is None:
            directory = Path(f"{self.disk.root}/{_versions_place(ref, path)}")
            known = max((int(entry.name) for entry in directory.iterdir()), default=0) if directory.is_dir() else 0
            self._remember(ref, path, known)
        return known

    def _remember(self, ref: BranchRef, path: str, version: int) -> None:
        if len(self._latest) >= MAX_CACHED_VERSIONS:
            self._latest.clear()
        self._latest[(ref, path)] = version


def _versions_place(ref: BranchRef, path: str) -> str:
    return f"{branch_place(ref)}/versions/{version_key(path)}"


def _opened(handle: int, version: int | None) -> OpenFile:
    status = os.fstat(handle)
    return OpenFile(handle, status.st_size, etag_of(status, version), version)


def _describe(location: Path, number: int) -> dict[str, object]:
    status = location.stat()
    return {"version": number, "size": status.st_size, "etag": etag_of(status, number)}
