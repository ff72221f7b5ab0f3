"""Where things are in a folder of Parquet files (spec 5.8).

::

    <root>/organization=acme/day=2026-12-01/<first id>_<last id>_<random>.parquet
    <root>/organization=-/…                            records without an organization, or with one of no valid name
    <root>/organization=acme/.lock                     held while files of the organization are added or removed
    <root>/_checkpoints/<sidecar>/2026-12-01.ndjson    kept for ever: what the chain is checked with
    <root>/_rejected/<digest>.ndjson                   what was delivered and is no record; nothing is thrown away
    <root>/_retention.json                             what is older was removed on purpose
    <root>/_staging/                                   files being made

The names of files say which ids can be in them (UUIDv7: in the order of time), so that a record that comes again is
looked for in few of them. Nothing else lists the files: what has its name is whole and on the disk.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import orjson

from sidegate.audit.layout import FILE_MODE, FOLDER_MODE, sync_folder
from sidegate.core.model.errors import IntegrityError, NamingError
from sidegate.core.model.target import parse_target
from sidegate.core.model.units import UnixMillis, parse_instant
from sidegate.core.model.value import value

ORGANIZATION: Final = "organization="
DAY: Final = "day="
NOBODY: Final = "-"
"""Stands for no organization; no organization can be called so."""
CHECKPOINTS: Final = "_checkpoints"
REJECTED: Final = "_rejected"
STAGING: Final = "_staging"
_RETENTION: Final = "_retention.json"
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FILE: Final = re.compile(r"([0-9a-f-]{36})_([0-9a-f-]{36})_[0-9a-f]{16}\.parquet")


@value
class LakeFile:
    """One Parquet file.

    Attributes:
        path: Where it is.
        first: The least id in it.
        last: The greatest.
    """

    path: Path
    first: str
    last: str


def is_lake(path: Path) -> bool:
    """Whether *path* is a folder of Parquet files as laid out here."""
    return path.is_dir() and ((path / CHECKPOINTS).is_dir() or any(path.glob(f"{ORGANIZATION}*")))


def organization_folder(root: Path, org: str | None) -> Path:
    """Return the folder of *org*, whatever it is called: what is no valid name shares one."""
    return root / f"{ORGANIZATION}{NOBODY if org is None or not _is_organization(org) else org}"


def _is_organization(name: str) -> bool:
    try:
        parse_target(name, "/")
    except NamingError:
        return False
    return True


def list_days(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the days of an organization's *folder*, oldest first, and where each is."""
    for entry in sorted(folder.glob(f"{DAY}*")):
        day = entry.name.removeprefix(DAY)
        if _DAY.fullmatch(day) is not None:
            yield day, entry


def list_files(folder: Path) -> list[LakeFile]:
    """List the files of one day, by name."""
    found = ((path, _FILE.fullmatch(path.name)) for path in sorted(folder.glob("*.parquet")))
    return [LakeFile(path, match[1], match[2]) for path, match in found if match is not None]


def list_chains(root: Path) -> dict[str, list[Path]]:
    """Return the files of checkpoints by sidecar, oldest first."""
    folder = root / CHECKPOINTS
    if not folder.is_dir():
        return {}
    return {entry.name: sorted(entry.glob("*.ndjson")) for entry in sorted(folder.iterdir()) if entry.is_dir()}


@contextmanager
def held(folder: Path, *, make: bool = True) -> Iterator[None]:
    """Hold *folder* against others who add to it or remove from it; waits for them.

    Raises:
        OSError: It cannot be held.
    """
    if make:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def put_file(path: Path, data: bytes) -> None:
    """Write *data* to *path*: whole and on the disk, or not at all.

    Raises:
        OSError: Not at all.
    """
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with open(fd, "wb") as file:  # noqa: PTH123  a descriptor with its own mode
        file.write(data)
        file.flush()
        os.fsync(fd)
    draft.replace(path)
    sync_folder(path.parent)


def read_retention(root: Path) -> UnixMillis | None:
    """Return the instant before which records were removed on purpose; None if none were.

    Raises:
        IntegrityError: What is written there cannot be read.
    """
    path = root / _RETENTION
    try:
        written: Any = orjson.loads(path.read_bytes())
        return parse_instant(written["kept_from"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(f"`{path}` cannot be read; restore it, or prune again") from None


def write_retention(root: Path, kept_from: date) -> None:
    """Note that records of before *kept_from* were removed. Never takes back what was noted before."""
    known = read_retention(root)
    text = f"{kept_from.isoformat()}T00:00:00.000Z"
    if known is None or known < parse_instant(text):
        put_file(root / _RETENTION, orjson.dumps({"v": 1, "kept_from": text}))
