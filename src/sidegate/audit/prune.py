"""Removes old records by age, so that what is left can still be checked (spec 5.8: checkpoints stay).

From a folder of Parquet whole days go; from that of a file sink whole files. Never from a spool: that is released by
what was shipped.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from sidegate.audit.lake import ORGANIZATION, held, is_lake, list_days, list_files, write_retention
from sidegate.audit.layout import FILE_MODE, list_segments, list_sidecars, read_lines, sync_folder
from sidegate.core.model.errors import ConfigError, IntegrityError, Problem
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.model.value import value
from sidegate.core.trail.checkpoint import read_checkpoint
from sidegate.core.trail.read import read_members

KEPT_NAME: Final = "checkpoints.kept"
"""In a sidecar's folder of a file sink: the checkpoints of the files that were removed."""
_SPOOL_MARKS: Final = ("sidecar.id", "checkpoint.key")
_MILLIS: Final = 1000


@value
class Pruned:
    """What was removed, or would be.

    Attributes:
        kept_from: Everything from this instant on stays.
        files: How many files.
        size: How many bytes.
    """

    kept_from: UnixMillis
    files: int
    size: int


def prune(root: Path, before: UnixMillis, *, is_trial: bool = False) -> Pruned:
    """Remove what is older than the day of *before* from *root*; with *is_trial* only tell.

    Raises:
        ConfigError: *root* is a spool, or holds no records.
        OSError: Something cannot be removed.
    """
    day = datetime.fromtimestamp(before / _MILLIS, UTC).date()
    if is_lake(root):
        return _prune_lake(root, day, is_trial=is_trial)
    if any((root / mark).exists() for mark in _SPOOL_MARKS):
        what = f"`{root}` is a spool"
        raise ConfigError((Problem(None, "audit", what, "nothing is pruned there: what every sink has is released"),))
    folders = list_sidecars(root) if root.is_dir() else []
    if not folders:
        raise ConfigError((Problem(None, "audit", f"`{root}` holds no records", "name the folder they are in"),))
    return _prune_files(folders, day, is_trial=is_trial)


def _start_of(day: date) -> UnixMillis:
    return UnixMillis(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * _MILLIS)


def _prune_lake(root: Path, day: date, *, is_trial: bool) -> Pruned:
    files = size = 0
    if not is_trial:
        # First said, then done: a check that runs meanwhile, or after a crash, asks for less than is there.
        write_retention(root, day)
    for organization in sorted(root.glob(f"{ORGANIZATION}*")):
        with held(organization):
            for name, folder in list_days(organization):
                if name >= day.isoformat():
                    continue
                for file in list_files(folder):
                    files += 1
                    size += file.path.stat().st_size
                    if not is_trial:
                        file.path.unlink()
                if not is_trial:
                    # Whatever somebody else put there stays.
                    with contextlib.suppress(OSError):
                        folder.rmdir()
            sync_folder(organization)
    return Pruned(_start_of(day), files, size)


def _prune_files(folders: list[Path], day: date, *, is_trial: bool) -> Pruned:
    files = size = 0
    start = format_instant(_start_of(day))
    for folder in folders:
        for path in _older_files(folder, start):
            files += 1
            size += path.stat().st_size
            if not is_trial:
                _keep_checkpoints(folder, path)
                path.unlink()
        sync_folder(folder)
    return Pruned(_start_of(day), files, size)


def _older_files(folder: Path, start: str) -> Iterator[Path]:
    """Yield the files from the front whose successor begins before *start*; the last one always stays."""
    segments = list_segments(folder)
    for segment, following in pairwise(segments):
        first = next(read_lines(following.path), b"")
        try:
            begun = str(read_members(first).get("time"))
        except IntegrityError:
            return  # what cannot be read is evidence, and so is what comes before it
        if begun >= start:
            return
        yield segment.path


def _keep_checkpoints(folder: Path, path: Path) -> None:
    kept = folder / KEPT_NAME
    known = set(read_lines(kept)) if kept.exists() else set()
    lines = [line for line in read_lines(path) if read_checkpoint(line) is not None and line not in known]
    with kept.open("ab") as file:
        kept.chmod(FILE_MODE)
        file.write(b"".join(lines))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
