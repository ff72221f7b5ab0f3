"""`sidegate audit query`, `tail` and `export`: what a trail holds (spec 5.8)."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import orjson
import typer

from sidegate import __version__
from sidegate.audit.export import export_parquet
from sidegate.audit.query import Follower, Reader, open_follower, open_reader, select_entries
from sidegate.audit.reader import Entry
from sidegate.cli.arguments import ConfigOption, OutputOption, read_value
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.output import (
    Format,
    Progress,
    align,
    complain,
    printable,
    say,
    show_json,
    show_json_line,
    show_table,
)
from sidegate.cli.records import COLUMNS, CsvText, row_of
from sidegate.cli.trails import TrailArgument, find_trail
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.target import parse_scope
from sidegate.core.trail.filter import RecordFilter, RecordMatcher, parse_since
from sidegate.core.trail.ocsf import ocsf_event
from sidegate.core.trail.record import RecordKind
from sidegate.telemetry import clock

# --- what query, tail and export have in common ---

_OrgFilter = Annotated[str | None, typer.Option("--org", metavar="ORG", help="Organization.")]
_ActorFilter = Annotated[str | None, typer.Option("--actor", metavar="WHO", help="Account, or link of a chain.")]
_AuthorityFilter = Annotated[Authority | None, typer.Option("--authority", metavar="AUTHORITY", help="Asked for.")]
_TargetFilter = Annotated[
    str | None, typer.Option("--target", metavar="SCOPE", help="Scope that covers the target, e.g. p1@main.")
]
_OutcomeFilter = Annotated[Outcome | None, typer.Option("--outcome", metavar="allow|deny", help="Answer.")]
_ReasonFilter = Annotated[Reason | None, typer.Option("--reason", metavar="REASON", help="Why, e.g. no_grant.")]
_SinceFilter = Annotated[str | None, typer.Option("--since", metavar="TIME", help="15m, 1h, 7d, or an instant.")]
_UntilFilter = Annotated[str | None, typer.Option("--until", metavar="TIME", help="First instant too late.")]
_IdFilter = Annotated[str | None, typer.Option("--id", metavar="ID", help="Decision id.")]
_DivergentFilter = Annotated[bool, typer.Option("--divergent", help="Only where the candidate differs.")]
_KindFilter = Annotated[bool, typer.Option("--completions", help="Completion records too.")]
_AnomalyFilter = Annotated[bool, typer.Option("--anomalies", help="Anomalies of machine identities too.")]


def _filter_of(  # one parameter per filter
    *,
    org: str | None = None,
    actor: str | None = None,
    authority: Authority | None = None,
    target: str | None = None,
    outcome: Outcome | None = None,
    reason: Reason | None = None,
    since: str | None = None,
    until: str | None = None,
    decision_id: str | None = None,
    divergent: bool = False,
    completions: bool = False,
    anomalies: bool = False,
) -> RecordFilter:
    now = clock.now()
    kinds = {RecordKind.DECISION}
    if completions:
        kinds.add(RecordKind.COMPLETION)
    if anomalies:
        kinds.add(RecordKind.ANOMALY)
    return RecordFilter(
        id=decision_id,
        org=org,
        actor=actor,
        authority=authority,
        target=None if target is None else read_value("--target", target, parse_scope),
        outcome=outcome,
        reason=reason,
        since=None if since is None else read_value("--since", since, lambda text: parse_since(text, now)),
        until=None if until is None else read_value("--until", until, lambda text: parse_since(text, now)),
        is_divergent=True if divergent else None,
        kinds=frozenset(kinds),
    )


def _finish(reader: Reader | Follower) -> int:
    """Say what was passed over; a trail that cannot be read whole is not a clean answer."""
    if not reader.unreadable:
        return ExitCode.OK
    complain(f"sidegate: {reader.unreadable} lines were passed over, they are no records; run `sidegate audit verify`")
    return ExitCode.BAD_DATA


# --- query ---

QUERY_EPILOG = """
\b
Examples:
  sidegate audit query --outcome deny --since 1h
  sidegate audit query var/audit --actor user:ana --target p1@main -o json
"""


def query_command(
    trail: TrailArgument = None,
    *,
    org: _OrgFilter = None,
    actor: _ActorFilter = None,
    authority: _AuthorityFilter = None,
    target: _TargetFilter = None,
    outcome: _OutcomeFilter = None,
    reason: _ReasonFilter = None,
    since: _SinceFilter = None,
    until: _UntilFilter = None,
    decision_id: _IdFilter = None,
    divergent: _DivergentFilter = False,
    completions: _KindFilter = False,
    anomalies: _AnomalyFilter = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest.")] = 1000,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Find records, oldest first.

    All conditions have to hold. Of more than `--limit` records the newest are shown; `audit export` has no limit.
    """
    wanted = _filter_of(
        org=org,
        actor=actor,
        authority=authority,
        target=target,
        outcome=outcome,
        reason=reason,
        since=since,
        until=until,
        decision_id=decision_id,
        divergent=divergent,
        completions=completions,
        anomalies=anomalies,
    )
    reader = open_reader(find_trail(trail, config))
    entries = list(select_entries(reader, wanted, limit=limit + 1, newest_first=True))
    has_more = len(entries) > limit
    found = [dict(entry.members) for entry in reversed(entries[:limit])]
    if output is Format.JSON:
        show_json(found)
    else:
        show_table(COLUMNS, [row_of(members) for members in found], empty="no records")
    if has_more:
        complain(f"sidegate: there are more than {limit} records, these are the newest; give --limit, or use export")
    return _finish(reader)


