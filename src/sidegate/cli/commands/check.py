"""`sidegate check`: would a sidecar start from this, and what would it do (spec 6.4)."""

from typing import Annotated, Final

import typer

from sidegate.cli.arguments import ConfigOption, OutputOption
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.inspection import Inspection, inspect
from sidegate.cli.output import (
    Colour,
    Format,
    by_place,
    coloured,
    complain,
    printable,
    say,
    show_json,
    show_problems,
    show_table,
)
from sidegate.config.policy_file import LoadedPolicy
from sidegate.core.routing.route import Route

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate check
  sidegate check --config /etc/sidegate/sidegate.yaml -o json
  sidegate check --live -o json | jq '.checks[] | select(.state != "ok")'
"""


@app.command("check", epilog=_EPILOG)
def check_command(
    config: ConfigOption = None,
    *,
    live: Annotated[
        bool,
        typer.Option("--live", help="Also ask upstream, Redis, sinks, key set and a sidecar that runs already."),
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=60, help="With --live, for each step.")
    ] = 3.0,
    output: OutputOption = Format.TABLE,
) -> int:
    """Check the configuration, the routes and the policy, and say everything that is wrong.

    Every problem of every file at once, with file, line and column; exit code 78 if there is one. Warnings are about
    entries that do less than they seem to; they do not change the exit code. Public routes are listed: they are
    forwarded without asking anybody.

    With `--live` everything around it is looked at too: upstream, Redis, audit trail and sinks, clock, certificates,
    key set, limits of the machine. Exit code 69 if something of that fails; what fails has a hint and a page.
    """
    found = inspect(config)
    if live and found.settings is not None:
        # Clients of everything that could be asked: only who asks pays for them.
        from sidegate.cli.live_checks import check_live  # noqa: PLC0415

        return check_live(found, found.settings, timeout, output)
    if output is Format.JSON:
        show_json(_describe(found))
    else:
        _show(found)
    return ExitCode.BAD_CONFIGURATION if found.problems else ExitCode.OK


def _describe(found: Inspection) -> dict[str, object]:
    routes = () if found.routes is None else found.routes.table.routes
    return {
        "ok": not found.problems,
        "config": None if found.config is None else str(found.config),
        "problems": [problem.describe() for problem in sorted(found.problems, key=by_place)],
        "warnings": [problem.describe() for problem in sorted(found.warnings, key=by_place)],
        "routes": len(routes),
        "public_routes": [_describe_route(found, route) for route in routes if route.public],
        "organizations": [_describe_policy(loaded) for loaded in found.policies or ()],
    }


def _describe_route(found: Inspection, route: Route) -> dict[str, object]:
    position = None if found.routes is None else found.routes.positions.get(route.id)
    return {
        "id": route.id,
        "method": route.method,
        "pattern": route.pattern.text,
        "file": None if position is None else position.file,
        "line": None if position is None else position.line,
    }


def _describe_policy(loaded: LoadedPolicy) -> dict[str, object]:
    document = loaded.document
    return {
        "organization": document.organization,
        "members": len(document.members),
        "roles": len(document.roles),
        "bindings": len(document.bindings),
        "denies": len(document.denies),
        "approvals": len(document.approvals),
        "keys": len(document.keys),
        "candidate": document.candidate is not None,
    }


def _show(found: Inspection) -> None:
    say(f"configuration  {_state(found.settings is not None)}  {found.config or 'from variables'}")
    routes = () if found.routes is None else found.routes.table.routes
    where = "" if found.settings is None else f"  {found.settings.routes}, {len(routes)} routes"
    say(f"routes         {_state(found.routes is not None)}{where}")
    where = "" if found.settings is None else f"  {found.settings.policy.source}"
    say(f"policy         {_state(found.policies is not None)}{where}")
    for loaded in found.policies or ():
        listed = _describe_policy(loaded)
        counts = ", ".join(f"{listed[name]} {name}" for name in ("members", "bindings", "denies", "approvals", "keys"))
        candidate = ", a candidate" if listed["candidate"] else ""
        say(f"  {loaded.document.organization}: {counts}{candidate}")
    public = [route for route in routes if route.public]
    if public:
        say()
        say("Public routes, forwarded without a credential:")
        rows = []
        for route in public:
            position = None if found.routes is None else found.routes.positions.get(route.id)
            rows.append([route.method, route.pattern.text, str(position or "")])
        show_table(("method", "path", "where"), rows, empty="none")
    if found.warnings:
        say()
        say(coloured("Warnings:", Colour.DOUBTFUL))
        for warning in sorted(found.warnings, key=by_place):
            say(printable(str(warning)))
    if found.problems:
        show_problems(found.problems)
        plural = "s" if len(found.problems) != 1 else ""
        complain(f"sidegate: {len(found.problems)} problem{plural}; a sidecar would not start from this")


def _state(usable: bool) -> str:  # noqa: FBT001  (the word for one flag)
    return coloured("ok", Colour.GOOD) if usable else coloured("unusable", Colour.BAD)
