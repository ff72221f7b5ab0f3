"""`sidegate run` is read in one process and served in another."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sidegate.cli.apart import is_served_apart

_KILLED = (
    "import os, signal, sys; from sidegate.cli import apart;"
    "apart._read = lambda *_: os.kill(os.getpid(), signal.SIGKILL); sys.exit(apart.run_apart(['run']))"
)


def _python(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {name: text for name, text in os.environ.items() if not name.startswith("SIDEGATE_")}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60, cwd=cwd, env=environment
    )


@pytest.mark.parametrize(
    ("arguments", "is_apart"),
    [
        pytest.param(["run"], True, id="run"),
        pytest.param(["run", "--config", "x"], True, id="with-arguments"),
        pytest.param(["run", "--help"], True, id="help"),
        pytest.param([], False, id="nothing"),
        pytest.param(["check"], False, id="another-command"),
        pytest.param(["--version", "run"], False, id="option-first"),
        pytest.param(["policy", "run"], False, id="below-another"),
    ],
)
def test_which_command_is_served_apart(arguments: Sequence[str], is_apart: bool) -> None:
    """The one that stays; every other is over before it would pay."""
    assert is_served_apart(arguments) is is_apart


def test_help_is_that_of_the_command() -> None:
    """The child judges the command line, and its exit code counts."""
    done = _python("-m", "sidegate", "run", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Start the proxy." in done.stdout


def test_a_command_line_that_cannot_be_read() -> None:
    """Exit code 2, said once."""
    done = _python("-m", "sidegate", "run", "--nowhere")
    assert (done.returncode, done.stdout, done.stderr.count("--nowhere")) == (2, "", 1)


def test_what_is_wrong_is_said_as_by_the_command_itself(sidegate: Any, config: Path) -> None:
    """Every problem once, with its place; exit code 78."""
    (config.parent / "routes.yaml").write_text("- gte: /x\n")
    (config.parent / "policy" / "acme.yaml").write_text("organization: acme\nbinding: []\n")
    here = sidegate("run", "--config", "sidegate.yaml")
    apart = _python("-m", "sidegate", "run", "--config", "sidegate.yaml", cwd=config.parent)
    assert (apart.returncode, apart.stdout, apart.stderr) == (here.code, here.out, here.err)
    assert here.code == 78


def test_a_reader_that_is_killed() -> None:
    """There was not memory enough, say: nothing is served, and it is said what to do."""
    done = _python("-c", _KILLED)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == "sidegate: reading the configuration was ended by SIGKILL; start it again\n"
