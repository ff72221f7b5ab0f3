"""`sidegate routes`: from requests to what they ask for (spec 6.2)."""

from pathlib import Path
from typing import Annotated, Final

import typer

from sidegate.cli.arguments import BodyOption, ConfigOption, HeaderOption, OutputOption, RoutesOption, parse_headers
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.local import find_routes
from sidegate.cli.output import Format, complain, printable, say, show_json, show_table
from sidegate.cli.requests import RoutedRequest, route_request
from sidegate.config.openapi import import_routes
from sidegate.core.model.decision import Outcome
from sidegate.core.model.errors import Position

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Import routes from OpenAPI and find the route of a request."""


_IMPORT_EPILOG: Final = """
\b
Examples:
  sidegate routes import openapi.yaml > config/routes.yaml
  sidegate routes import openapi.json --out config/routes.yaml
"""


@app.command("import", epilog=_IMPORT_EPILOG)
def import_command(
    document: Annotated[
        Path, typer.Argument(metavar="OPENAPI", exists=True, dir_okay=False, help="OpenAPI 3 document, YAML or JSON.")
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to.  [default: standard output]")
    ] = None,
    schema: Annotated[
        str | None, typer.Option("--schema", metavar="PATH", help="JSON Schema of route files, for editors.")
    ] = None,
) -> int:
    """Make a routes file from an OpenAPI document.

    Each operation says what it asks for with `x-sidegate-primitive`, `x-sidegate-authority` or `x-sidegate-public`.
    Operations without any are listed and stay refused.
    """
    imported = import_routes(document, schema)
    if out is None:
        say(imported.text.rstrip("\n"))
    else:
        out.write_text(imported.text, encoding="utf-8")
    public = sum(route.public for route in imported.routes)
    complain(f"{len(imported.routes)} routes, {public} of them public, {len(imported.refused)} operations refused")
    for operation in imported.refused:
        complain(printable(f"  refused: {operation}"))
    return ExitCode.OK


_MATCH_EPILOG: Final = """
\b
Examples:
  sidegate routes match GET /v1/orgs/acme/projects/p1/branches/main/files/a.json
  sidegate routes match POST /v1/orgs/acme/projects/p1/branches/main:glob --body '{"pattern": "designs/**"}'
"""


@app.command("match", epilog=_MATCH_EPILOG)
def match_command(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="As in a request line: GET.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="Path, and query if there is one.")],
    *,
    org: Annotated[
        str, typer.Option("--org", metavar="ORG", help="Of the principal, for targets that name none.")
    ] = "ORG",
    header: HeaderOption = None,
    body: BodyOption = None,
    routes: RoutesOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Show which route a request matches and what it asks for. Exit code 1 if it would be refused before a decision."""
    loaded = find_routes(routes, config)
    routed = route_request(
        loaded.table, method, path, org, headers=parse_headers(header), body=None if body is None else body.encode()
    )
    position = None if routed.route is None else loaded.positions.get(routed.route.id)
    if output is Format.JSON:
        show_json(_describe(routed, position))
    else:
        _show(routed, position)
    is_refused = routed.settled is not None and routed.settled.outcome is Outcome.DENY
    return ExitCode.NO if is_refused else ExitCode.OK


def _describe(routed: RoutedRequest, position: Position | None) -> dict[str, object]:
    return {
        "route": None if routed.route is None else routed.route.id,
        "file": None if position is None else position.file,
        "line": None if position is None else position.line,
        "public": routed.route is not None and routed.route.public,
        "reason": None if routed.settled is None else routed.settled.reason,
        "detail": routed.detail,
        "asks": [
            {
                "authority": ask.authority,
                "primitive": ask.primitive,
                "org": ask.target.org,
                "target": ask.target.text,
                "kind": ask.target.kind,
                "subtree": ask.target.subtree,
            }
            for ask in routed.asks
        ],
    }


def _show(routed: RoutedRequest, position: Position | None) -> None:
    if routed.route is not None:
        say(printable(f"{routed.route.id}  {position or ''}".rstrip()))
    if routed.settled is not None:
        say(f"{routed.settled.reason}: {routed.detail}")
        return
    rows = [
        [
            ask.authority,
            ask.primitive or "-",
            ask.target.text,
            ask.target.kind + (" and below" if ask.target.subtree else ""),
            ask.target.org,
        ]
        for ask in routed.asks
    ]
    show_table(("authority", "primitive", "target", "kind", "org"), rows, empty="nothing")
