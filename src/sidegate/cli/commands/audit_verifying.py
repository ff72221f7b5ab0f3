"""`sidegate audit verify`: a trail against its chain and signatures (spec 5.7)."""

from pathlib import Path
from typing import Annotated

import typer

from sidegate.audit.keys import load_public_keys
from sidegate.audit.layout import list_segments
from sidegate.audit.verify import TrailReport, verify, verify_stream
from sidegate.cli.arguments import ConfigOption, OutputOption
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.output import (
    Colour,
    Format,
    coloured,
    printable,
    say,
    show_json,
    show_table,
)
from sidegate.cli.trails import TrailArgument, find_trail
from sidegate.core.model.units import format_instant

EPILOG = """
\b
Examples:
  sidegate audit verify var/audit
  sidegate audit verify var/audit --key checkpoint.pub --copy /backup/checkpoints.ndjson -o json
"""


def verify_command(
    trail: TrailArgument = None,
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
    source = find_trail(trail, config)
    if key is None and isinstance(source, str) and not unsigned:
        raise UsageError("a stream has no key beside it; name the public key with --key FILE, or say --unsigned")
    keys = None if unsigned else load_public_keys(key if key is not None else _key_folder(Path(source)))
    report = verify_stream(source, keys, copy) if isinstance(source, str) else verify(source, keys, copy)
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
        "kept_from": None if report.kept_from is None else format_instant(report.kept_from),
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
    if report.kept_from is not None:
        say(f"what is older than {format_instant(report.kept_from)} was pruned, and is not checked")
    if not report.is_intact:
        say(coloured("tampered with, or damaged: see above", Colour.BAD))
    elif report.is_signature_checked:
        say(coloured("intact", Colour.GOOD))
    else:
        say(coloured("intact, as far as a chain without its signatures can tell", Colour.DOUBTFUL))
