"""Adds lines to a folder of Parquet files: each record exactly once by its id, whatever is killed when (spec 5.8).

A record that comes again (an acknowledgement was lost, another process took over) is found by its id among the files
of its organization and day, and left out. While that is looked up and the new file gets its name, the organization is
held; so several processes may add to one folder, and what each adds is either there whole or not at all.
"""

import contextlib
import os
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from sidegate.audit.duck import open_duck
from sidegate.audit.lake import (
    CHECKPOINTS,
    DAY,
    REJECTED,
    STAGING,
    held,
    list_files,
    organization_folder,
    put_file,
)
from sidegate.audit.layout import FILE_MODE, FOLDER_MODE, sync_folder
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.model.value import value
from sidegate.core.trail.checkpoint import SignedCheckpoint, read_checkpoint
from sidegate.core.trail.flat import LIST_COLUMNS, NUMBER_COLUMNS, TEXT_COLUMNS, flatten
from sidegate.core.trail.read import read_members
from sidegate.telemetry.log import get_log

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_log: Final = get_log("audit")

Row = dict[str, Any]

COLUMNS: Final[dict[str, str]] = {
    **dict.fromkeys(TEXT_COLUMNS, "VARCHAR"),
    **dict.fromkeys(NUMBER_COLUMNS, "BIGINT"),
    **dict.fromkeys(LIST_COLUMNS, "VARCHAR[]"),
    "line": "VARCHAR",
}
"""What is read from the staged rows; ``line`` is the record as it was spooled, so that its chain can be checked."""

_NANOS_PER_MILLI: Final = 1_000_000
_DAY_CHARS: Final = len("2026-12-01")


@value
class Stored:
    """What became of the lines.

    Attributes:
        records: Added.
        repeated: Left out, as they were there.
        checkpoints: Lines that are checkpoints, there before or not.
        rejected: Put aside, as they are no records.
    """

    records: int
    repeated: int
    checkpoints: int
    rejected: int


