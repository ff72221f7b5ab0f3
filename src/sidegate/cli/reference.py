"""`docs/cli.md`, made from the commands' own help."""

import sys
from collections.abc import Iterator
from typing import Any, Final

import typer
from typer._click import Command  # typer's own copy of click: the type of what is described
from typer.core import TyperGroup

from sidegate.cli.ending import PROGRAM
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.lazy import LazyCommand
from sidegate.cli.main import build_command

_WIDTH: Final = 100
_HEAD: Final = """\
# Command line

Made from the commands' own help with `python -m sidegate.cli.reference > docs/cli.md`; a test holds it to them.

Commands that read local state take `--config FILE`. Without it they take what `SIDEGATE_CONFIG` names, else
`config/sidegate.yaml`. Everything that lists also speaks `-o json`. Answers go to standard output, all else to the
error stream. Tables have boxes and colours on a terminal, and are plain aligned text when they are piped or `NO_COLOR`
is set.
"""


def exit_code_table() -> str:
    """Return a row for each exit code."""
    rows = [f"| {code.value} | {code.meaning} |" for code in ExitCode]
    return "\n".join(["| exit code | means |", "|---|---|", *rows]) + "\n"


def write_reference() -> str:
    """Return the whole page."""
    sections = [f"## `{path}`\n\n```\n{text}\n```\n" for path, text in _helps(build_command(), PROGRAM, None)]
    return "\n".join([_HEAD, exit_code_table(), *sections])


def _helps(command: Command, path: str, parent: typer.Context | None) -> Iterator[tuple[str, str]]:
    real: Command = command.load() if isinstance(command, LazyCommand) else command
    extra: dict[str, Any] = {"terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = typer.Context(real, info_name=path.rpartition(" ")[2], parent=parent, **extra)
    yield path, "\n".join(line.rstrip() for line in real.get_help(context).splitlines())
    if isinstance(real, TyperGroup):
        for name, inner in real.commands.items():
            yield from _helps(inner, f"{path} {name}", context)


if __name__ == "__main__":
    sys.stdout.write(write_reference())
