"""Where sessions, revocations and used-up keys are: on this machine, or in the Redis that sidecars share."""

from typing import Final, Protocol

from sidegate.app.blueprint import state_folder
from sidegate.config.settings import Settings
from sidegate.config.settings_model import shared_redis
from sidegate.core.model.units import Millis
from sidegate.credentials.follower import StateFollower
from sidegate.credentials.journal import DEFAULT_PATIENCE, JournalLog
from sidegate.credentials.ports import Registry, SharedState
from sidegate.credentials.redis_state import RedisState
from sidegate.credentials.redis_store import RedisStore
from sidegate.credentials.registry import RedisRegistry
from sidegate.credentials.state import FollowedState
from sidegate.credentials.verifier import DEFAULT_PATIENCE as PATIENCE
from sidegate.redis_link.link import Link, open_link
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.tasks import TaskSet

__all__ = ["OpenedState", "open_registry", "open_state"]

ADMIN_PATIENCE: Final = Millis(5_000)
"""How long a command waits for a worker's write; nobody else waits for it."""


class OpenedState(Protocol):
    """A shared state and whatever keeps it current.

    Attributes:
        state: What the verifier asks.
        link: To Redis, if it is there.
    """

    state: SharedState
    link: Link | None

    async def start(self) -> None:
        """Read what there is and follow it."""

    async def close(self) -> None:
        """Write what waits and let go."""


def open_state(settings: Settings, clock: Clock) -> OpenedState:
    """Open the state of a sidecar, on the running loop.

    Raises:
        IntegrityError: The journal of this machine is not what was written.
        DependencyError: It cannot be opened. A Redis that is away is no error: it may come back.
    """
    source = shared_redis(settings)
    return _Embedded(settings, clock) if source is None else _InRedis(source.url, settings, clock)


def open_registry(settings: Settings) -> Registry:
    """Open the same for administration; what is changed is seen by running sidecars.

    Raises:
        IntegrityError: As for :func:`open_state`.
        DependencyError: It cannot be opened, or Redis is away.
    """
    source = shared_redis(settings)
    if source is None:
        return FollowedState(JournalLog(state_folder(settings), ADMIN_PATIENCE))
    return RedisRegistry(source.url)


class _Embedded:
    def __init__(self, settings: Settings, clock: Clock) -> None:
        folder = state_folder(settings)
        log = JournalLog(folder, DEFAULT_PATIENCE)
        self._followed = FollowedState(log)
        self._follower = StateFollower(self._followed, log, folder, clock)
        self._tasks = TaskSet()
        self.state: SharedState = self._followed
        self.link: Link | None = None

    async def start(self) -> None:
        self._tasks.spawn(self._follower.run(), "follow_state")

    async def close(self) -> None:
        await self._tasks.close()
        self._followed.close()


class _InRedis:
    def __init__(self, url: str, settings: Settings, clock: Clock) -> None:
        self._tasks = TaskSet()
        self._link = open_link(url, timeout=PATIENCE)
        self._shared = RedisState(
            RedisStore(self._link),
            clock,
            self._tasks,
            patience=PATIENCE,
            max_staleness=settings.sessions.max_staleness_ms,
        )
        self.state: SharedState = self._shared
        self.link: Link | None = self._link

    async def start(self) -> None:
        await self._link.look()
        self._link.start(self._tasks)
        await self._shared.connect()
        self._tasks.spawn(self._shared.run(), "follow_state")
        self._tasks.spawn(self._shared.watch(), "watch_state")

    async def close(self) -> None:
        await self._tasks.close()
        await self._shared.flush()
        await self._link.close()
