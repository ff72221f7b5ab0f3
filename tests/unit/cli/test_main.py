"""The root command: what is loaded, how errors end, what help says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperCommand, TyperGroup

from sidegate.cli.exit_codes import DataError, ExitCode, UsageError
from sidegate.cli.lazy import LazyCommand
from sidegate.cli.main import COMMANDS, build_command
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import (
    ConfigError,
    Dependency,
    DependencyError,
    IntegrityError,
    InvariantError,
    NamingError,
    PolicyError,
    Problem,
    WireError,
)

HEAVY = {
    "aiohttp", "asyncio", "cachetools", "cryptography", "httptools", "jwt", "prometheus_client", "pydantic", "redis",
    "rich", "structlog", "uvloop", "yaml",
}  # fmt: skip
"""What takes long to import, and nothing that `--help` needs."""

PROBLEM = Problem(None, "limits.headers", "is 'x'", "write a whole number")


def _python(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60
    )


def test_help_loads_nothing_heavy() -> None:
    """`sidegate --help` starts fast because it imports no command and none of the heavy libraries."""
    code = (
        "import sys; from sidegate.cli.main import run; code = run(['--help']);"
        "print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = _python("-c", code)
    assert done.returncode == 0
    loaded = done.stderr.split()
    assert HEAVY & set(loaded) == set()
    assert [name for name in loaded if name.startswith("sidegate.cli.commands.")] == []
    # Some 170 of them are Python's own and typer's; what this guards against is a slow creep.
    assert len(loaded) < 260


def test_a_command_loads_its_own_module_only() -> None:
    """Minting a key needs neither the proxy nor the policy's files."""
    code = (
        "import sys; from sidegate.cli.main import run;"
        "run(['key', 'mint', '--help']); print(*sorted(sys.modules), file=sys.stderr)"
    )
    loaded = set(_python("-c", code).stderr.split())
    assert "sidegate.cli.commands.key" in loaded
    assert {"aiohttp", "uvloop", "cryptography", "sidegate.app", "sidegate.config"} & loaded == set()


def test_as_a_module_and_as_a_script() -> None:
    """`python -m sidegate` is the command."""
    done = _python("-m", "sidegate", "--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "sidegate")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """Broken pipe: quiet, and the exit code of a process that SIGPIPE ended."""
    line = '{"org": "acme", "account": "user:ana", "authority": "read", "target": "p1"}\n'
    (tmp_path / "acme.yaml").write_text("organization: acme\n")
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sidegate", "decide", "--policy", str(tmp_path)],
            input=line * 50_000, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (141, "")


def test_without_a_command_it_shows_help(sidegate: Any) -> None:
    """`sidegate` alone shows what there is; that nothing was asked for is a usage error."""
    done = sidegate()
    assert (done.code, done.out.splitlines()[0]) == (2, "Usage: sidegate [OPTIONS] COMMAND [ARGS]...")
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["chek"], "no such command `chek`; did you mean `check`; see `sidegate --help`", id="command"),
        pytest.param(["audit", "verfy"], "no such command `verfy`; did you mean `verify`", id="subcommand"),
        pytest.param(["zzzz"], "no such command `zzzz`; see `sidegate --help`", id="nothing-near"),
        pytest.param(["check", "--confg", "x"], "no such option: --confg", id="option"),
        pytest.param(["audit"], "missing command; see `sidegate audit --help`", id="no-subcommand"),
        pytest.param(["check", "-o", "xml"], "`xml` is not one of `table`, `json`", id="format"),
    ],
)
def test_usage_errors_say_what_to_do(sidegate: Any, arguments: list[str], said: str) -> None:
    """One line on the error stream, the nearest name, where to look; exit code 2."""
    done = sidegate(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("sidegate: ")
    assert said in done.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(UsageError("x; y"), 2, "sidegate: x; y\n", id="usage"),
        pytest.param(DataError("x; y"), 65, "sidegate: x; y\n", id="data"),
        pytest.param(NamingError("x; y"), 2, "sidegate: x; y\n", id="naming"),
        pytest.param(WireError(400, Reason.AMBIGUOUS_PATH, "x"), 65, "sidegate: x\n", id="wire"),
        pytest.param(
            ConfigError((PROBLEM,)),
            78,
            f"{PROBLEM}\nsidegate: 1 problem; correct what is named above\n",
            id="config",
        ),
        pytest.param(
            PolicyError((PROBLEM, PROBLEM)),
            78,
            f"{PROBLEM}\n{PROBLEM}\nsidegate: 2 problems; correct what is named above\n",
            id="policy",
        ),
        pytest.param(IntegrityError("x; y"), 65, "sidegate: x; y\n", id="integrity"),
        pytest.param(
            DependencyError(Dependency.STATE, "reading"), 69, "sidegate: state failed while reading\n", id="dependency"
        ),
        pytest.param(PermissionError(13, "no", "f"), 69, "sidegate: [Errno 13] no: 'f'\n", id="system"),
        pytest.param(KeyboardInterrupt(), 130, "", id="ctrl-c"),
        pytest.param(UsageError("a\x1b[2Jb\nc"), 2, "sidegate: a\\x1b[2Jb\nc\n", id="no-escape-gets-through"),
    ],
)
def test_every_family_of_errors_has_its_exit_code(
    sidegate: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    """Users get a sentence and an exit code, never a traceback."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("sidegate.cli.commands.check.inspect", fail)
    done = sidegate("check")
    assert (done.code, done.out, done.err) == (code, "", said)


def test_a_bug_is_shown_as_one(sidegate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no user can have caused comes with its traceback, and with an exit code that is no answer."""

    def fail(*_: object) -> None:
        raise InvariantError("cannot be")

    monkeypatch.setattr("sidegate.cli.commands.check.inspect", fail)
    done = sidegate("check")
    assert done.code == ExitCode.INTERNAL
    assert "Traceback" in done.err
    assert done.err.endswith("sidegate: this is a bug in sidegate; please report it with the lines above\n")


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    if isinstance(command, LazyCommand):
        command = command.load()
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _leaves(inner, (*path, name))
    else:
        yield path, command


LEAVES = list(_leaves(build_command(), ()))


@pytest.mark.parametrize(("path", "command"), [pytest.param(*leaf, id=" ".join(leaf[0])) for leaf in LEAVES])
def test_every_command_helps(path: tuple[str, ...], command: TyperCommand) -> None:
    """A summary of one line, details, and one to three examples that call this command."""
    summary, _, _details = (command.help or "").partition("\n\n")
    assert summary.endswith(".")
    assert "\n" not in summary
    assert len(summary) <= 120
    examples = (command.epilog or "").partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    calls = [line for line in examples if f"sidegate {' '.join(path)}" in line]
    assert 1 <= len(calls) <= 3
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_commands_say(name: str) -> None:
    """A command's line in the list, which is written without loading it, is the one of its own help."""
    command = build_command().commands[name]
    assert isinstance(command, LazyCommand)
    assert (command.load().help or "").partition("\n\n")[0] == COMMANDS[name]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shells can complete commands: the script is printed, and asks the command for what fits."""
    environment = {**os.environ, "_SIDEGATE_COMPLETE": f"source_{shell}"}
    script = subprocess.run(
        [sys.executable, "-m", "sidegate"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (script.returncode, "_SIDEGATE_COMPLETE" in script.stdout) == (0, True)


def test_completion_of_a_command() -> None:
    """What begins so is offered, also below a group."""
    environment = {
        **os.environ,
        "_SIDEGATE_COMPLETE": "complete_bash",
        "COMP_WORDS": "sidegate audit ve",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "sidegate"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == ["verify"]
