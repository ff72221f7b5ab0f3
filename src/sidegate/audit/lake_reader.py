"""Reads records back from Parquet: a folder of them, or one file that was exported (spec 5.8)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sidegate.audit.duck import open_duck
from sidegate.audit.lake import (
    ORGANIZATION,
    list_chains,
    list_days,
    list_files,
    organization_folder,
)
from sidegate.audit.layout import read_lines
from sidegate.audit.reader import Entry
from sidegate.core.model.errors import ConfigError, IntegrityError, Problem
from sidegate.core.model.units import format_instant
from sidegate.core.model.value import value
from sidegate.core.trail.assemble import PlacedCheckpoint
from sidegate.core.trail.checkpoint import read_checkpoint
from sidegate.core.trail.filter import RecordFilter, RecordMatcher
from sidegate.core.trail.finding import Place
from sidegate.core.trail.flat import TEXT_COLUMNS
from sidegate.core.trail.read import read_members

_FETCH_ROWS: Final = 2000
_DAY_CHARS: Final = len("2026-12-01")
_TEXTS_IN_LINE: Final = {
    "actor_type": "$.actor.type",
    "account": "$.actor.account",
    "credential_kind": "$.credential.kind",
    "credential_id": "$.credential.id",
    "shadow_outcome": "$.shadow.outcome",
    "shadow_reason": "$.shadow.reason",
}
"""Where in the line a column comes from, if not from a member of its own name."""


@value
class ParquetRow:
    """One record of a chain.

    Attributes:
        seq: Its number.
        line: As it was spooled, with its line feed.
        place: File, and row in it from 1.
        is_faithful: Whether the columns that are searched say what the line says.
    """

    seq: int
    line: bytes
    place: Place
    is_faithful: bool


class LakeReader:
    """Reads what was there when it was asked.

    Args:
        source: A folder as :mod:`sidegate.audit.lake` has it, or one Parquet file.

    Attributes:
        unreadable: Rows that were passed over because their line is no record of a known version.

    Raises:
        ConfigError: *source* is not there.
    """

    def __init__(self, source: Path) -> None:
        self.unreadable = 0
        self._source = source
        if not source.exists():
            problem = Problem(None, "audit", f"`{source}` is not there", "name the folder, or the file, of Parquet")
            raise ConfigError((problem,))

    def select(self, wanted: RecordFilter, *, newest_first: bool = False) -> Iterator[Entry]:
        """Return the records that *wanted* asks for, in the order of time or against it.

        Raises:
            IntegrityError: A file is no Parquet, or lacks columns.
        """
        matcher = RecordMatcher(wanted)
        condition, values = _condition(wanted)
        order = "DESC" if newest_first else "ASC"
        query = (
            f"SELECT line, filename, file_row_number FROM read_parquet(?, filename = true, file_row_number = true)"  # noqa: S608
            f" WHERE {condition} ORDER BY time {order}, id {order}"
        )
        days = self._days(wanted)
        for day in sorted(days, reverse=newest_first):
            for text, file, row in _fetch(query, [days[day], *values]):
                try:
                    members = read_members(text.encode())
                except IntegrityError:
                    self.unreadable += 1
                    continue
                if matcher.matches(members):
                    yield Entry(Place(file, row + 1), f"{text}\n".encode(), members)

    # For who checks chains.

    def sidecars(self) -> list[str]:
        """Return the sidecars whose records or checkpoints are there."""
        found = set(list_chains(self._source))
        if files := self._all_files():
            query = "SELECT DISTINCT sidecar FROM read_parquet(?) WHERE sidecar IS NOT NULL"
            found |= {sidecar for (sidecar,) in _fetch(query, [files])}
        return sorted(found)

    def chain(self, sidecar: str, first_seq: int) -> Iterator[ParquetRow]:
        """Return the records of *sidecar* from number *first_seq* on, by number."""
        files = self._all_files()
        if not files:
            return
        query = (
            f"SELECT seq, line, filename, file_row_number, {_faithful()}"  # noqa: S608
            " FROM read_parquet(?, filename = true, file_row_number = true)"
            " WHERE sidecar = ? AND seq >= ? ORDER BY seq, time"
        )
        for seq, text, file, row, is_faithful in _fetch(query, [files, sidecar, first_seq]):
            yield ParquetRow(seq, f"{text}\n".encode(), Place(file, row + 1), bool(is_faithful))

    def checkpoints(self, sidecar: str) -> list[PlacedCheckpoint]:
        """Return the checkpoints of *sidecar*; a line that is none is passed over."""
        return [
            (signed, Place(str(path), number))
            for path in list_chains(self._source).get(sidecar, [])
            for number, line in enumerate(read_lines(path), 1)
            if (signed := read_checkpoint(line)) is not None
        ]

    # Within.

    def _days(self, wanted: RecordFilter) -> dict[str, list[str]]:
        """Return the files worth reading, by day."""
        if self._source.is_file():
            return {"": [str(self._source)]}
        since = "" if wanted.since is None else format_instant(wanted.since)[:_DAY_CHARS]
        until = "~" if wanted.until is None else format_instant(wanted.until)[:_DAY_CHARS]
        days: dict[str, list[str]] = {}
        for folder in self._organizations(wanted.org):
            for day, entry in list_days(folder):
                if since <= day <= until and (files := list_files(entry)):
                    days.setdefault(day, []).extend(str(file.path) for file in files)
        return days

    def _organizations(self, org: str | None) -> Sequence[Path]:
        if org is not None:
            return [organization_folder(self._source, org)]
        return sorted(self._source.glob(f"{ORGANIZATION}*"))

    def _all_files(self) -> list[str]:
        return [file for files in self._days(RecordFilter()).values() for file in files]


def _fetch(query: str, values: Sequence[object]) -> Iterator[tuple[Any, ...]]:
    with open_duck() as duck:
        from duckdb import Error, IOException  # noqa: PLC0415  an extra

        try:
            answer = duck.execute(query, values)
            while rows := answer.fetchmany(_FETCH_ROWS):
                yield from rows
        except IOException as error:
            raise OSError(f"reading Parquet: {error}") from error
        except Error as error:
            raise IntegrityError(f"Parquet cannot be read as audit records: {error}") from error


def _condition(wanted: RecordFilter) -> tuple[str, list[object]]:
    """Return what SQL can tell of *wanted*, and the values in it; the rest is told by the line."""
    terms: list[str] = ["list_contains(?, record)"]
    values: list[object] = [[kind.value for kind in wanted.kinds]]
    for term, asked in (
        ("time >= CAST(? AS TIMESTAMPTZ)", None if wanted.since is None else format_instant(wanted.since)),
        ("time < CAST(? AS TIMESTAMPTZ)", None if wanted.until is None else format_instant(wanted.until)),
        ("org = ?", wanted.org),
        ("authority = ?", wanted.authority),
        ("outcome = ?", wanted.outcome),
        ("reason = ?", wanted.reason),
        ("(shadow_outcome IS NOT NULL) = ?", wanted.is_divergent),
    ):
        if asked is not None:
            terms.append(term)
            values.append(str(asked) if isinstance(asked, str) else asked)
    if wanted.id is not None:
        terms.append("(id = ? OR decision_id = ?)")
        values += [wanted.id, wanted.id]
    if wanted.actor is not None:
        terms.append("(account = ? OR list_contains(chain, ?))")
        values += [wanted.actor, wanted.actor]
    return " AND ".join(terms), values


def _faithful() -> str:
    """Return the SQL that tells whether the columns of texts say what the line says."""
    terms = [
        f"\"{name}\" IS NOT DISTINCT FROM json_extract_string(line, '{_TEXTS_IN_LINE.get(name, f'$.{name}')}')"
        for name in TEXT_COLUMNS
        if name != "time"
    ]
    terms.append("time IS NOT DISTINCT FROM CAST(json_extract_string(line, '$.time') AS TIMESTAMPTZ)")
    return " AND ".join(terms)
