"""How a problem of a policy document is told."""

import difflib
from collections.abc import Collection
from enum import StrEnum
from typing import Final

from sidegate.core.model.value import value

MAX_NAMES_COMPARED: Final = 2_000
"""Looking for the nearest name costs some 10 µs per name; past this many there is no suggestion."""
MAX_COMPARISONS: Final = 20_000
"""By one speller, a fifth of a second: thousands of entries may name people who have left, and a policy is not in force
before all of them are looked at."""


class Severity(StrEnum):
    """Whether the document can be used nevertheless."""

    ERROR = "error"
    WARNING = "warning"


@value
class Finding:
    """One thing that is wrong.

    Attributes:
        severity: Whether it stops the document from being used.
        key: The entry, spelled like the keys of ``PolicyDocument.positions``.
        what: What is wrong.
        hint: What to do next, with the nearest known name where there is one.
    """

    severity: Severity
    key: str
    what: str
    hint: str


def error(key: str, what: str, hint: str) -> Finding:
    """Build a finding that stops the document."""
    return Finding(Severity.ERROR, key, what, hint)


def warning(key: str, what: str, hint: str) -> Finding:
    """Build a finding that does not."""
    return Finding(Severity.WARNING, key, what, hint)


class Speller:
    """Finds the nearest known names, as long as that is affordable.

    Args:
        comparisons: How many names may be compared in all.
    """

    __slots__ = ("_left",)

    def __init__(self, comparisons: int = MAX_COMPARISONS) -> None:
        self._left = comparisons

    def suggest(self, word: str, known: Collection[str], otherwise: str) -> str:
        """Return a hint that names the nearest of *known*, or *otherwise* when none is near."""
        if len(known) > min(MAX_NAMES_COMPARED, self._left):
            return otherwise
        self._left -= len(known)
        near = difflib.get_close_matches(word, sorted(known), n=1)
        return f"did you mean `{near[0]}`?" if near else otherwise
