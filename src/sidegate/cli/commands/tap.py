"""`sidegate tap`: what a running sidecar decides, as it decides it (spec 6.4)."""

import sys
from typing import Annotated, Any, Final

import orjson
import typer

from sidegate.cli.admin_port import AddressOption, find_admin_port
from sidegate.cli.arguments import ConfigOption, OutputOption
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.output import Colour, Format, coloured, complain, printable, say, show_json_line
from sidegate.cli.records import row_of
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate tap
  sidegate tap --outcome deny --org acme
  sidegate tap --actor user:ana --target p1@main -o json | jq .reason
"""

_WIDTHS: Final = (24, 5, 20, 24, 9)
"""Of time, outcome, reason, account and authority: what comes line by line cannot be aligned by what comes later."""


@app.command("tap", epilog=_EPILOG)
def tap_command(
    *,
    org: Annotated[str | None, typer.Option("--org", metavar="ORG", help="Organization.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", metavar="WHO", help="Account, or link of a chain.")] = None,
    authority: Annotated[Authority | None, typer.Option("--authority", metavar="AUTHORITY", help="Asked for.")] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="SCOPE", help="Scope that covers the target, e.g. p1@main.")
    ] = None,
    outcome: Annotated[Outcome | None, typer.Option("--outcome", metavar="allow|deny", help="Answer.")] = None,
    reason: Annotated[Reason | None, typer.Option("--reason", metavar="REASON", help="Why, e.g. no_grant.")] = None,
    divergent: Annotated[bool, typer.Option("--divergent", help="Only where the candidate differs.")] = False,
    completions: Annotated[bool, typer.Option("--completions", help="Completion records too.")] = False,
    anomalies: Annotated[bool, typer.Option("--anomalies", help="Anomalies of machine identities too.")] = False,
    count: Annotated[
        int | None, typer.Option("-n", "--lines", metavar="N", min=1, help="End after so many records.")
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Watch what a running sidecar decides, until Ctrl-C.

    The sidecar picks the records, so that only what is asked for comes. When more comes than can be looked at, some
    records are passed over and their number is said; none is missing in the audit trail (`sidegate audit tail -f`).
    With `-o json` each record is one line.
    """
    texts = {"org": org, "actor": actor, "authority": authority, "target": target, "outcome": outcome, "reason": reason}
    flags = {"divergent": divergent, "completions": completions, "anomalies": anomalies}
    query = {name: str(text) for name, text in texts.items() if text is not None}
    query |= {name: "true" for name, is_on in flags.items() if is_on}
    port = find_admin_port(address, config)
    shown = 0
    for line in port.lines("/v1/tap", query):
        if not line:
            continue
        members = orjson.loads(line)
        if "tap" in members:
            complain(f"sidegate: {members['tap']['skipped']} records were passed over, too many at once")
            continue
        _show(members, output)
        shown += 1
        if shown == count:
            return ExitCode.OK
    complain("sidegate: the sidecar ended the stream")
    return ExitCode.UNAVAILABLE


def _show(members: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        show_json_line(members)
    else:
        time, answer, *rest = (printable(cell) for cell in row_of(members))
        colour = {"allow": Colour.GOOD, "deny": Colour.BAD}.get(answer, Colour.FAINT)
        padded = [time.ljust(_WIDTHS[0]), coloured(answer.ljust(_WIDTHS[1]), colour)]
        padded += [cell.ljust(width) for cell, width in zip(rest, _WIDTHS[2:], strict=False)]
        say("  ".join([*padded, *rest[len(_WIDTHS) - 2 :]]))
    sys.stdout.flush()
