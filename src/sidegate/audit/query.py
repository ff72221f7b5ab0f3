"""Answers questions about records, wherever they are: spool, stream or Parquet (spec 5.8)."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from sidegate.audit.entries import is_stream
from sidegate.audit.lake import is_lake
from sidegate.audit.lake_reader import LakeReader
from sidegate.audit.reader import Entry, TrailFollower, TrailReader
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.trail.filter import RecordFilter
from sidegate.core.trail.read import completion_of, decision_of
from sidegate.core.trail.record import CompletionRecord, DecisionRecord, RecordKind


class Reader(Protocol):
    """Where records are read from: a spool, Parquet, the stream."""

    @property
    def unreadable(self) -> int:
        """Lines that were passed over because they are no records of a known version."""

    def select(self, wanted: RecordFilter, *, newest_first: bool = False) -> Iterator[Entry]:
        """Return the records that *wanted* asks for, in the order of time or against it."""


class Follower(Protocol):
    """Where records that are added are read from."""

    @property
    def unreadable(self) -> int:
        """Lines that were passed over."""

    def poll(self) -> list[Entry]:
        """Return what was added since the last call."""

    def close(self) -> None:
        """Let go of what is held open."""


def open_reader(source: str | Path) -> Reader:
    """Return what reads *source*: a spool or file sink's folder, a folder or file of Parquet, or a stream's address.

    Raises:
        ConfigError: There is no such thing there.
    """
    if isinstance(source, str) and is_stream(source):
        from sidegate.audit.stream import StreamReader  # noqa: PLC0415  20 ms that only who asks the stream pays

        return StreamReader(source)
    path = Path(source)
    if path.suffix == ".parquet" or is_lake(path):
        return LakeReader(path)
    return TrailReader(path)


def open_follower(source: str | Path) -> Follower:
    """Return what follows *source*; Parquet cannot be followed, as records come into it late.

    Raises:
        ConfigError: It is Parquet.
        DependencyError: Redis does not answer.
    """
    if isinstance(source, str) and is_stream(source):
        from sidegate.audit.stream import StreamFollower  # noqa: PLC0415  20 ms that only who asks the stream pays

        return StreamFollower(source)
    path = Path(source)
    if path.suffix == ".parquet" or is_lake(path):
        problem = Problem(None, "--follow", f"`{path}` is Parquet", "follow the spool, or the stream")
        raise ConfigError((problem,))
    return TrailFollower(path)


def select_entries(
    reader: Reader, wanted: RecordFilter, *, limit: int | None = None, newest_first: bool = False
) -> Iterator[Entry]:
    """Return the records that *wanted* asks for, at most *limit* of them, in the order of time or against it."""
    return islice(reader.select(wanted, newest_first=newest_first), limit)


def row_of(entry: Entry) -> DecisionRecord | CompletionRecord:
    """Read *entry* as what it is.

    Raises:
        IntegrityError: It cannot be read as such.
    """
    if entry.members.get("record") == RecordKind.COMPLETION:
        return completion_of(entry.members)
    return decision_of(entry.members)


def find_decision(source: Path, decision_id: str) -> DecisionRecord | None:
    """Return the decision *decision_id*, or None if it is not in *source*.

    Raises:
        ConfigError: *source* holds no segments.
        IntegrityError: Its record cannot be read.
    """
    entry = next(select_entries(open_reader(source), RecordFilter(id=decision_id), newest_first=True), None)
    return None if entry is None else decision_of(entry.members)
