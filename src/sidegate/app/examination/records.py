"""The audit trail: whether there is room, whether it is whole, whether sinks can be reached (spec 5.6, 5.7)."""

import asyncio
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.audit.keys import load_public_keys
from sidegate.audit.layout import list_segments, list_sidecars
from sidegate.audit.verify import verify
from sidegate.config.held import Audit, Sink
from sidegate.core.model.errors import ConfigError
from sidegate.core.trail.durability import Durability

WRITABLE: Final = Check(
    "audit-writable", Section.AUDIT, "The spool can be written.",
    "Make the folder writable for the user that sidegate runs as; without it every request is refused.",
)  # fmt: skip
ROOM: Final = Check(
    "audit-room", Section.AUDIT, "The disk has room for the whole spool and the reserve.",
    "Make room, or lower `audit.max_bytes`: a full disk refuses every request.",
)  # fmt: skip
DURABLE: Final = Check(
    "audit-durable", Section.AUDIT, "Records are written to files.",
    "Set `audit.durability` to process or host; memory is for measuring only.",
)  # fmt: skip
WHOLE: Final = Check(
    "audit-whole", Section.AUDIT, "What is in the spool is as it was written.",
    "See `sidegate audit verify`; keep the spool as it is until it is known who changed it.",
)  # fmt: skip
SHIPPED: Final = Check(
    "audit-shipped", Section.AUDIT, "Records are shipped off this machine.",
    "Configure a sink under `audit.sinks`: who owns this machine could remove the spool.",
)  # fmt: skip
SINKS: Final = Check(
    "audit-sinks", Section.AUDIT, "Every sink can be reached.",
    "Start it or correct its address; until it is back the spool grows to `audit.max_bytes`.",
)  # fmt: skip

_MIB: Final = 1 << 20
_MAX_VERIFIED_BYTES: Final = 256 * _MIB
"""About three seconds; more is for `sidegate audit verify`."""


async def examine_audit(site: Site) -> list[Finding]:
    """Look at the spool and its sinks."""
    audit = site.settings.audit
    if audit.durability is Durability.MEMORY:
        findings = [DURABLE.fail("records are kept in memory only")]
        findings += [check.skip("there is no spool") for check in (WRITABLE, ROOM, WHOLE)]
    else:
        findings = [DURABLE.ok(audit.durability.value)]
        findings += await asyncio.to_thread(lambda: list(_examine_spool(audit)))
    findings.append(SHIPPED.ok(_names(audit.sinks)) if audit.sinks else SHIPPED.warn("no sink is configured"))
    findings += [finding async for finding in _examine_sinks(audit.sinks, site.timeout_s)]
    return findings


def _names(sinks: tuple[Sink, ...]) -> str:
    return ", ".join(sink.kind for sink in sinks)


def _examine_spool(audit: Audit) -> Iterator[Finding]:
    folder = _nearest(audit.spool)
    why = _why_unwritable(folder)
    yield WRITABLE.ok(str(audit.spool)) if why is None else WRITABLE.fail(why)
    used = sum(size for _, size in _segments(audit.spool))
    free = shutil.disk_usage(folder).free
    needed = max(0, audit.max_bytes - used) + audit.reserve_bytes
    told = f"{free / _MIB:,.0f} MiB free, {needed / _MIB:,.0f} MiB may be needed"
    yield ROOM.ok(told) if free >= needed else ROOM.warn(told)
    yield _examine_chain(audit, used)


def _nearest(folder: Path) -> Path:
    """Return *folder*, or the first above it that is there: the rest is made at the start."""
    return next((path for path in (folder, *folder.absolute().parents) if path.is_dir()), Path("/"))


def _why_unwritable(folder: Path) -> str | None:
    """Try it: rights alone do not tell, neither to root nor on a file system that takes no files."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{folder}: {error.strerror}"


def _segments(spool: Path) -> Iterator[tuple[Path, int]]:
    if not spool.is_dir():
        return
    for sidecar in list_sidecars(spool):
        for segment in list_segments(sidecar):
            try:
                yield segment.path, segment.path.stat().st_size
            except FileNotFoundError:
                continue  # shipped and released meanwhile


def _examine_chain(audit: Audit, used: int) -> Finding:
    if not used:
        return WHOLE.skip("it is empty")
    if used > _MAX_VERIFIED_BYTES:
        return WHOLE.skip(f"{used / _MIB:,.0f} MiB take long; run `sidegate audit verify`")
    try:
        keys = load_public_keys(audit.spool)
        report = verify(audit.spool, keys)
    except (ConfigError, OSError) as error:
        return WHOLE.fail(str(error))
    if not report.is_intact:
        return WHOLE.fail(str(report.findings[0]))
    return WHOLE.ok(f"{used / _MIB:,.1f} MiB verified")


async def _examine_sinks(sinks: tuple[Sink, ...], timeout_s: float) -> AsyncIterator[Finding]:
    if not sinks:
        yield SINKS.skip("none is configured")
    for sink in sinks:
        if sink.redis is not None:
            yield SINKS.skip(f"{sink.redis} is among the Redis servers")
        elif sink.file is not None:
            why = await asyncio.to_thread(_why_unwritable, _nearest(sink.file))
            yield SINKS.ok(str(sink.file)) if why is None else SINKS.fail(why)
        elif sink.http is not None:
            yield await _reach(sink.http.url.url, timeout_s)
        elif sink.nats is not None:
            yield await _reach(sink.nats.url, timeout_s)


async def _reach(url: str, timeout_s: float) -> Finding:
    """Connect; a record is not sent only to see whether it comes through."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 4222)
    shown = f"{parts.scheme}://{parts.hostname}:{port}"
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(parts.hostname, port)
            writer.transport.abort()
    except (OSError, TimeoutError, socket.gaierror, ssl.SSLError) as error:
        return SINKS.fail(f"{shown}: {str(error) or 'no answer in time'}")
    return SINKS.ok(shown)