# --- tail ---

TAIL_EPILOG = """
\b
Examples:
  sidegate audit tail -n 50
  sidegate audit tail var/audit --follow --org acme -o json
"""

_POLL_S: Final = 0.2


def tail_command(
    trail: TrailArgument = None,
    count: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=0, help="How many records.")] = 20,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    org: _OrgFilter = None,
    actor: _ActorFilter = None,
    outcome: _OutcomeFilter = None,
    divergent: _DivergentFilter = False,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Show the newest records, oldest of them first.

    With `-o json` each record is one line: a stream has no end that would close a list.
    """
    source = find_trail(trail, config)
    wanted = _filter_of(org=org, actor=actor, outcome=outcome, divergent=divergent, completions=True, anomalies=True)
    # Opened first: what is added while the old ones are read is then shown, not lost.
    follower = open_follower(source) if follow else None
    reader = open_reader(source)
    newest = list(islice(select_entries(reader, wanted, newest_first=True), count)) if count else []
    _show_stream([dict(entry.members) for entry in reversed(newest)], output)
    code = _finish(reader)
    if follower is None:
        return code
    matcher = RecordMatcher(wanted)
    with closing(follower):
        while True:
            added = [dict(entry.members) for entry in follower.poll() if matcher.matches(entry.members)]
            if added:
                _show_stream(added, output)
            time.sleep(_POLL_S)


def _show_stream(records: list[dict[str, Any]], output: Format) -> None:
    if output is Format.JSON:
        for members in records:
            show_json_line(members)
    elif records:
        for line in align([row_of(members) for members in records]):
            say(printable(line))
    sys.stdout.flush()


# --- export ---


class ExportFormat(StrEnum):
    """What `audit export` writes."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    OCSF = "ocsf"


EXPORT_EPILOG = """
\b
Examples:
  sidegate audit export --format csv --since 7d > week.csv
  sidegate audit export var/audit --format jsonl --org acme --out acme.ndjson
  sidegate audit export var/parquet --format parquet --since 30d --out month.parquet
"""


def export_command(
    trail: TrailArgument = None,
    *,
    export_format: Annotated[
        ExportFormat, typer.Option("--format", metavar="jsonl|csv|parquet|ocsf", help="What to write.")
    ] = ExportFormat.JSONL,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to.  [default: standard output]")
    ] = None,
    org: _OrgFilter = None,
    actor: _ActorFilter = None,
    authority: _AuthorityFilter = None,
    target: _TargetFilter = None,
    outcome: _OutcomeFilter = None,
    reason: _ReasonFilter = None,
    since: _SinceFilter = None,
    until: _UntilFilter = None,
    divergent: _DivergentFilter = False,
    completions: _KindFilter = False,
    anomalies: _AnomalyFilter = False,
    config: ConfigOption = None,
) -> int:
    """Write records, oldest first: as they were spooled, as a table, or as OCSF events.

    `jsonl` keeps every line byte for byte, its hash included. In `csv` a text that a spreadsheet would take for a
    formula has an apostrophe before it. `parquet` needs `--out`, and is read again by the other commands. `ocsf` writes
    decisions as events of class 6003, API Activity, one JSON object to a line.
    """
    wanted = _filter_of(
        org=org,
        actor=actor,
        authority=authority,
        target=target,
        outcome=outcome,
        reason=reason,
        since=since,
        until=until,
        divergent=divergent,
        completions=completions,
        anomalies=anomalies,
    )
    reader = open_reader(find_trail(trail, config))
    entries = select_entries(reader, wanted)
    if export_format is ExportFormat.PARQUET:
        if out is None:
            raise UsageError("--format parquet is not for a terminal; name a file with --out FILE")
        export_parquet(entries, out)
    elif out is None:
        _export(entries, export_format, sys.stdout)
    else:
        with out.open("w", encoding="utf-8", newline="") as file:
            _export(entries, export_format, file)
    return _finish(reader)


def _export(entries: Iterator[Entry], export_format: ExportFormat, file: TextIO) -> None:
    progress = Progress("exporting", "records")
    table = CsvText()
    if export_format is ExportFormat.CSV:
        file.write(table.header())
    for entry in entries:
        match export_format:
            case ExportFormat.CSV:
                file.write(table.line(entry.members))
            case ExportFormat.OCSF:
                if entry.members.get("record") == RecordKind.DECISION:
                    file.write(f"{orjson.dumps(ocsf_event(entry.members, __version__)).decode()}\n")
            case _:
                file.write(entry.line.decode())
        progress.advance()
    progress.end()
