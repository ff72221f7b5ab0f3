"""A disk that is really full: a small file system of its own (spec 5.6, 3)."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AuditTrail, DropCause, TrailSettings
from sidegate.audit.verify import verify
from sidegate.core.model.units import Millis
from sidegate.core.trail.checkpoint import CheckpointSigner
from sidegate.core.trail.durability import Durability, OnFull
from sidegate.core.trail.record import OpenRecord
from sidegate.telemetry.clock import ManualClock

_RETRY = Millis(250)
_RECORD = OpenRecord(b'{"v":1,"record":"decision","pad":"%b"' % (b"x" * 3000))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


class _Counter:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.recorded_count = 0
        self.unrecorded_count = 0

    def recorded(self) -> None:
        """One more."""
        self.recorded_count += 1

    def unrecorded(self) -> None:
        """One more."""
        self.unrecorded_count += 1

    async def wait_for(self, count: int) -> None:
        """Let the loop turn until so many were told one or the other."""
        async with asyncio.timeout(30):
            while self.recorded_count + self.unrecorded_count < count:  # noqa: ASYNC110  a thread works meanwhile
                await asyncio.sleep(0)


@pytest.mark.parametrize("durability", [Durability.PROCESS, Durability.HOST])
async def test_full_disk_denies_and_recovers(durability: Durability, disk: Path) -> None:
    """Nothing is told recorded that is not there, and all of it is intact afterwards."""
    signer = CheckpointSigner(Ed25519PrivateKey.generate())
    clock, counter = ManualClock(), _Counter()
    limits = SpoolLimits(segment_bytes=100_000, reserve_bytes=0, durability=durability)
    trail = AuditTrail(TrailSettings(disk / "audit", "host-w0", limits), signer, clock)
    trail.open()
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 500_000)
    submitted = 0
    while not counter.unrecorded_count:
        for _ in range(7):
            trail.submit(_RECORD, counter)
        submitted += 7
        await counter.wait_for(submitted)
    problem = trail.writable
    assert problem is not None
    assert "is full" in str(problem)
    assert trail.dropped[DropCause.SPOOL_FULL] == counter.unrecorded_count
    before = counter.recorded_count

    ballast.unlink()
    clock.advance(_RETRY)
    trail.submit(_RECORD, counter)
    await counter.wait_for(submitted + 1)
    assert counter.recorded_count == before + 1
    await trail.close()
    report = verify(disk / "audit", None)
    assert [str(finding) for finding in report.findings] == []
    assert report.chains[0].records == counter.recorded_count


async def test_full_disk_drops_the_oldest_where_that_is_wanted(disk: Path) -> None:
    """``on_full: drop_oldest``: the reserve makes room before the disk is full, and nobody is refused."""
    signer = CheckpointSigner(Ed25519PrivateKey.generate())
    counter = _Counter()
    limits = SpoolLimits(segment_bytes=60_000, reserve_bytes=300_000, on_full=OnFull.DROP_OLDEST)
    trail = AuditTrail(TrailSettings(disk / "audit", "host-w0", limits), signer, ManualClock())
    trail.open()
    for count in range(1, 601):
        trail.submit(_RECORD, counter)
        await counter.wait_for(count)
    await trail.close()
    assert counter.unrecorded_count == 0
    assert trail.dropped[DropCause.OLDEST_DROPPED] > 0
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > 200_000
    report = verify(disk / "audit", None)
    assert [str(finding) for finding in report.findings] == []
    assert report.chains[0].records == 600 - trail.dropped[DropCause.OLDEST_DROPPED]
