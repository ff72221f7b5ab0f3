"""A process that records without end, and says on standard output what it was told is recorded.

Arguments: the spool's folder, the durability. Each line it prints is the id of one record whose waiter heard
``recorded()``: whatever happens to the process afterwards, that record has to be in the spool.
"""

import asyncio
import os
import sys
from pathlib import Path

from sidegate.audit.keys import load_signer
from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AuditTrail, TrailSettings
from sidegate.core.trail.durability import Durability
from sidegate.core.trail.record import OpenRecord
from sidegate.telemetry.clock import SystemClock

_IN_FLIGHT = 16


class Requester:
    """Records one thing after the other, like a connection does."""

    def __init__(self, trail: AuditTrail, clock: SystemClock) -> None:
        self._trail = trail
        self._clock = clock
        self._id = b""

    def ask(self) -> None:
        """Submit the next record."""
        now = self._clock.now()
        self._id = self._trail.next_id(now)
        record = b'{"v":1,"record":"decision","id":"%b","time":"%b"' % (self._id, self._trail.instant(now))
        self._trail.submit(OpenRecord(record), self)

    def recorded(self) -> None:
        """Say so, at once and past every buffer, then go on."""
        os.write(1, self._id + b"\n")
        self.ask()

    def unrecorded(self) -> None:
        """Must not happen here."""
        os.write(2, b"unrecorded\n")


async def _main() -> None:
    root, clock = Path(sys.argv[1]), SystemClock()
    limits = SpoolLimits(segment_bytes=100_000, reserve_bytes=0, durability=Durability(sys.argv[2]))
    trail = AuditTrail(TrailSettings(root, "host-w0", limits, checkpoint_records=50), load_signer(root), clock)
    trail.open()
    for _ in range(_IN_FLIGHT):
        Requester(trail, clock).ask()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
