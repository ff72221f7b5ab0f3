"""Fetches facts on their first use: all that wait together, in one round trip, never more than can be held."""

import asyncio
from collections.abc import Sequence
from typing import Final

from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.core.model.units import UnixMillis
from sidegate.credentials.events import Revoked
from sidegate.credentials.held import HeldFacts
from sidegate.credentials.ports import Fact, OnFetched
from sidegate.credentials.redis_following import ChangeFollower
from sidegate.credentials.redis_store import OtherDataError, RedisStore
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

MAX_WAITING: Final = 4096
"""Facts that wait to be fetched; more are refused at once, so that junk cannot fill the memory."""

_log: Final = get_log("credentials")


class FactFetcher:
    """Fetches what is asked for.

    Args:
        store: Where facts are kept.
        held: Where they go.
        following: Knows which data may be believed at present.
        clock: Wall.
        tasks: Where what runs beside requests runs.
    """

    __slots__ = ("_clears", "_clock", "_fetching", "_following", "_held", "_pumping", "_store", "_tasks", "_waiting")

    def __init__(
        self, store: RedisStore, held: HeldFacts, following: ChangeFollower, clock: Clock, tasks: TaskSet
    ) -> None:
        self._store = store
        self._held = held
        self._following = following
        self._clock = clock
        self._tasks = tasks
        self._waiting: dict[Fact, list[OnFetched]] = {}
        self._fetching: dict[Fact, UnixMillis | None] = {}
        self._clears = 0
        self._pumping = False

    def fetch(self, facts: Sequence[Fact], on_fetched: OnFetched) -> None:
        """Fetch *facts*, together with what others ask for meanwhile; *on_fetched* is told on the event loop."""
        if self._following.readable_epoch is None or len(self._waiting) + len(facts) > MAX_WAITING:
            refuse(on_fetched)
            return
        waiting = _Countdown(len(facts), on_fetched)
        for fact in facts:
            self._waiting.setdefault(fact, []).append(waiting.tell)
        if not self._pumping:
            self._pumping = True
            self._tasks.spawn(self._pump(), "fetch_facts")

    def note_revoked(self, event: Revoked) -> None:
        """Note a revocation: what is on its way from Redis may have been read before it."""
        fact = (event.kind, event.id)
        if fact in self._fetching:
            self._fetching[fact] = max(event.at, self._fetching[fact] or event.at)

    def discard(self) -> None:
        """Have what is on its way thrown away: it was read before something that was missed."""
        self._clears += 1

    async def _pump(self) -> None:
        """Fetch what waits, all of it together, until nothing does."""
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                had = await self._fetch(tuple(waiting))
                loop = asyncio.get_running_loop()
                for fact, listeners in waiting.items():
                    for tell in listeners:
                        # Each by itself: what one of them breaks must not keep the others waiting.
                        loop.call_soon(tell, fact in had)
        finally:
            self._pumping = False

    async def _fetch(self, facts: Sequence[Fact]) -> set[Fact]:
        """Fetch *facts* and return those that could be had."""
        for fact in facts:
            self._fetching[fact] = None
        clears, epoch = self._clears, self._following.readable_epoch
        try:
            found = {} if epoch is None else await self._store.read_facts(facts, self._clock.now(), epoch)
        except OtherDataError as error:
            _log.debug("facts_unread", why=str(error))
            self._following.doubt()
            found = {}
        except (DependencyError, IntegrityError) as error:
            _log.debug("facts_unread", why=str(error))
            found = {}
        if clears != self._clears:
            found = {}
        for fact, known in found.items():
            self._held.learn(fact, known, self._fetching.get(fact))
        self._fetching.clear()
        self._held.notice_forgetting()
        return set(found)


def refuse(on_fetched: OnFetched) -> None:
    """Tell *on_fetched*, on the event loop, that nothing can be had."""
    asyncio.get_running_loop().call_soon(on_fetched, False)  # noqa: FBT003  the port's form


class _Countdown:
    """Tells one listener when each of several facts was fetched, or that one could not be."""

    __slots__ = ("_all_had", "_left", "_on_fetched")

    def __init__(self, facts: int, on_fetched: OnFetched) -> None:
        self._left = facts
        self._all_had = True
        self._on_fetched = on_fetched

    def tell(self, could_be_had: bool) -> None:  # noqa: FBT001  the port's form
        """Count one."""
        self._left -= 1
        self._all_had = self._all_had and could_be_had
        if not self._left:
            self._on_fetched(self._all_had)
