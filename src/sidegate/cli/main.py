"""The root of all commands."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer._click import Context  # typer's own copy of click: the type of what is overridden
from typer.core import TyperGroup
from typer.main import get_command

from sidegate import __version__
from sidegate.cli.ending import PROGRAM, end_in_order
from sidegate.cli.exit_codes import ExitCode, exit_code_of
from sidegate.cli.lazy import LazyCommand
from sidegate.cli.output import complain
from sidegate.core.model.errors import InvariantError

if TYPE_CHECKING:
    from sidegate.config.plan import Serve

COMMANDS: Final = {
    "run": "Start the proxy.",
    "check": "Check the configuration, the routes and the policy, and say everything that is wrong.",
    "health": "Ask a running sidecar whether it lives, or whether it is ready for requests.",
    "can": "Ask whether somebody may do something, and why.",
    "who-can": "List who may exercise an authority on a target.",
    "why": "Explain a recorded decision.",
    "top": "Show live what a running sidecar does: decisions, denials by reason, latency, upstream, audit, policy.",
    "tap": "Watch what a running sidecar decides, until Ctrl-C.",
    "decide": "Decide requests from standard input, one JSON object to a line.",
    "policy": "Test, compare, show, publish and patch policies.",
    "shadow": "Try a candidate policy beside the enforced one: set, report, replay, promote, drop.",
    "key": "Make, rotate, revoke and list API keys.",
    "session": "Create, list and revoke sessions.",
    "audit": "Read, verify and export the audit trail.",
    "routes": "Import routes from OpenAPI and find the route of a request.",
    "config": "Show the settings in effect.",
    "inject": "Put the sidecar into manifests, as the injector would.",
    "injector": "Start the webhook that puts the sidecar into pods.",
}
"""Every command by the name of its module, with its line in the list."""

_EPILOG: Final = """
\b
Exit codes:
  0 yes, ok          1 no, refused by policy      2 usage
  65 bad data        69 unavailable              78 bad configuration

`sidegate COMMAND --help` shows what a command takes, with examples.
"""


class _Root(TyperGroup):
    """The root of all commands."""

    def invoke(self, ctx: Context) -> object:
        """Call the command; a reader that went away ends it quietly.

        Here and not in :func:`run`: typer ends the process with 1 for it, which would be an answer.
        """
        try:
            answer: object = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            _drop_output()
            raise typer.Exit(exit_code_of(error)) from None
        return answer


_root = typer.Typer(name=PROGRAM, cls=_Root, rich_markup_mode=None, pretty_exceptions_enable=False)


def _show_version(asked: bool) -> None:  # noqa: FBT001  (typer calls it with the flag's value)
    if asked:
        sys.stdout.write(f"{PROGRAM} {__version__}\n")
        raise typer.Exit


@_root.callback(invoke_without_command=True, epilog=_EPILOG)
def _without_command(
    context: typer.Context,
    version: Annotated[  # noqa: FBT002  (a flag)
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> int:
    """Decide, enforce and record every request to a DataStore service."""
    del version
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")
        return ExitCode.USAGE
    return ExitCode.OK


def build_command() -> TyperGroup:
    """Return the root command with every other one below it, none of them imported."""
    root = get_command(_root)
    if not isinstance(root, TyperGroup):
        raise InvariantError("the root of the commands is no group")
    for name, summary in COMMANDS.items():
        root.add_command(LazyCommand(name, summary, f"sidegate.cli.commands.{name.replace('-', '_')}"))
    return root


def run(arguments: Sequence[str], serve: "Serve | None" = None) -> int:
    """Run the command that *arguments* name and return its exit code. Nothing is raised but for a bug in a test.

    Args:
        arguments: Without the program's name.
        serve: What `sidegate run` does with what it has read; None to serve in this process.
    """
    return end_in_order(partial(_call, arguments, serve))


def _call(arguments: Sequence[str], serve: "Serve | None") -> int:
    try:
        answer = build_command().main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=serve)
    except typer.TyperException as error:
        complain(f"{PROGRAM}: {_usage_message(error)}")
        return ExitCode.USAGE
    except typer.Abort:
        return ExitCode.INTERRUPTED
    return answer if isinstance(answer, int) else ExitCode.OK


def _usage_message(error: typer.TyperException) -> str:
    """Return typer's message in our form: lower case, no final stop, and what to do next."""
    message = error.format_message().strip().rstrip(".?").replace(". Did you", "; did you").replace("'", "`")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    return f"{message[:1].lower()}{message[1:]}; see `{path} --help`"


def _drop_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not complain about it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
