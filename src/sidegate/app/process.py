"""What every process of a sidecar has: policy, trail, metrics, and an end in good order."""

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING, Final

from sidegate.app.blueprint import Blueprint, trail_settings
from sidegate.app.garbage import leave_alone
from sidegate.app.policy import Policy
from sidegate.app.shipping import Shipping
from sidegate.audit.trail import AuditTrail, DropCause
from sidegate.telemetry import catalogue
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.log import get_log, log_unhandled
from sidegate.telemetry.loop_lag import LoopLag, OnBeat
from sidegate.telemetry.metrics import Metrics
from sidegate.telemetry.tasks import TaskSet

if TYPE_CHECKING:
    from sidegate.redis_link.link import Link

_log: Final = get_log("app")

_NANOS_PER_MILLI: Final = 1_000_000
_NANOS_PER_SECOND: Final = 1_000_000_000


class Process:
    """The common parts of one process.

    Args:
        blueprint: What to build.
        part: Name of this process among those of the sidecar: ``w0``, ``w1`` …, ``admin``.
        policy: What it decides with.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        part: str,
        policy: Policy,
    ) -> None:
        self.blueprint = blueprint
        self.part = part
        self.clock = SystemClock()
        self.metrics = Metrics()
        self.tasks = TaskSet()
        self.policies = policy.source
        self._policy = policy
        self._links: list[Link] = []
        self.trail = AuditTrail(trail_settings(blueprint.settings, part), blueprint.signer, self.clock)
        self._shipping = Shipping(blueprint, part, self.trail, self.clock)
        self._on_beat: OnBeat | None = None
        self._lag = LoopLag(self.metrics, self.clock, self._beat)
        self.stopping = asyncio.Event()
        self.hurried = asyncio.Event()

    def start(self) -> None:
        """Open the trail, follow the policy, measure the loop. Called on the running loop.

        Raises:
            ConfigError: Another process writes the same spool.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_unhandled)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop, number)
        self.trail.open()
        self._shipping.start(self.tasks)
        self._watch_gauges()
        self._lag.start()
        self._policy.follow(self.tasks)
        leave_alone()

    async def close(self) -> None:
        """End in good order: nothing recorded is lost, the chain is signed."""
        self._lag.close()
        # While the shippers run: the signed end of the chain belongs into the stream too, and the spool may go with us.
        await self.trail.close()
        await self._flush()
        await self.tasks.close()
        await self._policy.close()
        await self._shipping.close()

    def on_beat(self, told: OnBeat) -> None:
        """Have *told* called with the monotonic clock a few times a second."""
        self._on_beat = told

    @property
    def has_redis(self) -> bool:
        """Whether anything of it is in Redis."""
        return bool(self._links)

    def redis_problems(self) -> "list[str | None]":
        """Return what is wrong with each Redis; None for one that is there."""
        return [link.problem for link in self._links]

    def watch_link(self, link: "Link | None") -> None:
        """Let `sidegate_redis_up` tell about *link* too: it is 1 only while all of them are up."""
        if link is not None:
            self._links.append(link)
            self.metrics.watch(catalogue.REDIS_UP, lambda: min(one.gauge() for one in self._links))

    # Within.

    async def _flush(self) -> None:
        """Let the sinks have the rest, unless a second signal says to end at once."""
        flushed = self.tasks.start(self._shipping.flush(), "flush_sinks")
        hurried = self.tasks.start(self.hurried.wait(), "await_second_signal")
        await asyncio.wait({flushed, hurried}, return_when=asyncio.FIRST_COMPLETED)

    def _beat(self, now_ns: int) -> None:
        if self._on_beat is not None:
            self._on_beat(now_ns)

    def _asked_to_stop(self, number: int) -> None:
        """Stop in order; asked a second time, at once (spec 2.8)."""
        if self.stopping.is_set():
            self.hurried.set()
        else:
            _log.info("stop_requested", signal=signal.Signals(number).name)
            self.stopping.set()

    def _watch_gauges(self) -> None:
        metrics, trail = self.metrics, self.trail
        metrics.watch(catalogue.AUDIT_SPOOLED_BYTES, lambda: trail.spooled_bytes)
        metrics.watch(
            catalogue.AUDIT_OLDEST_UNSHIPPED_SECONDS, lambda: int(trail.oldest_unshipped_seconds * _NANOS_PER_SECOND)
        )
        metrics.watch(catalogue.SNAPSHOT_LOAD_FAILURES, lambda: self._policy.failures)
        metrics.watch(catalogue.SNAPSHOT_REVISION_LAG, self._policy.lag)
        metrics.watch(catalogue.SNAPSHOT_AGE_SECONDS, self._policy_age_ns)
        metrics.watch(catalogue.SNAPSHOT_FINGERPRINT, self._policy.fingerprint)
        limit = self._policy.age_limit
        metrics.set_gauge(catalogue.SNAPSHOT_AGE_LIMIT_SECONDS, None if limit is None else limit * _NANOS_PER_MILLI)
        metrics.set_gauge(catalogue.AUDIT_SPOOL_LIMIT_BYTES, trail.limit_bytes)
        self.watch_link(self._policy.link)
        metrics.watch(catalogue.SUBJECTS_CACHED, self._policy.subjects_cached)
        for cause in DropCause:
            metrics.watch(catalogue.AUDIT_DROPPED, partial(trail.dropped.__getitem__, cause), (cause.value,))

    def _policy_age_ns(self) -> int | None:
        checked_at = self.policies.checked_at
        return None if checked_at is None else max(0, self.clock.now() - checked_at) * _NANOS_PER_MILLI
