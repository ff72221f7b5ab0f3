"""Trail, shipper and file sink together: everything arrives once, and the spool stays small (spec 5.6)."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.audit.shipper import Shipper
from sidegate.audit.sinks.file import FileSink
from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AuditTrail, TrailSettings
from sidegate.audit.verify import verify
from sidegate.core.trail.checkpoint import CheckpointSigner, key_id_of
from sidegate.core.trail.record import OpenRecord
from sidegate.telemetry.clock import SystemClock

_RECORDS_PER_START = 400


async def _until(is_reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_reached():  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0)


async def test_everything_arrives_once_whatever_ends_in_between(tmp_path: Path) -> None:
    """Three starts; each time the shipper is cut off somewhere and the next one goes on."""
    key = Ed25519PrivateKey.generate()
    keys = {key_id_of(key.public_key()): key.public_key()}
    limits = SpoolLimits(segment_bytes=20_000, reserve_bytes=0)
    folder = tmp_path / "audit" / "host-w0"
    sink_folder = tmp_path / "out"

    for start in range(3):
        settings = TrailSettings(tmp_path / "audit", "host-w0", limits, checkpoint_records=50)
        trail = AuditTrail(settings, CheckpointSigner(key), SystemClock())
        trail.open()
        sink = FileSink(sink_folder, segment_bytes=50_000)
        shipper = Shipper(folder, "host-w0", trail, sink, lambda _: asyncio.sleep(0))
        running = asyncio.create_task(shipper.run())
        for number in range(_RECORDS_PER_START):
            trail.submit(OpenRecord(b'{"v":1,"record":"decision","id":"%d-%d"' % (start, number)))
            await asyncio.sleep(0)
        if start == 1:
            # What has arrived is removed from the spool while the trail is open.
            await _until(lambda trail=trail: "file" not in trail.unshipped_since and trail.spooled_bytes < 60_000)  # type: ignore[misc]
        running.cancel()
        await asyncio.wait([running])
        await trail.close()
        if start == 2:
            await shipper.drain()
        await sink.close()

    report = verify(sink_folder, keys)
    assert [str(finding) for finding in report.findings] == []
    assert report.chains[0].records == 3 * _RECORDS_PER_START
    assert report.chains[0].unsigned_records == 0
    assert [str(finding) for finding in verify(tmp_path / "audit", keys).findings] == []
