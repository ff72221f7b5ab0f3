"""Answers questions about the records of a spool (spec 5.8), as typed rows."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sidegate.audit.reader import Entry, TrailReader
from sidegate.core.trail.filter import RecordFilter, RecordMatcher
from sidegate.core.trail.read import completion_of, decision_of
from sidegate.core.trail.record import CompletionRecord, DecisionRecord, RecordKind


def select_entries(
    reader: TrailReader, wanted: RecordFilter, *, limit: int | None = None, newest_first: bool = False
) -> Iterator[Entry]:
    """Return the lines that *wanted* asks for, at most *limit* of them, in the order of time or against it.

    Streams: neither the spool nor the answer is held as a whole.
    """
    matcher = RecordMatcher(wanted)
    read = reader.newest_first if newest_first else reader.oldest_first
    found = (entry for entry in read(wanted.since, matcher.needles) if matcher.matches(entry.members))
    return islice(found, limit)


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
    entry = next(select_entries(TrailReader(source), RecordFilter(id=decision_id), newest_first=True), None)
    return None if entry is None else decision_of(entry.members)
