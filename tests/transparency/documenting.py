"""Writes the tables of docs/transparency.md: ``python -m tests.transparency.documenting``."""

import sys
from pathlib import Path
from typing import Final

from tests.transparency.exchanges import EXCHANGES
from tests.transparency.rules import Difference

PAGE: Final = Path(__file__).parents[2] / "docs" / "transparency.md"
BEGIN: Final = "<!-- written by python -m tests.transparency.documenting -->\n"
END: Final = "<!-- end of what is written -->\n"


def table() -> str:
    """Return the list of differences, and how many exchanges there are of each kind."""
    rows = ["| what may differ | rule |\n|---|---|\n"]
    rows += [f"| {one.what} | {one.rule} |\n" for one in Difference]
    kinds: dict[str, int] = {}
    for exchange in EXCHANGES:
        kind = exchange.name.partition("-")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    counted = ", ".join(f"{count} `{kind}-*`" for kind, count in kinds.items())
    return "".join(rows) + f"\n{len(EXCHANGES)} exchanges: {counted}.\n"


def main() -> int:
    """Write it."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table() + END + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
