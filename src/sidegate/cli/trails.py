"""Which audit trail a command is about: a spool, Parquet, or the stream in Redis or NATS (spec 5.8)."""

from pathlib import Path
from typing import Annotated

import typer

from sidegate.audit.entries import is_stream
from sidegate.cli.exit_codes import UsageError
from sidegate.cli.local import find_spool, read_settings

TrailArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TRAIL",
        help="Folder of a spool, of one sidecar in it, or of a file sink; folder or file of Parquet; or redis://… or"
        " nats://… for the audit stream.  [default: the configured spool]",
        show_default=False,
    ),
]


def find_trail(given: str | None, config: Path | None) -> str | Path:
    """Return where the trail is: as given, else the configured spool.

    Raises:
        UsageError: What is given is not there.
        ConfigError: The configuration cannot be used.
    """
    if given is None:
        return find_spool(None, config)
    if is_stream(given):
        return given
    path = Path(given)
    if not path.exists():
        raise UsageError(
            f"`{given}` is not there; name a folder of records, a Parquet file, redis://host:port, or nats://host:port"
        )
    return path


def find_stream(given: str | None, config: Path | None) -> str:
    """Return the address of the audit stream: as given, else that of the configured sink, Redis before NATS.

    Raises:
        UsageError: None is given, and none configured.
        ConfigError: The configuration cannot be used.
    """
    if given is not None:
        if not is_stream(given):
            raise UsageError(
                f"--from: `{given}` is no address of a stream; write redis://host:port or nats://host:port"
            )
        return given
    sinks = read_settings(config).audit.sinks
    for sink in sinks:
        if sink.redis is not None:
            return sink.redis.url
    for sink in sinks:
        if sink.nats is not None:
            return sink.nats.url
    raise UsageError("no sink of kind redis or nats is configured; name the stream with --from redis://host:port")
