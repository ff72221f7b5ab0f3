"""`sidegate audit sink` and `prune`: records into Parquet, and out of it when they are old (spec 5.8)."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from sidegate.audit.prune import prune
from sidegate.audit.sinks.making import require_extra
from sidegate.cli.arguments import ConfigOption, OutputOption, parse_duration, read_value
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.output import Format, say, show_json
from sidegate.cli.trails import find_stream
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.telemetry import clock
from sidegate.telemetry.log import LogFormat, configure_log

SINK_EPILOG = """
\b
Examples:
  sidegate audit sink var/parquet
  sidegate audit sink /data/audit --from redis://redis:6379 --retain 400d
  sidegate audit sink /data/audit --from nats://nats:4222 --once
"""


def sink_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="Folder of Parquet files.")],
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="Redis or NATS server.  [default: the configured sink]",
            show_default=False,
        ),
    ] = None,
    group: Annotated[str, typer.Option("--group", metavar="NAME", help="Who shares the records.")] = "parquet",
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="This member of the group.  [default: host and process]", show_default=False
        ),
    ] = None,
    flush: Annotated[str, typer.Option("--flush", metavar="TIME", help="Records wait so long for others.")] = "60s",
    take_over: Annotated[
        str, typer.Option("--take-over", metavar="TIME", help="From members that died so long ago.")
    ] = "5m",
    keep: Annotated[str, typer.Option("--keep", metavar="TIME", help="What is stored stays in the stream.")] = "1h",
    retain: Annotated[
        str | None, typer.Option("--retain", metavar="TIME", help="Remove what is older, by whole days.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Store what is there, and end.")] = False,
    config: ConfigOption = None,
) -> int:
    """Store the audit stream as Parquet, by organization and day, each record once.

    Runs until it is stopped. Several with the same FOLDER and group share the work; what one that died had taken, the
    others take over. The stream is trimmed of what every group has stored.
    """
    require_extra("duckdb", "audit sink")
    from sidegate.cli.collecting import CollectingSettings, collect  # noqa: PLC0415  needs the extra

    settings = CollectingSettings(
        read_value("--flush", flush, parse_duration),
        read_value("--take-over", take_over, parse_duration),
        read_value("--keep", keep, parse_duration),
    )
    if settings.take_over < 2 * settings.flush:
        raise UsageError("--take-over is less than twice --flush: members would take from each other what they hold")
    retained = None if retain is None else read_value("--retain", retain, parse_duration)
    url = find_stream(source, config)
    configure_log(form=LogFormat.AUTO)
    member = name if name is not None else f"{socket.gethostname()}-{os.getpid()}"
    records = asyncio.run(collect(folder, url, (group, member), settings, retained, is_once=once))
    say(f"{records} records stored in {folder}")
    return ExitCode.OK


PRUNE_EPILOG = """
\b
Examples:
  sidegate audit prune var/parquet --older-than 400d --dry-run
  sidegate audit prune /data/audit --older-than 400d
"""


def prune_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Of Parquet, or of a file sink.")
    ],
    older_than: Annotated[str, typer.Option("--older-than", metavar="TIME", help="E.g. 400d.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Remove old records: whole days of Parquet, whole files of a file sink.

    Checkpoints stay, so that `audit verify` still checks what is left. A spool is never pruned.
    """
    age = read_value("--older-than", older_than, parse_duration)
    pruned = prune(folder, UnixMillis(max(0, clock.now() - age)), is_trial=dry_run)
    kept_from = format_instant(pruned.kept_from)
    if output is Format.JSON:
        show_json({"kept_from": kept_from, "files": pruned.files, "bytes": pruned.size, "removed": not dry_run})
    else:
        verb = "would go" if dry_run else "removed"
        say(f"{pruned.files} files of {pruned.size} bytes {verb}; everything from {kept_from} on stays")
    return ExitCode.OK
