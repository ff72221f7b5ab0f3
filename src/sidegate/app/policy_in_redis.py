"""A policy that is in Redis (spec 5.1, 5.2)."""

import asyncio
from typing import Final

from sidegate.app.blueprint import cache_folder, running_parts
from sidegate.app.policy_fingerprint import fingerprint_of
from sidegate.config.endpoints import RedisSource
from sidegate.config.held import Settings
from sidegate.core.model.authority import Authority
from sidegate.core.model.errors import ConfigError, DependencyError, Problem
from sidegate.core.model.units import Millis
from sidegate.distribution.ports import PolicySource
from sidegate.distribution.redis_cache import PolicyCache
from sidegate.distribution.redis_follower import ChangeFollower
from sidegate.distribution.redis_source import RedisPolicies, SourceLimits
from sidegate.distribution.redis_trust import load_trusted_key, read_password
from sidegate.distribution.staleness import Staleness
from sidegate.redis_link.link import Link, open_link
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("app")

_PRELOAD_PAUSE_S: Final = 1.0


class PolicyInRedis:
    """See :class:`sidegate.app.policy.Policy`.

    Raises:
        ConfigError: A key, the password or the address cannot be read.
    """

    def __init__(self, source: RedisSource, settings: Settings, part: str) -> None:
        policy, clock = settings.policy, SystemClock()
        password = None if policy.password_file is None else read_password(policy.password_file)
        try:
            link = open_link(source.url, password=password, timeout=policy.timeout_ms)
        except ValueError as error:
            raise ConfigError((Problem(None, "policy.source", f"is {source}: {error}", "correct it"),)) from None
        self.failures = 0
        staleness = staleness_of(settings)
        self.age_limit: Millis | None = staleness.shortest
        self.link: Link | None = link
        self._link = link
        self._preload = policy.preload
        self._policies = RedisPolicies(
            link,
            clock,
            trusted=None if policy.public_key is None else load_trusted_key(policy.public_key.path),
            limits=SourceLimits(policy.max_subjects, policy.timeout_ms, staleness),
            on_failure=self._note_failure,
        )
        self.source: PolicySource = self._policies
        self._follower = ChangeFollower(link, self._policies, clock)
        # Each process keeps what it has in memory; the room is the sidecar's.
        room = settings.cache.max_bytes // len(running_parts(settings))
        self._cache = (
            PolicyCache(
                cache_folder(settings),
                part,
                str(link.address),
                max_bytes=room,
                max_read_bytes=settings.cache.max_bytes,
                max_age=staleness.longest,
                clock=clock,
            )
            if room
            else None
        )

    def follow(self, tasks: TaskSet) -> None:
        """See :meth:`sidegate.app.policy.Policy.follow`."""
        tasks.spawn(self._begin(tasks), "policy_begin")

    async def _begin(self, tasks: TaskSet) -> None:
        """Begin with what an earlier process knew: before anything is heard, so that nothing older is believed."""
        if self._cache is not None:
            kept = await self._cache.load()
            if kept is not None:
                self._policies.begin_with(kept)
            self._cache.start(self._policies, tasks)
        # Known before anything is asked: a process that is ready must not refuse because nobody looked yet.
        await self._link.look()
        self._link.start(tasks)
        self._policies.start(tasks)
        self._follower.start(tasks)
        if self._preload:
            tasks.spawn(self._load_all(), "policy_preload")

    def lag(self) -> int:
        """See :meth:`sidegate.app.policy.Policy.lag`."""
        return self._policies.lag

    def fingerprint(self) -> int | None:
        """See :meth:`sidegate.app.policy.Policy.fingerprint`. What is in memory differs; where it is from does not."""
        position = self._follower.position
        return None if position is None else fingerprint_of(position)

    def subjects_cached(self) -> int:
        """See :meth:`sidegate.app.policy.Policy.subjects_cached`."""
        return self._policies.subjects_cached

    async def close(self) -> None:
        """See :meth:`sidegate.app.policy.Policy.close`."""
        if self._cache is not None:
            await self._cache.close()
        await self._link.close()

    def _note_failure(self) -> None:
        self.failures += 1

    async def _load_all(self) -> None:
        """Load what is to be there before it is asked for; a Redis that is away is waited for."""
        for org in self._preload:
            while True:
                try:
                    await self._policies.preload(org)
                except DependencyError:
                    await asyncio.sleep(_PRELOAD_PAUSE_S)
                else:
                    _log.info("organization_preloaded", organization=org)
                    break


def staleness_of(settings: Settings) -> Staleness:
    """Return how old the policy may be."""
    written = settings.policy.max_staleness
    named = {authority: getattr(written, authority.value) for authority in Authority}
    return Staleness(written.default, {authority: age for authority, age in named.items() if age is not None})
