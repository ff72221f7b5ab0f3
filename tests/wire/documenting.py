"""Writes the tables of attacks into docs/security/wire.md: ``python -m tests.wire.documenting``."""

import sys
from pathlib import Path
from typing import Final

from tests.wire import http2_attacks
from tests.wire.attacks import ATTACKS
from tests.wire.kinds import Kind

PAGE: Final = Path(__file__).parents[2] / "docs" / "security" / "wire.md"
BEGIN: Final = "<!-- written by python -m tests.wire.documenting -->\n"
END: Final = "<!-- end of what is written -->\n"
BEGIN_HTTP2: Final = "<!-- HTTP/2, written by python -m tests.wire.documenting -->\n"


def table() -> str:
    """Return the table, one row for each class."""
    rows = ["| attack class | origin | what Sidegate does | tests |\n|---|---|---|---|\n"]
    for kind in Kind:
        names = [attack.name for attack in ATTACKS if attack.kind is kind]
        tests = f"`tests/wire/attacks*.py`: {len(names)}, from `{names[0]}` to `{names[-1]}`"
        rows.append(f"| {kind.title} | {kind.origin} | {kind.measure} | {tests} |\n".replace("||", "|"))
    return "".join(rows)


def http2_table() -> str:
    """Return the table of attacks in HTTP/2."""
    rows = ["| attack class | origin | what Sidegate does | tests |\n|---|---|---|---|\n"]
    for kind in http2_attacks.Kind:
        names = [attack.name for attack in http2_attacks.ATTACKS if attack.kind is kind]
        tests = f"`tests/wire/http2_attacks.py`: {len(names)}, from `{names[0]}` to `{names[-1]}`"
        rows.append(f"| {kind.title} | {kind.origin} | {kind.measure} | {tests} |\n")
    return "".join(rows)


def main() -> int:
    """Write both."""
    page = PAGE.read_text()
    for begin, written in ((BEGIN, table()), (BEGIN_HTTP2, http2_table())):
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(END)
        page = before + begin + written + END + after
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
