"""`sidegate audit`: the audit trail of a spool (spec 5.6 to 5.8, 6.4)."""

import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from sidegate.audit.keys import load_public_keys
from sidegate.audit.layout import list_segments
from sidegate.audit.query import select_entries
from sidegate.audit.reader import Entry, TrailFollower, TrailReader
from sidegate.audit.verify import TrailReport, verify
from sidegate.cli.arguments import ConfigOption, OutputOption, read_value
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.local import find_spool
from sidegate.cli.output import (
    Colour,
    Format,
    Progress,
    align,
    coloured,
    complain,
    printable,
    say,
    show_json,
    show_json_line,
    show_table,
)
from sidegate.cli.records import COLUMNS, CsvText, row_of
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.target import parse_scope
from sidegate.core.trail.filter import RecordFilter, RecordMatcher, parse_since
from sidegate.core.trail.record import RecordKind
from sidegate.telemetry import clock

app = typer.Typer(rich_markup_mode=None)

SpoolArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="SPOOL",
        exists=True,
        help="Folder of a spool, of one sidecar in it, or of a file sink.  [default: the configured spool]",
        show_default=False,
    ),
]


@app.callback()
def _group() -> None:
    """Read, verify and export the audit trail."""


# --- verify ---

_VERIFY_EPILOG = """
\b
Examples:
  sidegate audit verify var/audit
  sidegate audit verify var/audit --key checkpoint.pub --copy /backup/checkpoints.ndjson -o json
"""


@app.command("verify", epilog=_VERIFY_EPILOG)
def verify_command(
    spool: SpoolArgument = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            exists=True,
            help="Public keys, PEM.  [default: checkpoint.pub of the spool]",
            show_default=False,
        ),
    ] = None,
    copy: Annotated[
        Path | None,
        typer.Option("--copy", metavar="FILE", exists=True, help="Second place that checkpoints were copied to."),
    ] = None,
    *,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Check the chain alone, which whoever can write the spool can forge.")
    ] = False,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Check that no record was changed, removed, inserted or reordered.

    Every line is held against the hash chain, every checkpoint against the public key. Exit code 1 if anything is
    wrong; what and where is printed. The key beside the spool is as safe as the spool: keep a copy elsewhere and name
    it with `--key`.
    """
    if unsigned and key is not None:
        raise UsageError("--unsigned and --key contradict each other; leave one out")
    root = find_spool(spool, config)
    keys = None if unsigned else load_public_keys(key if key is not None else _key_folder(root))
    report = verify(root, keys, copy)
    if output is Format.JSON:
        show_json(_describe_report(report))
    else:
        _show_report(report)
    return ExitCode.OK if report.is_intact else ExitCode.NO


def _key_folder(root: Path) -> Path:
    """Return the spool's folder for *root*, which may be that of one sidecar in it."""
    return root.parent if list_segments(root) else root


def _describe_report(report: TrailReport) -> dict[str, object]:
    return {
        "intact": report.is_intact,
        "signatures_checked": report.is_signature_checked,
        "chains": [
            {
                "sidecar": chain.sidecar,
                "records": chain.records,
                "checkpoints": chain.checkpoints,
                "first_seq": chain.first_seq,
                "last_seq": chain.last_seq,
                "signed_seq": chain.signed_seq,
                "unsigned_records": chain.unsigned_records,
                "findings": len(chain.findings) + chain.findings_left_out,
            }
            for chain in report.chains
        ],
        "findings": [
            {
                "kind": finding.kind,
                "sidecar": finding.sidecar,
                "file": None if finding.place is None else finding.place.file,
                "line": None if finding.place is None else finding.place.line,
                "first_seq": finding.first_seq,
                "last_seq": finding.last_seq,
                "text": finding.text,
            }
            for finding in report.findings
        ],
        "findings_left_out": sum(chain.findings_left_out for chain in report.chains),
    }


def _show_report(report: TrailReport) -> None:
    show_table(
        ("sidecar", "records", "first", "last", "checkpoints", "signed to", "not signed yet", "findings"),
        [
            [
                chain.sidecar,
                *map(str, (chain.records, chain.first_seq, chain.last_seq, chain.checkpoints)),
                str(chain.signed_seq) if report.is_signature_checked else "not checked",
                str(chain.unsigned_records) if report.is_signature_checked else "-",
                str(len(chain.findings) + chain.findings_left_out),
            ]
            for chain in report.chains
        ],
        empty="no chains",
    )
    for finding in report.findings:
        say(printable(str(finding)))
    left_out = sum(chain.findings_left_out for chain in report.chains)
    if left_out:
        say(f"and {left_out} more")
    if not report.is_intact:
        say(coloured("tampered with, or damaged: see above", Colour.BAD))
    elif report.is_signature_checked:
        say(coloured("intact", Colour.GOOD))
    else:
        say(coloured("intact, as far as a chain without its signatures can tell", Colour.DOUBTFUL))


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
) -> RecordFilter:
    now = clock.now()
    kinds = {RecordKind.DECISION, RecordKind.COMPLETION} if completions else {RecordKind.DECISION}
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


def _finish(reader: TrailReader | TrailFollower) -> int:
    """Say what was passed over; a trail that cannot be read whole is not a clean answer."""
    if not reader.unreadable:
        return ExitCode.OK
    complain(f"sidegate: {reader.unreadable} lines were passed over, they are no records; run `sidegate audit verify`")
    return ExitCode.BAD_DATA


# --- query ---

_QUERY_EPILOG = """
\b
Examples:
  sidegate audit query --outcome deny --since 1h
  sidegate audit query var/audit --actor user:ana --target p1@main -o json
"""


@app.command("query", epilog=_QUERY_EPILOG)
def query_command(
    spool: SpoolArgument = None,
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
    )
    reader = TrailReader(find_spool(spool, config))
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

_TAIL_EPILOG = """
\b
Examples:
  sidegate audit tail -n 50
  sidegate audit tail var/audit --follow --org acme -o json
"""

_POLL_S: Final = 0.2


@app.command("tail", epilog=_TAIL_EPILOG)
def tail_command(
    spool: SpoolArgument = None,
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
    root = find_spool(spool, config)
    wanted = _filter_of(org=org, actor=actor, outcome=outcome, divergent=divergent, completions=True)
    # Opened first: what is added while the old ones are read is then shown, not lost.
    follower = TrailFollower(root) if follow else None
    reader = TrailReader(root)
    newest = list(islice(select_entries(reader, wanted, newest_first=True), count)) if count else []
    _show_stream([dict(entry.members) for entry in reversed(newest)], output)
    code = _finish(reader)
    if follower is None:
        return code
    matcher = RecordMatcher(wanted)
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


_EXPORT_EPILOG = """
\b
Examples:
  sidegate audit export --format csv --since 7d > week.csv
  sidegate audit export var/audit --format jsonl --org acme --out acme.ndjson
"""


@app.command("export", epilog=_EXPORT_EPILOG)
def export_command(
    spool: SpoolArgument = None,
    *,
    export_format: Annotated[
        ExportFormat, typer.Option("--format", metavar="jsonl|csv", help="What to write.")
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
    config: ConfigOption = None,
) -> int:
    """Write records, oldest first: as they stand in the spool, or as a table for spreadsheets.

    `jsonl` keeps every line byte for byte, its hash included. In `csv` a text that a spreadsheet would take for a
    formula has an apostrophe before it.
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
    )
    reader = TrailReader(find_spool(spool, config))
    entries = select_entries(reader, wanted)
    if out is None:
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
        file.write(entry.line.decode() if export_format is ExportFormat.JSONL else table.line(entry.members))
        progress.advance()
    progress.end()
