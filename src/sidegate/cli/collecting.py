"""Runs what `sidegate audit sink` starts; needs the extra ``duckdb``."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from sidegate.audit.collecting import Collecting, CollectingSettings, Consumer
from sidegate.audit.consumer import StreamConsumer
from sidegate.audit.entries import is_nats
from sidegate.audit.lake import is_lake
from sidegate.audit.lake_writer import Lake
from sidegate.audit.prune import prune
from sidegate.audit.sinks.making import require_extra
from sidegate.audit.stream import open_stream
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.telemetry import clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("audit")

_PRUNE_EVERY_S: Final = 3600.0


async def collect(
    folder: Path,
    url: str,
    names: tuple[str, str],
    settings: CollectingSettings,
    retained: Millis | None,
    *,
    is_once: bool,
) -> int:
    """Store the stream in *folder* until SIGTERM or SIGINT; with *is_once* only what is there.

    Args:
        folder: Of Parquet.
        url: Of the Redis, or the NATS server.
        names: Of the group, and of this member.
        settings: How.
        retained: What is older is removed; None for nothing.
        is_once: Whether to end when nothing is left.

    Returns:
        How many records were added.

    Raises:
        DependencyError: The stream does not answer; only with *is_once*.
        OSError: The folder cannot be written; only with *is_once*.
    """
    consumer, close = _open_consumer(url, names, settings)
    collecting = Collecting(consumer, Lake(folder), settings, clock.now)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    tasks = TaskSet()
    try:
        if is_once:
            await collecting.drain()
            await asyncio.to_thread(_retain, folder, retained)
        else:
            tasks.spawn(_keep_retaining(folder, retained), "prune")
            await collecting.run(stopping)
    finally:
        await tasks.close()
        await close()
    return collecting.records


def _open_consumer(
    url: str, names: tuple[str, str], settings: CollectingSettings
) -> tuple[Consumer, Callable[[], Awaitable[None]]]:
    """Return a member of the group, and what lets go of its connection."""
    if is_nats(url):
        require_extra("nats", "audit sink")
        from sidegate.audit.nats_consumer import NatsConsumer  # noqa: PLC0415  an extra

        member = NatsConsumer(url, names[0], settings.take_over)
        return member, member.close
    link = open_stream(url)
    return StreamConsumer(link, *names), link.close


async def _keep_retaining(folder: Path, retained: Millis | None) -> None:
    while True:
        try:
            await asyncio.to_thread(_retain, folder, retained)
        except OSError as error:
            _log.warning("prune_failed", error=str(error), hint="make the folder writable; it is tried again")
        await asyncio.sleep(_PRUNE_EVERY_S)


def _retain(folder: Path, retained: Millis | None) -> None:
    if retained is not None and is_lake(folder):
        prune(folder, UnixMillis(max(0, clock.now() - retained)))


__all__ = ["CollectingSettings", "collect"]
