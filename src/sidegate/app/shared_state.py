"""Where sessions, revocations and used-up keys are: on this machine, or in the Redis that sidecars share."""

from typing import TYPE_CHECKING, Final, Protocol

from sidegate.app.blueprint import state_folder
from sidegate.config.held import Settings, shared_redis
from sidegate.core.model.units import Millis
from sidegate.credentials.follower import StateFollower
from sidegate.credentials.journal import DEFAULT_PATIENCE, JournalLog
from sidegate.credentials.ports import Registry, SharedState
from sidegate.credentials.state import FollowedState
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.tasks import TaskSet

if TYPE_CHECKING:
    from sidegate.redis_link.link import Link

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
    link: "Link | None"

    async def start(self) -> None:
        """Read what there is and follow it."""

    async def close(self) -> None:
        """Write what waits and let go."""


def open_state(settings: Settings, clock: Clock, part: str) -> OpenedState:
    """Open the state of a sidecar, on the running loop.

    Args:
        settings: As configured.
        clock: Wall and monotonic.
        part: Name of this process among those of the sidecar.

    Raises:
        IntegrityError: The journal of this machine is not what was written.
        DependencyError: It cannot be opened. A Redis that is away is no error: it may come back.
    """
    source = shared_redis(settings)
    if source is None:
        return _Embedded(settings, clock)
    # Only here: the client library is a sixth of the memory of a process that has no use for it.
    from sidegate.app.state_in_redis import StateInRedis  # noqa: PLC0415

    return StateInRedis(source.url, settings, clock, part)


def open_registry(settings: Settings) -> Registry:
    """Open the same for administration; what is changed is seen by running sidecars.

    Raises:
        IntegrityError: As for :func:`open_state`.
        DependencyError: It cannot be opened, or Redis is away.
    """
    source = shared_redis(settings)
    if source is None:
        return FollowedState(JournalLog(state_folder(settings), ADMIN_PATIENCE))
    from sidegate.credentials.registry import RedisRegistry  # noqa: PLC0415  (as above)

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
