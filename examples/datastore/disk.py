"""Where things lie under the root, and the only code that turns a name into a place on the disk."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

import orjson

from examples.datastore.names import BranchRef
from examples.datastore.problems import RefusedError, conflict

# `@` cannot stand in the name of an organization, project or branch, so these never collide with one.
STAGING = "@tmp"
SHARES = "@shares"
SKILLS = "@skills"
SETTINGS = "@settings.json"

MAX_KEY_CHARS = 200
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def branch_place(ref: BranchRef) -> str:
    """Return where a branch lies, relative to the root."""
    return f"{ref.org}/{ref.project}/branches/{ref.branch}"


def files_place(ref: BranchRef) -> str:
    """Return where the current files of a branch lie."""
    return f"{ref.org}/{ref.project}/branches/{ref.branch}/files"


def version_key(path: str) -> str:
    """
    Return the one directory name under which the versions of *path* lie.

    A tree could not hold them: `a` and later `a/b` may both have been files. `~` is encoded, so that the digest of
    a long path meets no path spelled like it.
    """
    key = path.replace("%", "%25").replace("~", "%7E").replace("/", "%2F")
    if len(key.encode()) <= MAX_KEY_CHARS:
        return key
    return "~" + sha256(path.encode()).hexdigest()


class Disk:
    """The tree under one root. All places are relative to it and written with ``/``."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = str(root.resolve())
        (Path(self.root) / STAGING).mkdir(exist_ok=True)

    def path(self, place: str) -> Path:
        """Return a place as a path, after making sure that no symbolic link is on the way to it."""
        self.require_plain(place)
        return Path(f"{self.root}/{place}")

    def require_plain(self, place: str) -> None:
        """
        Refuse a place that is reached through a symbolic link.

        Links are refused even when they stay inside the root: the proxy decides by path, so a second name for a
        file would be a way round its decision.
        """
        where = self.root
        for part in place.split("/"):
            where = f"{where}/{part}"
            try:
                mode = os.lstat(where).st_mode
            except (FileNotFoundError, NotADirectoryError):
                return
            if stat.S_ISLNK(mode):
                raise RefusedError(HTTPStatus.FORBIDDEN, "the path goes through a symbolic link")

    def is_directory(self, place: str) -> bool:
        """Return whether a directory is at *place*."""
        self.require_plain(place)
        return Path(f"{self.root}/{place}").is_dir()

    def open(self, place: str) -> int | None:
        """Open a regular file for reading; None if there is none at *place*."""
        self.require_plain(place)
        try:
            handle = os.open(f"{self.root}/{place}", OPEN_FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return handle
        os.close(handle)
        return None

    def make_parents(self, place: str, path: str) -> None:
        """Make the directories above *path*, which is relative to *place*."""
        where = f"{self.root}/{place}"
        for part in path.split("/")[:-1]:
            where = f"{where}/{part}"
            try:
                os.mkdir(where)  # noqa: PTH102 - once per segment and write; Path costs more than the call
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(where).st_mode):
                    raise conflict("a file stands where the path needs a directory") from None

    def prune_parents(self, place: str, path: str) -> None:
        """Remove the directories above *path* that are empty now, up to *place*."""
        base = Path(f"{self.root}/{place}")
        for parent in (base / path).parents:
            if parent == base:
                return
            try:
                parent.rmdir()
            except OSError:
                return

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Lend a fresh place on the same disk; what is still there afterwards is removed."""
        place = Path(self.root) / STAGING / secrets.token_hex(12)
        try:
            yield place
        finally:
            with suppress(FileNotFoundError):
                if place.is_dir():
                    shutil.rmtree(place)
                else:
                    place.unlink()

    def read_json(self, place: str) -> dict[str, object] | None:
        """Read a small JSON object of the service's own; None if there is none."""
        handle = self.open(place)
        if handle is None:
            return None
        with os.fdopen(handle, "rb") as file:
            document: dict[str, object] = orjson.loads(file.read())
        return document

    def write_json(self, place: str, document: object) -> None:
        """Replace a small JSON object in one step."""
        with self.staged() as staged:
            dump_json(staged, document)
            staged.replace(self.path(place))


def dump_json(location: Path, document: object) -> None:
    """Write a JSON object of the service's own so that a person can read it."""
    location.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def walk_files(base: Path, below: str = "") -> Iterator[tuple[str, str]]:
    """
    Yield every regular file at or below a place, in order, as (path relative to *base*, location).

    What vanishes on the way is left out: writers go on while a tree is read.
    """
    start = base / below if below else base
    if start.is_symlink():
        return
    if below and start.is_file():
        yield below, str(start)
        return
    prefix = f"{below}/" if below else ""
    yield from _walk_directory(str(start), prefix)


def _walk_directory(directory: str, prefix: str) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk_directory(entry.path, f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield f"{prefix}{entry.name}", entry.path
