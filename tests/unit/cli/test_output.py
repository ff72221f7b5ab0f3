"""What commands print, on a terminal and elsewhere."""

import io
import json
import sys
from collections.abc import Callable
from typing import TextIO

import pytest

from sidegate.cli.output import (
    Colour,
    Progress,
    align,
    coloured,
    complain,
    is_styled,
    printable,
    show_json,
    show_json_line,
    show_problems,
    show_table,
)
from sidegate.core.model.errors import Position, Problem


class _Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def attach(monkeypatch: pytest.MonkeyPatch) -> Callable[[], _Terminal]:
    """Make both streams one terminal, 100 columns wide. To be called in the test: a fixture's streams are not its."""

    def make() -> _Terminal:
        stream = _Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", "100")
        return stream

    return make


@pytest.mark.parametrize(
    ("stream", "variables", "expected"),
    [
        pytest.param(_Terminal(), {}, True, id="terminal"),
        pytest.param(io.StringIO(), {}, False, id="pipe"),
        pytest.param(_Terminal(), {"NO_COLOR": "1"}, False, id="no-color"),
        pytest.param(_Terminal(), {"NO_COLOR": ""}, True, id="empty-no-color-is-not-set"),
        pytest.param(_Terminal(), {"TERM": "dumb"}, False, id="dumb"),
    ],
)
def test_where_boxes_and_colours_go(
    monkeypatch: pytest.MonkeyPatch, stream: TextIO, variables: dict[str, str], expected: bool
) -> None:
    """To a terminal that can show them, unless NO_COLOR says no."""
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert is_styled(stream) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("p1@main:a b/ä.json", "p1@main:a b/ä.json", id="plain"),
        pytest.param("\x1b[2J", "\\x1b[2J", id="escape"),
        pytest.param("a\u202eb", "a\\u202eb", id="right-to-left-override"),
        pytest.param("a\nb\r", "a\\nb\\r", id="lines"),
        pytest.param("\x9b31m", "\\x9b31m", id="c1-control"),
        pytest.param("\ud800", "\\ud800", id="surrogate"),
        pytest.param("\U000e0001", "\\U000e0001", id="tag"),
    ],
)
def test_nothing_printed_is_obeyed(text: str, expected: str) -> None:
    """Whatever a terminal would obey, or show out of place, is written as an escape."""
    assert printable(text) == expected


def test_a_table_that_is_piped(capsys: pytest.CaptureFixture[str]) -> None:
    """Aligned with blanks, names in capitals, nothing behind the last cell; cells made printable."""
    show_table(("id", "what"), [["a", "x"], ["long", "\x1b[1m"]], empty="none")
    show_table(("id",), [], empty="none")
    assert capsys.readouterr().out == "ID    WHAT\na     x\nlong  \\x1b[1m\nnone\n"


def test_a_table_on_a_terminal(attach: Callable[[], _Terminal]) -> None:
    """In a box; square brackets in a cell are no markup."""
    terminal = attach()
    show_table(("id", "what"), [["a", "[red]x[/red]"]], empty="none")
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0][0] == "╭"
    assert "│ a  │ [red]x[/red] │" in lines[3]


def test_colours(attach: Callable[[], _Terminal]) -> None:
    """A coloured word ends in the plain colour."""
    terminal = attach()
    assert terminal.isatty()
    assert coloured("allow", Colour.GOOD) == "\033[32mallow\033[0m"


def test_no_colours_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing shows colours, there are none."""
    assert capsys is not None
    assert coloured("allow", Colour.GOOD) == "allow"


def test_lines_are_aligned() -> None:
    """Each column begins at one place."""
    assert align([["a", "bb", "c"], ["aaa", "b", ""]]) == ["a    bb  c", "aaa  b"]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A document is indented; a line is one line."""
    show_json({"a": [1]})
    show_json_line({"a": [1]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n{"a":[1]}\n'


def test_problems_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """By file and line; what stands in no file comes first."""
    one = Problem(Position("b.yaml", 1, 1), "x", "is 1", "write 2")
    two = Problem(Position("a.yaml", 10, 1), "x", "is 1", "write 2")
    three = Problem(Position("a.yaml", 9, 5), "x", "is 1", "write 2")
    show_problems([one, two, three, Problem(None, "x", "is 1", "write 2")])
    assert capsys.readouterr().err.splitlines() == [
        "`x` is 1; write 2",
        "a.yaml:9:5: `x` is 1; write 2",
        "a.yaml:10:1: `x` is 1; write 2",
        "b.yaml:1:1: `x` is 1; write 2",
    ]


def test_complaints_come_after_what_was_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """They go to the error stream."""
    complain("x")
    assert capsys.readouterr() == ("", "x\n")


def test_progress_on_a_terminal(attach: Callable[[], _Terminal]) -> None:
    """A count in one line, now and then, taken away at the end."""
    terminal = attach()
    progress = Progress("deciding", "lines")
    progress.advance(8191)
    assert terminal.getvalue() == ""
    progress.advance()
    progress.advance(5)
    progress.end()
    assert terminal.getvalue() == "\rdeciding 8,192 lines\r\033[K"


def test_progress_that_is_short(attach: Callable[[], _Terminal]) -> None:
    """What is over at once shows nothing."""
    terminal = attach()
    progress = Progress("deciding", "lines")
    progress.advance(10)
    progress.end()
    assert terminal.getvalue() == ""


def test_progress_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody watches, nothing is shown."""
    progress = Progress("deciding", "lines")
    progress.advance(100_000)
    progress.end()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\x9b31m", id="control-sequence-of-one-character"),
        pytest.param("a\u202eb", id="right-to-left"),
        pytest.param("\U000e0001", id="tag-beyond-the-first-plane"),
        pytest.param("Žluťoučký", id="letters"),
    ],
)
def test_json_holds_nothing_that_a_terminal_obeys(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is written as JSON's escapes, so that whoever reads it as JSON gets what was there."""
    show_json({"text": text})
    show_json_line([text])
    printed = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in printed)
    first, line = printed.rsplit("\n", 2)[0:2]
    assert (json.loads(first), json.loads(line)) == ({"text": text}, [text])
