"""Writes the table of attacks into docs/security/wire.md: ``python -m tests.wire.documenting``."""

import sys
from pathlib import Path
from typing import Final

from tests.wire.attacks import ATTACKS
from tests.wire.kinds import Kind

PAGE: Final = Path(__file__).parents[2] / "docs" / "security" / "wire.md"
BEGIN: Final = "<!-- written by python -m tests.wire.documenting -->\n"
END: Final = "<!-- end of what is written -->\n"


def table() -> str:
    """Return the table, one row for each class."""
    rows = ["| attack class | origin | what Sidegate does | tests |\n|---|---|---|---|\n"]
    for kind in Kind:
        names = [attack.name for attack in ATTACKS if attack.kind is kind]
        tests = f"`tests/wire/attacks*.py`: {len(names)}, from `{names[0]}` to `{names[-1]}`"
        rows.append(f"| {kind.title} | {kind.origin} | {kind.measure} | {tests} |\n".replace("||", "|"))
    return "".join(rows)


def main() -> int:
    """Write it."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table() + END + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
