"""Records as one Parquet file (spec 5.8), which every other command reads again."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from sidegate.audit.duck import open_duck
from sidegate.audit.lake_writer import convert_rows, row_of, row_text
from sidegate.audit.reader import Entry
from sidegate.core.model.errors import IntegrityError


def export_parquet(entries: Iterable[Entry], out: Path) -> int:
    """Write *entries* to *out*, whole or not at all; return how many.

    Raises:
        IntegrityError: One of them fits no table.
        ConfigError: DuckDB is not installed.
        OSError: It cannot be written.
    """
    count = 0
    with TemporaryDirectory(prefix=".sidegate-", dir=out.parent) as folder:
        staged, made = Path(folder, "rows.ndjson"), Path(folder, "made.parquet")
        with staged.open("wb") as file:
            for entry in entries:
                file.write(row_text(row_of(entry.line)))
                count += 1
        with open_duck() as duck:
            is_made = convert_rows(duck, staged, made)
        if not is_made:
            raise IntegrityError("a record fits no table of Parquet; run `sidegate audit verify`, or export as jsonl")
        made.replace(out)
    return count
