"""The shared state over Redis: what is used is held in memory, and followed; nothing else is.

What a credential rests on is fetched on its first use here (:mod:`redis_fetching`). From then on the stream of changes
tells what is revoked (:mod:`redis_following`). Whoever missed changes forgets everything and fetches anew what is used
(spec 5.3). While Redis is away what is held goes on being believed for ``max_staleness``, then nothing is (spec 5.4).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import KeySeen, Revoked, SessionSeen
from sidegate.credentials.facts import GENERATION
from sidegate.credentials.held import HeldFacts
from sidegate.credentials.ports import AT_ONCE, PENDING, Fact, OnConsumed, OnFetched, Pending
from sidegate.credentials.redis_fetching import FactFetcher, refuse
from sidegate.credentials.redis_following import PAUSE_S, ChangeFollower
from sidegate.credentials.redis_store import RedisStore
from sidegate.credentials.redis_writing import UseWriter
from sidegate.credentials.table import OnRevoked, SessionRecord, judge_revocations
from sidegate.credentials.waiting import Deadlined
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

DEFAULT_MAX_STALENESS: Final = Millis(15 * 60 * 1000)
"""Spec 5.4."""

_log: Final = get_log("credentials")


class RedisState:
    """Sessions, revocations and used-up keys that all sidecars share.

    Args:
        store: Where they are kept.
        clock: Wall and monotonic.
        tasks: Where what runs beside requests runs.
        patience: How long a request waits.
        max_staleness: How long what is held is believed without word from Redis.
        capacity: Facts held per generation.

    Attributes:
        version: Grows with everything that can refuse a credential that was good before.
        failure: Why nothing can be relied on at present; None when something can.
        held: What is held.
        following: Where this process is in the stream of changes.
    """

    __slots__ = (
        "_fetcher",
        "_is_given_up",
        "_max_staleness",
        "_patience_s",
        "_store",
        "_subscribers",
        "_writer",
        "failure",
        "following",
        "held",
        "version",
    )

    def __init__(
        self,
        store: RedisStore,
        clock: Clock,
        tasks: TaskSet,
        *,
        patience: Millis,
        max_staleness: Millis = DEFAULT_MAX_STALENESS,
        capacity: int = GENERATION,
    ) -> None:
        self._store = store
        self._patience_s = patience / 1000
        self._max_staleness = max_staleness
        self._subscribers: list[OnRevoked] = []
        self._is_given_up = False
        # Plain attributes: they are read for every request, and a property costs three times as much.
        self.version = 0
        self.failure: str | None = "sessions and revocations were not read from redis yet"
        self.held = HeldFacts(clock, self._outdate, capacity)
        self.following = ChangeFollower(
            store,
            self.held.remembered,
            clock,
            max_staleness,
            on_revoked=self._take,
            on_missed=self._forget,
            on_heard=self._rely,
        )
        self._fetcher = FactFetcher(store, self.held, self.following, clock, tasks)
        self._writer = UseWriter(store, self.held, self.following, clock, tasks)

    # What the verifier asks.

    def missing(self, facts: Sequence[Fact]) -> tuple[Fact, ...]:
        """Return those of *facts* that have to be fetched."""
        return tuple([fact for fact in facts if not self.held.is_held(fact)])

    def fetch(self, facts: Sequence[Fact], on_fetched: OnFetched) -> None:
        """Fetch *facts*, together with what others ask for meanwhile."""
        if self.failure is not None:
            refuse(on_fetched)
            return
        self._fetcher.fetch(facts, on_fetched)

    def is_outdated(self, record: SessionRecord, idle: Millis) -> bool:
        """Whether *record* was read before the session became idle: others may know better."""
        if record.read_at is not None and record.read_at >= record.last_seen + idle:
            return False
        self.held.doubt(record.id)
        return True

    def find_session(self, session_id: str) -> SessionRecord | None:
        """Return what is held of a session."""
        return self.held.find_session(session_id)

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Return why *credential* is invalidated, None if it is not."""
        return judge_revocations(credential, started, self.held.is_revoked, self.held.is_consumed)

    def record_activity(self, seen: SessionSeen, due: Millis = AT_ONCE) -> SessionRecord:
        """Record that a session was used: here at once, in Redis soon."""
        return self._writer.record_activity(seen, due)

    def record_key_use(self, seen: KeySeen) -> None:
        """Record that a key was used; it is lost when Redis is away."""
        self._writer.record_key_use(seen)

    def consume_key(
        self, credential: VerifiedCredential, now: UnixMillis, on_consumed: OnConsumed
    ) -> Reason | Pending | None:
        """Use a single-use key up. What Redis did not confirm in time is refused, and may be used up all the same."""
        waiting: Deadlined[Reason | None] = Deadlined(on_consumed, Reason.POLICY_UNAVAILABLE, self._patience_s)
        self._writer.consume(credential, now, waiting.tell)
        return PENDING

    def subscribe(self, on_revoked: OnRevoked) -> Callable[[], None]:
        """Tell *on_revoked* about each revocation from now on; the answer ends it."""
        self._subscribers.append(on_revoked)

        def unsubscribe() -> None:
            if on_revoked in self._subscribers:
                self._subscribers.remove(on_revoked)

        return unsubscribe

    # Keeping it current.

    async def run(self) -> None:
        """Follow changes until cancelled. To be started once as a task, beside :meth:`watch`."""
        try:
            await self.following.run()
        except Exception as error:
            self._give_up(error)
            raise

    async def watch(self) -> None:
        """See that nothing is believed for too long, and write what waits, until cancelled."""
        try:
            while True:
                await asyncio.sleep(PAUSE_S)
                self.judge_age()
                self._writer.write_soon()
        except Exception as error:
            self._give_up(error)
            raise

    async def connect(self) -> bool:
        """Take in what was missed; returns whether Redis was there and can be believed."""
        return await self.following.connect()

    async def step(self, block: Millis) -> None:
        """Take in what changed, waiting up to *block* for something.

        Raises:
            DependencyError: Redis is away.
        """
        await self.following.step(block)

    def resume(self) -> None:
        """Rely on what was taken over from an earlier process, for as long as that may be."""
        self.failure = None
        self.judge_age()

    def judge_age(self) -> None:
        """Believe nothing any more when it is too old."""
        age = self.following.age
        if self.failure is None and age is not None and age >= self._max_staleness:
            self.failure = f"nothing was heard from redis for {age} ms; {self._store.problem or 'look at its log'}"
            # So that credentials verified before are looked at again, and refused.
            self.version += 1
            _log.error("state_failed", why=self.failure)

    async def flush(self) -> None:
        """Write the uses that wait, as far as that is possible."""
        await self._writer.flush()

    # Within.

    def _outdate(self) -> None:
        self.version += 1

    def _rely(self) -> None:
        if not self._is_given_up:
            self.failure = None

    def _give_up(self, error: Exception) -> None:
        """Believe nothing any more: nobody follows revocations, or sees how old what is held is."""
        self._is_given_up = True
        self.failure = f"revocations are followed no more ({type(error).__name__}: {error}); restart sidegate"
        self.version += 1

    def _forget(self) -> None:
        self._fetcher.discard()
        self.held.forget()

    def _take(self, event: Revoked) -> None:
        self._fetcher.note_revoked(event)
        self.held.revoke(event)
        for on_revoked in tuple(self._subscribers):
            on_revoked(event)
