"""Ships what is spooled to the configured sinks (spec 5.6): a shipper per sink and sidecar."""

import asyncio
import contextlib
from typing import Final

from sidegate.app.blueprint import Blueprint, running_parts, sidecar_name, trail_settings
from sidegate.audit.leftovers import find_leftovers
from sidegate.audit.ports import Sink
from sidegate.audit.shipper import Shipper
from sidegate.audit.sinks.making import make_sink
from sidegate.audit.trail import AuditTrail, TrailSettings
from sidegate.core.model.errors import ConfigError
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("app")

COLLECTING_PART: Final = "w0"
"""The process that also ships what sidecars left behind that run no more."""


FLUSH_S: Final = 2.0
"""At the end, so long is waited for sinks that answer: with the default drain it stays within the 30 s that Kubernetes
gives a pod. What they do not have by then goes at the next start."""


class Shipping:
    """The shippers of one process.

    Args:
        blueprint: What is configured.
        part: Name of the process among those of the sidecar.
        trail: Its own, opened.
        clock: For the trails of those that run no more.
    """

    def __init__(self, blueprint: Blueprint, part: str, trail: AuditTrail, clock: Clock) -> None:
        self._blueprint = blueprint
        self._part = part
        self._trail = trail
        self._clock = clock
        self._sinks: list[Sink] = []
        self._shippers: list[Shipper] = []
        self._left: list[AuditTrail] = []

    def start(self, tasks: TaskSet) -> None:
        """Ship from now on, until *tasks* is closed."""
        configured = self._blueprint.settings.audit.sinks
        if not configured:
            return
        own = trail_settings(self._blueprint.settings, self._part)
        self._ship(own, self._trail, tasks)
        if self._part == COLLECTING_PART:
            self._ship_leftovers(own, tasks)

    async def flush(self) -> None:
        """Wait until the sinks have what the process wrote, the signed end of its chain included (spec 2.8, 5.7)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await asyncio.gather(*(shipper.caught_up() for shipper in self._shippers))

    async def close(self) -> None:
        """Let go of what is held. Close the task set first, and the process's own trail."""
        for trail in self._left:
            await trail.close()
        for sink in self._sinks:
            await sink.close()

    # Within.

    def _ship(self, settings: TrailSettings, trail: AuditTrail, tasks: TaskSet) -> None:
        for configured in self._blueprint.settings.audit.sinks:
            sink = make_sink(configured, tasks)
            self._sinks.append(sink)
            shipper = Shipper(settings.root / settings.sidecar, settings.sidecar, trail, sink)
            self._shippers.append(shipper)
            tasks.spawn(shipper.run(), f"ship_{settings.sidecar}_to_{sink.name}")

    def _ship_leftovers(self, own: TrailSettings, tasks: TaskSet) -> None:
        """Take over the chains of processes that are not started any more: fewer workers, another name."""
        settings = self._blueprint.settings
        running = {sidecar_name(settings, part) for part in running_parts(settings)}
        names = [sink.kind for sink in settings.audit.sinks]
        for sidecar in find_leftovers(own.root, running, names):
            left = TrailSettings(
                own.root, sidecar, own.limits, own.checkpoint_records, own.checkpoint_every, own.checkpoint_copy
            )
            trail = AuditTrail(left, self._blueprint.signer, self._clock)
            try:
                trail.open()
            except ConfigError:
                continue  # it runs after all, outside this sidecar
            _log.info("leftover_spool_taken", sidecar=sidecar)
            self._left.append(trail)
            self._ship(left, trail, tasks)