class Lake:
    """The folder.

    Args:
        root: Made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def store(self, lines: Iterable[bytes]) -> Stored:
        """Add *lines*; when it returns they are on the disk. Not to be called by two threads of one object.

        Raises:
            OSError: Some may not be there. To be called again with the same lines.
            ConfigError: DuckDB is not installed.
        """
        partitions: dict[tuple[Path, str], dict[str, Row]] = defaultdict(dict)
        signed: dict[tuple[str, str], list[SignedCheckpoint]] = defaultdict(list)
        rejected: list[bytes] = []
        records = checkpoints = 0
        for line in lines:
            checkpoint = read_checkpoint(line)
            if checkpoint is not None:
                checkpoints += 1
                day = format_instant(checkpoint.checkpoint.time)[:_DAY_CHARS]
                signed[checkpoint.checkpoint.sidecar, day].append(checkpoint)
                continue
            try:
                row = row_of(line)
            except IntegrityError:
                rejected.append(line)
                continue
            records += 1
            partitions[organization_folder(self._root, row["org"]), row["time"][:_DAY_CHARS]].setdefault(row["id"], row)
        added = 0
        if partitions:
            with open_duck() as duck:
                for (folder, day), rows in partitions.items():
                    with held(folder):
                        added += self._add(duck, folder / f"{DAY}{day}", rows, rejected)
        for (sidecar, day), group in signed.items():
            self._keep_checkpoints(sidecar, day, group)
        if rejected:
            self._put_aside(rejected)
        return Stored(added, records - added, checkpoints, len(rejected))

    def clear_staging(self, before: UnixMillis) -> None:
        """Remove what processes that were killed left half made, last written to before *before*."""
        for path in (self._root / STAGING).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns // _NANOS_PER_MILLI < before:
                    path.unlink()

    # Records.

    def _add(self, duck: "DuckDBPyConnection", folder: Path, rows: dict[str, Row], rejected: list[bytes]) -> int:
        first, last = min(rows), max(rows)
        others = [str(file.path) for file in list_files(folder) if file.first <= last and first <= file.last]
        if others:
            duck.execute("SELECT id FROM read_parquet(?) WHERE id BETWEEN ? AND ?", [others, first, last])
            for (known,) in duck.fetchall():
                rows.pop(known, None)
        ordered = [rows[record_id] for record_id in sorted(rows)]
        return self._write(duck, folder, ordered, rejected) if ordered else 0

    def _write(self, duck: "DuckDBPyConnection", folder: Path, rows: Sequence[Row], rejected: list[bytes]) -> int:
        staging = self._root / STAGING
        staging.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        staged, made = staging / f"{name}.ndjson", staging / f"{name}.tmp"
        try:
            staged.write_bytes(b"".join(map(row_text, rows)))
            if not convert_rows(duck, staged, made):
                return self._write_halves(duck, folder, rows, rejected)
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            _sync(made)
            made.replace(folder / f"{rows[0]['id']}_{rows[-1]['id']}_{name}.parquet")
            sync_folder(folder)
            sync_folder(folder.parent)
        finally:
            staged.unlink(missing_ok=True)
            made.unlink(missing_ok=True)
        return len(rows)

    def _write_halves(
        self, duck: "DuckDBPyConnection", folder: Path, rows: Sequence[Row], rejected: list[bytes]
    ) -> int:
        """Find the row that no column takes; the others must not wait for it."""
        if len(rows) == 1:
            rejected.append(f"{rows[0]['line']}\n".encode())
            return 0
        middle = len(rows) // 2
        first = self._write(duck, folder, rows[:middle], rejected)
        return first + self._write(duck, folder, rows[middle:], rejected)

    # What is no record.

    def _keep_checkpoints(self, sidecar: str, day: str, group: Sequence[SignedCheckpoint]) -> None:
        folder = self._root / CHECKPOINTS / sidecar
        with held(folder):
            path = folder / f"{day}.ndjson"
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            with open(fd, "r+b") as file:  # noqa: PTH123  a descriptor with its own mode
                data = file.read()
                whole = data.rfind(b"\n") + 1
                file.truncate(whole)  # what was being written when the machine stopped
                known = set(data[:whole].splitlines(keepends=True))
                file.write(b"".join(dict.fromkeys(one.line for one in group if one.line not in known)))
                file.flush()
                os.fsync(fd)
            sync_folder(folder)

    def _put_aside(self, rejected: list[bytes]) -> None:
        data = b"".join(rejected)
        path = self._root / REJECTED / f"{sha256(data).hexdigest()}.ndjson"
        put_file(path, data)
        _log.error(
            "records_rejected", lines=len(rejected), file=str(path), hint="they are no records that this version reads"
        )


def row_text(row: Row) -> bytes:
    """Return *row* as a line that :func:`convert_rows` reads."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def row_of(line: bytes) -> Row:
    """Return the record in *line* as a row.

    Raises:
        IntegrityError: It is none.
    """
    return {**flatten(read_members(line)), "line": line.decode().removesuffix("\n")}


def convert_rows(duck: "DuckDBPyConnection", staged: Path, made: Path) -> bool:
    """Write the rows in *staged* to the Parquet file *made*; False if a row does not fit its columns.

    Raises:
        OSError: It cannot be written.
    """
    from duckdb import Error, IOException  # noqa: PLC0415  an extra

    wanted = ", ".join("CAST(time AS TIMESTAMPTZ) AS time" if name == "time" else f'"{name}"' for name in COLUMNS)
    query = (
        f"COPY (SELECT {wanted} FROM read_json(?, format = 'newline_delimited', columns = {COLUMNS!r}))"  # noqa: S608
        " TO ? (FORMAT parquet, COMPRESSION zstd)"
    )
    try:
        duck.execute(query, [str(staged), str(made)])
    except IOException as error:
        raise OSError(f"writing Parquet to `{made.parent}`: {error}") from error
    except Error:
        return False
    return True


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.closing(os.fdopen(fd, "rb")):
        os.fsync(fd)
