"""Reads records from a spool, one of its folders or segments, or the folder of a file sink."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidegate.audit.layout import list_segments, list_sidecars, read_lines
from sidegate.core.model.errors import ConfigError, IntegrityError, Problem
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.model.value import hot_value
from sidegate.core.trail.filter import RecordFilter, RecordMatcher
from sidegate.core.trail.finding import Place
from sidegate.core.trail.read import Members, read_members

_CLOCK_SLACK_MS: Final = 3_600_000
"""Clocks are set back at times; a segment is passed over only if it ended so long before what is asked for."""


@hot_value
class Entry:
    """One line.

    Attributes:
        place: Where it is.
        line: Its bytes, with the line feed.
        members: Read as JSON; of a version that is known.
    """

    place: Place
    line: bytes
    members: Members

    @property
    def time(self) -> str:
        """When, as text; texts are in the order of time."""
        return str(self.members.get("time", ""))


class TrailReader:
    """Reads what was there when it was asked; a line that is being written at the moment is left out.

    Args:
        source: A spool's folder, a sidecar's folder in it, a segment, or the folder of a file sink.

    Attributes:
        unreadable: Whole lines that were passed over because they are no records of a known version.

    Raises:
        ConfigError: *source* is not there or holds no segments.
    """

    def __init__(self, source: Path) -> None:
        self.unreadable = 0
        if source.is_file():
            self._chains = [[source]]
        elif source.is_dir():
            self._chains = [[file.path for file in list_segments(folder)] for folder in list_sidecars(source)]
        else:
            self._chains = []
        if not self._chains:
            problem = Problem(None, "audit.spool", f"`{source}` holds no segments", "name the folder they are in")
            raise ConfigError((problem,))

    def select(self, wanted: RecordFilter, *, newest_first: bool = False) -> Iterator[Entry]:
        """Return the lines that *wanted* asks for, in the order of time or against it.

        Streams: neither the spool nor the answer is held as a whole.
        """
        matcher = RecordMatcher(wanted)
        read = self.newest_first if newest_first else self.oldest_first
        return (entry for entry in read(wanted.since, matcher.needles) if matcher.matches(entry.members))

    def oldest_first(self, since: UnixMillis | None = None, contains: tuple[bytes, ...] = ()) -> Iterator[Entry]:
        """Read all sidecars together in the order of time.

        Args:
            since: Segments that ended well before it are passed over; single lines are not.
            contains: Lines without each of these are passed over unread.
        """
        return heapq.merge(
            *(self._read_chain(paths, since, contains, is_reversed=False) for paths in self._chains),
            key=lambda entry: entry.time,
        )

    def newest_first(self, since: UnixMillis | None = None, contains: tuple[bytes, ...] = ()) -> Iterator[Entry]:
        """Read all sidecars together against the order of time; as :meth:`oldest_first` otherwise."""
        return heapq.merge(
            *(self._read_chain(paths, since, contains, is_reversed=True) for paths in self._chains),
            key=lambda entry: entry.time,
            reverse=True,
        )

    def _read_chain(
        self, paths: list[Path], since: UnixMillis | None, contains: tuple[bytes, ...], *, is_reversed: bool
    ) -> Iterator[Entry]:
        wanted = paths[self._first_wanted(paths, since) :]
        for path in reversed(wanted) if is_reversed else wanted:
            try:
                lines: Iterator[tuple[int, bytes]] = enumerate(read_lines(path), 1)
                yield from self._read_segment(path, reversed(list(lines)) if is_reversed else lines, contains)
            except FileNotFoundError:
                continue  # released since it was listed; who wants such records reads where they were shipped to

    def _read_segment(
        self, path: Path, lines: Iterator[tuple[int, bytes]], contains: tuple[bytes, ...]
    ) -> Iterator[Entry]:
        for number, line in lines:
            if not line.endswith(b"\n") or not all(text in line for text in contains):
                continue
            try:
                members = read_members(line)
            except IntegrityError:
                self.unreadable += 1
                continue
            yield Entry(Place(str(path), number), line, members)

    @staticmethod
    def _first_wanted(paths: list[Path], since: UnixMillis | None) -> int:
        """Return the index of the first segment that may hold something of *since* or later."""
        if since is None:
            return 0
        limit = format_instant(UnixMillis(max(0, since - _CLOCK_SLACK_MS)))
        for index in range(len(paths) - 1, 0, -1):
            try:
                begun = read_members(next(read_lines(paths[index]), b"")).get("time")
            except (IntegrityError, FileNotFoundError):
                continue
            if isinstance(begun, str) and begun < limit:
                return index
        return 0


class TrailFollower:
    """Reads what is added to a spool, call by call.

    Args:
        source: A spool's folder, or the folder of one sidecar in it.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._read_to: dict[Path, tuple[int, int]] = {}
        self.unreadable = 0
        self.skip()

    def skip(self) -> None:
        """Pass over what is there by now."""
        self._read_to = {path: _whole_lines(path, size) for path, size in self._sizes().items()}

    def poll(self) -> list[Entry]:
        """Return what was added since the last call, sidecar by sidecar in its order, whole lines only."""
        entries = []
        sizes = self._sizes()
        for path in sizes:
            offset, number = self._read_to.get(path, (0, 0))
            if sizes[path] < offset:
                # A batch that could not be written whole was cut off again.
                offset, number = _whole_lines(path, sizes[path])
            try:
                for line in read_lines(path, offset):
                    if not line.endswith(b"\n"):
                        break
                    offset += len(line)
                    number += 1
                    try:
                        entries.append(Entry(Place(str(path), number), line, read_members(line)))
                    except IntegrityError:
                        self.unreadable += 1
            except FileNotFoundError:
                continue
            self._read_to[path] = offset, number
        self._read_to = {path: position for path, position in self._read_to.items() if path in sizes}
        return entries

    def close(self) -> None:
        """Nothing is held open between two calls."""

    def _sizes(self) -> dict[Path, int]:
        sizes: dict[Path, int] = {}
        if not self._source.is_dir():
            return sizes
        for folder in list_sidecars(self._source):
            for file in list_segments(folder):
                try:
                    sizes[file.path] = file.path.stat().st_size
                except FileNotFoundError:
                    continue  # released meanwhile
        return sizes


def _whole_lines(path: Path, size: int) -> tuple[int, int]:
    """Return where the last whole line within the first *size* bytes of *path* ends, and how many there are."""
    end, count = 0, 0
    try:
        for line in read_lines(path):
            if not line.endswith(b"\n") or end + len(line) > size:
                break
            end += len(line)
            count += 1
    except FileNotFoundError:
        return 0, 0
    return end, count
