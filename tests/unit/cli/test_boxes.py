"""Tables in boxes."""

import pytest

from sidegate.cli.boxes import show_box


def test_long_cells_wrap(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that is too long for the terminal goes on in the next line of its column."""
    monkeypatch.setenv("COLUMNS", "20")
    show_box(("id", "what"), [["a", "one two three four"]])
    lines = capsys.readouterr().out.splitlines()
    assert {len(line) for line in lines} == {20}
    assert [line.split()[-2] for line in lines[3:-1]] == ["two", "four"]
