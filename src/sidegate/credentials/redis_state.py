"""The shared state over Redis: what is used is held in memory, and followed; nothing else is.

What a credential rests on is fetched on its first use here. From then on the stream of changes tells what is revoked.
Whoever missed changes forgets everything and fetches anew what is used (spec 5.3). While Redis is away what is held
goes on being believed for ``max_staleness``, then nothing is (spec 5.4).
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from cachetools import FIFOCache

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import KeySeen, Revoked, RevokedKind, SessionSeen, key_name
from sidegate.credentials.facts import GENERATION, FactTable
from sidegate.credentials.ports import AT_ONCE, PENDING, Fact, OnConsumed, OnFetched, Pending
from sidegate.credentials.redis_store import BEGINNING, KnownFact, RedisStore, Standing, StreamId
from sidegate.credentials.table import SESSION_RETENTION, OnRevoked, SessionRecord, judge_revocations
from sidegate.credentials.waiting import Deadlined
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

DEFAULT_MAX_STALENESS: Final = Millis(15 * 60 * 1000)
"""Spec 5.4."""
HEARTBEAT: Final = Millis(1000)
"""How long a read of the stream waits at most: so often it is proved that nothing was missed."""
PAUSE_S: Final = 0.1
"""Before Redis is tried again; the link itself looks for it more often."""
MAX_WAITING: Final = 4096
"""Facts that wait to be fetched; more are refused at once, so that junk cannot fill the memory."""
MAX_PENDING: Final = 100_000
"""Uses that wait to be written; above it they are not recorded, and so not counted by others."""
REMEMBERED_REVOCATIONS: Final = 10_000
"""Written again when Redis has lost them: a fail-over can lose its last moments, a restart without its file all."""
DOUBTED: Final = Millis(60_000)
"""How much of the last of these is written again after any interruption."""

_SHORTEST: Final = Millis(1)
"""Redis takes 0 for "for ever"."""
_ABSENT: Final = 2048
"""Sessions that are not there, apart from those that are: junk evicts only junk."""
_ABSENT_FOR: Final = Millis(2000)
_INDEX_EVERY: Final = Millis(24 * 60 * 60 * 1000)

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
    """

    __slots__ = (
        "_absent",
        "_clears",
        "_clock",
        "_epoch",
        "_facts",
        "_fetching",
        "_forgotten",
        "_heard_at_ns",
        "_heartbeat",
        "_indexed",
        "_max_staleness",
        "_patience_s",
        "_pending",
        "_position",
        "_pumping",
        "_recent",
        "_sequence",
        "_store",
        "_subscribers",
        "_tasks",
        "_told",
        "_unrepaired",
        "_waiting",
        "_writing",
        "failure",
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
        self._clock = clock
        self._tasks = tasks
        self._patience_s = patience / 1000
        self._max_staleness = max_staleness
        # Well within it, or what is current would look too old between two beats.
        self._heartbeat = min(HEARTBEAT, Millis(max_staleness // 4))
        self._facts = FactTable(capacity)
        self._forgotten = 0
        self._clears = 0
        self._absent: FIFOCache[str, UnixMillis] = FIFOCache(_ABSENT)
        self._waiting: dict[Fact, list[OnFetched]] = {}
        self._fetching: dict[Fact, UnixMillis | None] = {}
        self._pumping = False
        self._pending: dict[str, tuple[SessionSeen, Millis, bool]] = {}
        self._indexed: FIFOCache[str, UnixMillis] = FIFOCache(_ABSENT * 8)
        self._writing = False
        self._recent: OrderedDict[Fact, Revoked] = OrderedDict()
        self._subscribers: list[OnRevoked] = []
        self._position: StreamId | None = None
        self._sequence = 0
        self._epoch = b""
        self._unrepaired = False
        self._heard_at_ns: int | None = None
        self._told: str | None = None
        self.version = 0
        self.failure: str | None = "sessions and revocations were not read from redis yet"

    # What the verifier asks.

    def missing(self, facts: Sequence[Fact]) -> tuple[Fact, ...]:
        """Return those of *facts* that have to be fetched."""
        return tuple([fact for fact in facts if not self._is_held(fact)])

    def fetch(self, facts: Sequence[Fact], on_fetched: OnFetched) -> None:
        """Fetch *facts*, together with what others ask for meanwhile."""
        if self.failure is not None or len(self._waiting) + len(facts) > MAX_WAITING:
            asyncio.get_running_loop().call_soon(on_fetched, False)  # noqa: FBT003  the port's form
            return
        waiting = _Countdown(len(facts), on_fetched)
        for fact in facts:
            self._waiting.setdefault(fact, []).append(waiting.tell)
        if not self._pumping:
            self._pumping = True
            self._spawn(self._pump(), "fetch_facts")

    def is_outdated(self, record: SessionRecord, idle: Millis) -> bool:
        """Whether *record* was read before the session became idle: others may know better."""
        if record.read_at is not None and record.read_at >= record.last_seen + idle:
            return False
        held = self._facts.find((RevokedKind.SESSION, record.id))
        if held is not None:
            held.is_doubtful = True
        return True

    def find_session(self, session_id: str) -> SessionRecord | None:
        """Return what is held of a session."""
        held = self._facts.find((RevokedKind.SESSION, session_id))
        return None if held is None else held.session

    def refusal_of(self, credential: VerifiedCredential, started: UnixMillis) -> Reason | None:
        """Return why *credential* is invalidated, None if it is not."""
        return judge_revocations(credential, started, self._is_revoked, self._is_consumed)

    def record_activity(self, seen: SessionSeen, due: Millis = AT_ONCE) -> SessionRecord:
        """Record that a session was used: here at once, in Redis soon."""
        held = self._facts.hold((RevokedKind.SESSION, seen.id))
        record = held.session
        if record is None:
            record = SessionRecord(
                seen.id, seen.account, seen.org, seen.surface, seen.started, seen.at, read_at=self._clock.now()
            )
            held.session = record
            self._notice_forgetting()
        else:
            self._merge(record, seen.started, seen.at)
        if len(self._pending) < MAX_PENDING:
            self._pending[seen.id] = (seen, due, record.limits is None)
            self._write_soon()
        return record

    def record_key_use(self, seen: KeySeen) -> None:
        """Record that a key was used; it is lost when Redis is away."""
        org, _, key_id = seen.id.partition("/")
        self._spawn(self._record_key_use(org, key_id, seen.at), "record_key_use")

    def consume_key(
        self, credential: VerifiedCredential, now: UnixMillis, on_consumed: OnConsumed
    ) -> Reason | Pending | None:
        """Use a single-use key up. What Redis did not confirm in time is refused, and may be used up all the same."""
        waiting: Deadlined[Reason | None] = Deadlined(on_consumed, Reason.POLICY_UNAVAILABLE, self._patience_s)
        self._spawn(self._consume(credential, now, waiting), "consume_key")
        return PENDING

    def subscribe(self, on_revoked: OnRevoked) -> Callable[[], None]:
        """Tell *on_revoked* about each revocation from now on; the answer ends it."""
        self._subscribers.append(on_revoked)

        def unsubscribe() -> None:
            if on_revoked in self._subscribers:
                self._subscribers.remove(on_revoked)

        return unsubscribe

    # Following Redis.

    @property
    def age(self) -> Millis | None:
        """How long ago it was proved that nothing was missed; None before the first time."""
        heard = self._heard_at_ns
        return None if heard is None else Millis(max(0, self._clock.monotonic_ns() - heard) // 1_000_000)

    async def run(self) -> None:
        """Follow changes until cancelled. To be started once as a task, beside :meth:`watch`."""
        while True:
            if await self.connect():
                try:
                    while True:
                        await self.step(self._heartbeat)
                except DependencyError as error:
                    self._tell(str(error))
            await asyncio.sleep(PAUSE_S)

    async def watch(self) -> None:
        """See that nothing is believed for too long, and write what waits, until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_S)
            self.judge_age()
            self._write_soon()

    async def connect(self) -> bool:
        """Find the place in the stream to follow from, and take in what was missed; returns whether Redis was there."""
        asked_at_ns = self._clock.monotonic_ns()
        try:
            standing = await self._store.synchronize(os.urandom(16).hex())
            await self._take_place(standing)
            # What changed while nobody listened comes before anything is believed again.
            while self._position is not None and self._position < standing.last:
                await self._read(_SHORTEST)
        except DependencyError as error:
            self._tell(str(error))
            return False
        self._hear(asked_at_ns)
        return True

    async def step(self, block: Millis) -> None:
        """Take in what changed, waiting up to *block* for something.

        Raises:
            DependencyError: Redis is away.
        """
        asked_at_ns = self._clock.monotonic_ns()
        found = await self._read(block)
        # What is proved is what was so when Redis answered, however late that arrives: an empty answer is given when
        # the time is up, one with something in it at any time after the question.
        waited_ns = 0 if found else block * 1_000_000
        self._hear(min(asked_at_ns + waited_ns, self._clock.monotonic_ns()))

    def judge_age(self) -> None:
        """Believe nothing any more when it is too old."""
        age = self.age
        if self.failure is None and age is not None and age >= self._max_staleness:
            self.failure = f"nothing was heard from redis for {age} ms; {self._store.problem or 'look at its log'}"
            # So that credentials verified before are looked at again, and refused.
            self.version += 1
            _log.error("state_failed", why=self.failure)

    async def flush(self) -> None:
        """Write the uses that wait, as far as that is possible."""
        while self._pending:
            session_id, (seen, due, is_signed) = next(iter(self._pending.items()))
            try:
                await self._write(seen, due, is_signed=is_signed)
            except RedisRefusedError as error:
                # Something is wrong with this one; the session's next use tries again.
                _log.debug("activity_refused", why=str(error))
            except DependencyError:
                return
            if self._pending.get(session_id, (None,))[0] is seen:
                del self._pending[session_id]

    # Within.

    async def _read(self, block: Millis) -> bool:
        changes = await self._store.read_changes(self._position or BEGINNING, block)
        for change in changes:
            self._position = change.at
            if change.sequence != self._sequence + 1 or not isinstance(change.event, Revoked):
                # Something is missing, or cannot be read: it may have revoked anything.
                _log.error("changes_broken", sequence=change.sequence, expected=self._sequence + 1)
                self._forget()
            self._sequence = change.sequence
            if isinstance(change.event, Revoked):
                self._take(change.event)
        return bool(changes)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.spawn(work, name)

    def _is_held(self, fact: Fact) -> bool:
        held = self._facts.find(fact)
        if held is not None:
            return not held.is_doubtful
        if fact[0] is not RevokedKind.SESSION:
            return False
        until = self._absent.get(fact[1])
        return until is not None and self._clock.now() < until

    def _is_revoked(self, kind: RevokedKind, revoked_id: str, issued_at: UnixMillis | None) -> bool:
        held = self._facts.find((kind, revoked_id))
        if held is None:
            # A session that is not there yet, just looked for; anything else has to be fetched before it is asked for.
            return kind is not RevokedKind.SESSION or revoked_id not in self._absent
        return held.revoked_at is not None and (issued_at is None or issued_at <= held.revoked_at)

    def _is_consumed(self, name: str) -> bool:
        held = self._facts.find((RevokedKind.KEY, name))
        return held is None or held.consumed

    def _merge(self, record: SessionRecord, started: UnixMillis, last_seen: UnixMillis) -> None:
        if started < record.started:
            record.started = started
            self.version += 1  # the end of the session moved forward
        record.last_seen = max(record.last_seen, last_seen)

    async def _pump(self) -> None:
        """Fetch what waits, all of it together, until nothing does."""
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                for fact in waiting:
                    self._fetching[fact] = None
                clears = self._clears
                try:
                    found = await self._store.read_facts(tuple(waiting), self._clock.now())
                except (DependencyError, IntegrityError) as error:
                    _log.debug("facts_unread", why=str(error))
                    found = {}
                if clears != self._clears:
                    found = {}  # read before what was missed
                for fact, known in found.items():
                    self._learn(fact, known)
                self._fetching.clear()
                self._notice_forgetting()
                loop = asyncio.get_running_loop()
                for fact, listeners in waiting.items():
                    for tell in listeners:
                        # Each by itself: what one of them breaks must not keep the others waiting.
                        loop.call_soon(tell, fact in found)
        finally:
            self._pumping = False

    def _learn(self, fact: Fact, known: KnownFact) -> None:
        told = [at for at in (known.revoked_at, self._fetching.get(fact), self._recent_at(fact)) if at is not None]
        if fact[0] is RevokedKind.SESSION and known.session is None and not told:
            held = self._facts.find(fact)
            if held is None or held.session is None or held.session.limits is not None:
                self._absent[fact[1]] = UnixMillis(self._clock.now() + _ABSENT_FOR)
                if held is not None:
                    held.session, held.is_doubtful = None, False
                return
        held = self._facts.hold(fact)
        held.is_doubtful = False
        held.consumed = held.consumed or known.consumed
        if told and held.revoke(max(told)):
            self.version += 1
        if known.session is not None:
            if held.session is None:
                held.session = known.session
            else:
                # In place: whoever holds the record sees it.
                self._merge(held.session, known.session.started, known.session.last_seen)
                held.session.read_at = known.session.read_at
        elif held.session is not None:
            held.session.read_at = self._clock.now()

    def _recent_at(self, fact: Fact) -> UnixMillis | None:
        recent = self._recent.get(fact)
        return None if recent is None else recent.at

    def _take(self, event: Revoked) -> None:
        fact = (event.kind, event.id)
        before = self._recent.get(fact)
        if before is None or before.at < event.at:
            self._recent[fact] = event
            self._recent.move_to_end(fact)
            if len(self._recent) > REMEMBERED_REVOCATIONS:
                self._recent.popitem(last=False)
        if fact in self._fetching:
            # What is on its way from Redis may have been read before this.
            self._fetching[fact] = max(event.at, self._fetching[fact] or event.at)
        held = self._facts.find(fact)
        if held is None and fact[0] is RevokedKind.SESSION and self._absent.pop(fact[1], None) is not None:
            held = self._facts.hold(fact)
        if held is not None and held.revoke(event.at):
            self.version += 1
        # A fact that was forgotten since the last look may be one that a remembered credential rests on.
        self._notice_forgetting()
        for on_revoked in tuple(self._subscribers):
            on_revoked(event)

    async def _take_place(self, standing: Standing) -> None:
        before, epoch = self._position, self._epoch
        is_lost = before is not None and (
            standing.epoch != epoch or standing.last < before or standing.sequence < self._sequence
        )
        self._unrepaired = self._unrepaired or is_lost
        if before is None:
            self._position, self._sequence = standing.last, standing.sequence
        elif is_lost or standing.first > before:
            _log.warning("changes_missed", lost=is_lost)
            # Forgotten before the place is taken: what is fetched from here on is as young as the place.
            self._forget()
            self._position, self._sequence = standing.last, standing.sequence
        self._epoch = standing.epoch
        if before is not None:
            await self._repair(everything=self._unrepaired)
            self._unrepaired = False

    async def _repair(self, *, everything: bool) -> None:
        """Write revocations again that Redis may have lost. Nothing happens to those that it has."""
        since = self._clock.now() - DOUBTED
        repaired = 0
        for event in reversed(tuple(self._recent.values())):
            if not everything and event.at < since:
                break
            repaired += await self._store.revoke(event)
        if repaired:
            _log.warning("revocations_restored", revocations=repaired)

    def _forget(self) -> None:
        self._clears += 1
        self._facts.clear()
        self._absent.clear()
        self._notice_forgetting()

    def _notice_forgetting(self) -> None:
        """Have credentials looked at again that may rest on what was forgotten."""
        if self._forgotten != self._facts.forgotten:
            self._forgotten = self._facts.forgotten
            self.version += 1

    def _hear(self, at_ns: int) -> None:
        self._heard_at_ns = at_ns
        if self.failure is not None or self._told is not None:
            self.failure = self._told = None
            _log.info("state_followed")

    def _tell(self, why: str) -> None:
        if self._told is None and self.failure is None:
            _log.warning("state_unfollowed", why=why, believed_for_ms=self._max_staleness)
        self._told = why

    def _write_soon(self) -> None:
        if self._pending and not self._writing and self._store.problem is None:
            self._writing = True
            self._spawn(self._write_pending(), "record_activity")

    async def _write_pending(self) -> None:
        try:
            await self.flush()
        finally:
            self._writing = False

    async def _write(self, seen: SessionSeen, due: Millis, *, is_signed: bool) -> None:
        answer = await self._store.touch(seen, due, is_signed=is_signed)
        held = self._facts.find((RevokedKind.SESSION, seen.id))
        if answer is None:
            # An opaque session that Redis no longer has is over for everybody.
            if held is not None:
                held.is_doubtful = True
                self.version += 1
            return
        if held is not None and held.session is not None:
            self._merge(held.session, *answer)
            held.session.read_at = self._clock.now()
        now = self._clock.now()
        indexed = self._indexed.get(seen.id)
        if is_signed and (indexed is None or now - indexed >= _INDEX_EVERY):
            until = UnixMillis(now + SESSION_RETENTION + _INDEX_EVERY)
            await self._store.index(seen.id, seen.account, seen.org, now, until)
            self._indexed[seen.id] = now

    async def _record_key_use(self, org: str, key_id: str, at: UnixMillis) -> None:
        try:
            await self._store.record_key_use(org, key_id, at)
        except DependencyError as error:
            _log.debug("key_use_lost", why=str(error))

    async def _consume(
        self, credential: VerifiedCredential, now: UnixMillis, waiting: "Deadlined[Reason | None]"
    ) -> None:
        try:
            answer = await self._store.consume(credential, now)
        except DependencyError as error:
            _log.warning("key_consumption_failed", key_id=credential.id, why=str(error))
            answer = Reason.POLICY_UNAVAILABLE
        else:
            held = self._facts.find((RevokedKind.KEY, key_name(credential.org, credential.id)))
            if held is not None and answer is not Reason.KEY_REVOKED:
                held.consumed = True
                self.version += 1
        waiting.tell(answer)


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
