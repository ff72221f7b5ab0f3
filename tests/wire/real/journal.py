"""What an upstream writes down of each request, and how it is read back."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "WIRE_JOURNAL"
"""Environment variable that names the file."""


@dataclass(frozen=True)
class Entry:
    """One request as an upstream read it.

    Attributes:
        target: As it was sent.
        headers: Lower-case name to all values, in order.
    """

    method: str
    target: str
    headers: dict[str, list[str]]
    body: bytes

    @property
    def decision(self) -> str | None:
        """The decision that let it pass, None if it names none or several."""
        found = self.headers.get("x-sidegate-decision", [])
        return found[0] if len(found) == 1 else None


def write_entry(method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> None:
    """Write down one request, as one line."""
    line = json.dumps({"method": method, "target": target, "headers": headers, "body": body.hex()}) + "\n"
    with Path(os.environ[VARIABLE]).open("a") as journal:
        journal.write(line)


def answer_for(headers: Sequence[tuple[str, str]]) -> bytes:
    """Return what is answered: the decision that let the request pass."""
    found = [value for name, value in headers if name.lower() == "x-sidegate-decision"]
    return (found[0] if found else "none").encode("latin-1")


def read_journal(path: Path) -> list[Entry]:
    """Read all that was written down."""
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        entry = json.loads(line)
        headers: dict[str, list[str]] = {}
        for name, value in entry["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        entries.append(Entry(entry["method"], entry["target"], headers, bytes.fromhex(entry["body"])))
    return entries
