"""Sessions, revocations and used-up keys in the Redis that sidecars share (spec 5.1)."""

from sidegate.app.blueprint import cache_folder
from sidegate.config.held import Settings
from sidegate.credentials.keeper import StateKeeper
from sidegate.credentials.ports import SharedState
from sidegate.credentials.redis_state import RedisState
from sidegate.credentials.redis_store import RedisStore
from sidegate.credentials.verifier import DEFAULT_PATIENCE as PATIENCE
from sidegate.redis_link.link import Link, open_link
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.tasks import TaskSet


class StateInRedis:
    """See :class:`sidegate.app.shared_state.OpenedState`."""

    def __init__(self, url: str, settings: Settings, clock: Clock, part: str) -> None:
        self._tasks = TaskSet()
        self._link = open_link(url, timeout=PATIENCE)
        self._shared = RedisState(
            RedisStore(self._link),
            clock,
            self._tasks,
            patience=PATIENCE,
            max_staleness=settings.sessions.max_staleness_ms,
        )
        self._keeper = (
            StateKeeper(
                self._shared,
                cache_folder(settings),
                part,
                source=str(self._link.address),
                max_staleness=settings.sessions.max_staleness_ms,
                clock=clock,
            )
            if settings.cache.max_bytes
            else None
        )
        self.state: SharedState = self._shared
        self.link: Link | None = self._link

    async def start(self) -> None:
        """See :meth:`sidegate.app.shared_state.OpenedState.start`."""
        if self._keeper is not None:
            # Before anything is heard, so that nothing older is believed.
            await self._keeper.resume()
            self._tasks.spawn(self._keeper.run(), "keep_state")
        await self._link.look()
        self._link.start(self._tasks)
        await self._shared.connect()
        self._tasks.spawn(self._shared.run(), "follow_state")
        self._tasks.spawn(self._shared.watch(), "watch_state")

    async def close(self) -> None:
        """See :meth:`sidegate.app.shared_state.OpenedState.close`."""
        await self._tasks.close()
        await self._shared.flush()
        if self._keeper is not None:
            await self._keeper.close()
        await self._link.close()
