"""Chains in a spool whose process is not started any more: fewer workers, or a name of before (spec 5.6)."""

from collections.abc import Collection, Iterable
from pathlib import Path

from sidegate.audit.layout import is_held, list_segments, list_sidecars
from sidegate.audit.shipper import cursor_path, read_cursor


def find_leftovers(root: Path, running: Collection[str], sinks: Iterable[str]) -> list[str]:
    """Return the sidecars in *root* that nobody writes for and that some sink does not have whole.

    Args:
        root: The spool's folder.
        running: Sidecars that are, or will be, written by running processes.
        sinks: Names of the sinks that everything has to reach.

    Raises:
        OSError: *root* cannot be read.
    """
    names = tuple(sinks)
    if not root.is_dir():
        return []
    return [
        folder.name
        for folder in list_sidecars(root)
        if folder.parent == root and folder.name not in running and not is_held(folder) and _is_unshipped(folder, names)
    ]


def _is_unshipped(folder: Path, sinks: Iterable[str]) -> bool:
    last = list_segments(folder)[-1]
    size = last.path.stat().st_size
    cursors = [read_cursor(cursor_path(folder, sink)) for sink in sinks]
    return any((cursor.segment, cursor.offset) < (last.number, size) for cursor in cursors)
