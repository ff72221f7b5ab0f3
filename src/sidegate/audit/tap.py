"""What is added to a spool, picked and bounded, for people who watch a running sidecar.

The spool is read, not the trail: the data path neither knows nor pays that somebody watches, and with several workers
all of them are seen.
"""

from pathlib import Path
from typing import Final

from sidegate.audit.layout import list_segments, list_sidecars, split_lines
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.value import value
from sidegate.core.trail.filter import RecordFilter, RecordMatcher
from sidegate.core.trail.read import read_members

MAX_LOOK_BYTES: Final = 4 * 1024 * 1024
"""Read at one look, of all sidecars together: what 100,000 requests per second write in 50 ms."""
MAX_READ_LINES: Final = 200
"""Read as JSON at one look, 3 to 5 us each: at five looks per second at most half a percent of a core."""


@value
class Catch:
    """What one look found.

    Attributes:
        lines: Records, as they are in the spool, each with its line feed; in the order of time.
        skipped: Records that were passed over without being asked about, because there were too many at once.
    """

    lines: tuple[bytes, ...]
    skipped: int


class SpoolTap:
    """Looks at what was added since the last look. Blocks on files: call it in a thread.

    Args:
        spool: The spool's folder; it may not be there yet.
        wanted: Which records.
    """

    __slots__ = ("_at", "_matcher", "_spool")

    def __init__(self, spool: Path, wanted: RecordFilter) -> None:
        self._spool = spool
        self._matcher = RecordMatcher(wanted)
        self._at = self._sizes()

    def look(self) -> Catch:
        """Return what was added and is asked for; at most :data:`MAX_READ_LINES` of it."""
        found: list[tuple[str, bytes]] = []
        skipped = 0
        read = 0
        left = MAX_LOOK_BYTES
        sizes = self._sizes()
        at = {path: min(self._at.get(path, 0), size) for path, size in sizes.items()}
        for path, size in sizes.items():
            added = _read_lines(path, at[path], min(left, size - at[path]))
            left -= len(added)
            at[path] += len(added)
            for line in split_lines(added):
                if not all(needle in line for needle in self._matcher.needles):
                    continue
                if read >= MAX_READ_LINES:
                    skipped += 1
                    continue
                read += 1
                time = self._time_if_wanted(line)
                if time is not None:
                    found.append((time, line))
        self._at = at
        # Each sidecar's lines stay in their order: the sort is stable, and its clock's.
        found.sort(key=lambda pair: pair[0])
        return Catch(tuple(line for _, line in found), skipped)

    def _time_if_wanted(self, line: bytes) -> str | None:
        try:
            members = read_members(line)
        except IntegrityError:
            return None  # the end of a line whose beginning was there before, or no record; see `audit verify`
        return str(members["time"]) if self._matcher.matches(members) else None

    def _sizes(self) -> dict[Path, int]:
        sizes: dict[Path, int] = {}
        if not self._spool.is_dir():
            return sizes
        for folder in list_sidecars(self._spool):
            for file in list_segments(folder):
                try:
                    sizes[file.path] = file.path.stat().st_size
                except FileNotFoundError:
                    continue  # shipped and released meanwhile
        return sizes


def _read_lines(path: Path, offset: int, size: int) -> bytes:
    """Return the whole lines among the *size* bytes from *offset* on."""
    if size <= 0:
        return b""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(size)
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]
