"""What commands print: aligned text, a table on a terminal, or JSON; problems and progress on the error stream."""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, TextIO

import orjson

from sidegate.core.model.errors import Problem


class Format(StrEnum):
    """What ``-o`` takes."""

    TABLE = "table"
    JSON = "json"


class Colour(StrEnum):
    """What a word is shown in on a terminal; the SGR code."""

    GOOD = "32"
    BAD = "31"
    DOUBTFUL = "33"
    FAINT = "2"
    STRONG = "1"


_PERHAPS_HIDDEN: Final = re.compile(r"[^\n\x20-\x7e]")
_GAP: Final = "  "


def is_styled(stream: TextIO) -> bool:
    """Whether colours and boxes may go to *stream*: a terminal that can show them, and nobody said no.

    An empty ``NO_COLOR`` counts as not set (no-color.org).
    """
    # These two describe the terminal; they are no settings of Sidegate, which config.environment reads.
    environment = os.environ  # noqa: TID251
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return *text* with everything a terminal could obey, or show out of place, written as an escape.

    What is recorded came from clients: a name with an escape sequence or a right-to-left override in it must not
    rewrite the screen of whoever looks at it.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def coloured(text: str, colour: Colour) -> str:
    """Return *text* in *colour* if the output is a terminal that shows it."""
    return f"\033[{colour}m{text}\033[0m" if is_styled(sys.stdout) else text


def say(text: str = "") -> None:
    """Print one line, or several."""
    sys.stdout.write(f"{text}\n")


def complain(text: str) -> None:
    """Print one line on the error stream, after what was printed so far."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show_json(document: object) -> None:
    """Print *document* as JSON, indented: people read it too."""
    say(_harmless(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()))


def show_json_line(document: object) -> None:
    """Print *document* as one line of JSON."""
    say(_harmless(orjson.dumps(document).decode()))


def _harmless(text: str) -> str:
    """Write what a terminal could obey as the escapes of JSON, which mean the same to whoever reads it as JSON."""
    return _PERHAPS_HIDDEN.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def show_problems(problems: Iterable[Problem]) -> None:
    """Print *problems* on the error stream, one to a line, in the order of files and lines."""
    for problem in sorted(problems, key=by_place):
        complain(printable(str(problem)))


def by_place(problem: Problem) -> tuple[str, int, int]:
    """Return what problems are sorted by: files, then lines; those outside files come first."""
    position = problem.position
    return ("", 0, 0) if position is None else (position.file, position.line, position.column)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print *rows* under *columns*: in a box on a terminal, else aligned with blanks; *empty* if there are none."""
    if not rows:
        say(empty)
        return
    cells = [[printable(cell) for cell in row] for row in rows]
    if is_styled(sys.stdout):
        # rich costs 80 ms to import, which nobody who pipes, and no `--help`, should pay.
        from sidegate.cli.boxes import show_box  # noqa: PLC0415

        show_box(columns, cells)
        return
    for line in align([[column.upper() for column in columns], *cells]):
        say(line)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return *rows* as lines in which each column begins at the same place."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


class Progress:
    """Counts on the error stream while something takes long, if somebody watches.

    Args:
        doing: What is going on, e.g. ``deciding``.
        of: What is counted, e.g. ``lines``.
    """

    _EVERY: Final = 8192

    def __init__(self, doing: str, of: str) -> None:
        self._doing = doing
        self._of = of
        self._count = 0
        self._next = self._EVERY
        self._is_shown = is_styled(sys.stderr)

    def advance(self, by: int = 1) -> None:
        """Count *by* more."""
        self._count += by
        if self._is_shown and self._count >= self._next:
            self._next = self._count + self._EVERY
            sys.stderr.write(f"\r{self._doing} {self._count:,} {self._of}")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the count off the screen."""
        if self._is_shown and self._next > self._EVERY:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
