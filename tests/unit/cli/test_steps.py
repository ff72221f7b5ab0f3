"""What takes long is told to who watches, and to nobody else."""

import io
import sys

import pytest

from sidegate.cli.steps import Steps


class Terminal(io.StringIO):
    """An error stream that somebody watches."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, which each step takes the place of, and which is gone at the end; escapes are none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    steps = Steps()
    steps.end()
    assert stream.getvalue() == ""
    steps.show("reading one")
    steps.show("reading \x1b[31mtwo")
    steps.end()
    assert stream.getvalue() == "\r\x1b[Kreading one …\r\x1b[Kreading \\x1b[31mtwo …\r\x1b[K"
    steps.end()
    assert stream.getvalue().endswith("…\r\x1b[K")


def test_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing."""
    steps = Steps()
    steps.show("reading")
    steps.end()
    assert capsys.readouterr().err == ""
