"""`sidegate shadow`: the candidate policy beside the enforced one (spec 4.4)."""

from typing import Annotated, Final

import typer

from sidegate.audit.query import select_entries
from sidegate.audit.reader import TrailReader
from sidegate.cli.arguments import ConfigOption, OutputOption, SpoolArgument, read_value
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.local import find_spool
from sidegate.cli.output import Format, complain, show_json, show_table
from sidegate.cli.records import group_divergences
from sidegate.core.trail.filter import RecordFilter, parse_since
from sidegate.telemetry import clock

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Report where the candidate policy differs from the enforced one."""


_REPORT_EPILOG: Final = """
\b
Examples:
  sidegate shadow report --since 7d
  sidegate shadow report var/audit --org acme -o json
"""


@app.command("report", epilog=_REPORT_EPILOG)
def report_command(
    spool: SpoolArgument = None,
    *,
    org: Annotated[str | None, typer.Option("--org", metavar="ORG", help="Organization.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="15m, 1h, 7d, or an instant.")] = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Show recorded requests that the candidate would have answered otherwise.

    Grouped by account, authority, scope (a branch, project or section) and both answers, the most frequent first, each
    with the newest decision as an example for `sidegate why`.
    """
    now = clock.now()
    after = None if since is None else read_value("--since", since, lambda text: parse_since(text, now))
    reader = TrailReader(find_spool(spool, config))
    wanted = RecordFilter(org=org, since=after, is_divergent=True)
    groups = group_divergences(entry.members for entry in select_entries(reader, wanted))
    if output is Format.JSON:
        show_json(
            [
                {
                    "org": group.key.org,
                    "account": group.key.account,
                    "authority": group.key.authority,
                    "scope": group.key.scope,
                    "enforced": group.key.enforced,
                    "candidate": group.key.candidate,
                    "count": group.count,
                    "first_seen": group.first_seen,
                    "last_seen": group.last_seen,
                    "example": group.example,
                    "example_target": group.example_target,
                }
                for group in groups
            ]
        )
    else:
        show_table(
            ("count", "account", "authority", "scope", "org", "enforced", "candidate", "first", "last", "example"),
            [
                [
                    str(group.count),
                    group.key.account,
                    group.key.authority,
                    group.key.scope,
                    group.key.org,
                    group.key.enforced,
                    group.key.candidate,
                    group.first_seen,
                    group.last_seen,
                    group.example,
                ]
                for group in groups
            ],
            empty="no divergences",
        )
    if reader.unreadable:
        complain(f"sidegate: {reader.unreadable} lines are no records; run `sidegate audit verify`")
        return ExitCode.BAD_DATA
    return ExitCode.OK
