"""Writes to Redis what becomes of sessions and keys here: uses, soon and together; the using up of keys, at once."""

from collections.abc import Callable
from typing import Final

from cachetools import FIFOCache

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import DependencyError
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import KeySeen, SessionSeen
from sidegate.credentials.held import HeldFacts
from sidegate.credentials.redis_following import ChangeFollower
from sidegate.credentials.redis_store import OtherDataError, RedisStore
from sidegate.credentials.table import SESSION_RETENTION, SessionRecord
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

MAX_PENDING: Final = 100_000
"""Uses that wait to be written; above it they are not recorded, and so not counted by others."""

_INDEXED: Final = 16_384
_INDEX_EVERY: Final = Millis(24 * 60 * 60 * 1000)

_log: Final = get_log("credentials")


class UseWriter:
    """Records uses.

    Args:
        store: Where they are kept.
        held: Told what others recorded.
        following: Knows in which data keys may be used up at present.
        clock: Wall.
        tasks: Where what runs beside requests runs.
    """

    __slots__ = ("_clock", "_following", "_held", "_indexed", "_pending", "_store", "_tasks", "_writing")

    def __init__(
        self, store: RedisStore, held: HeldFacts, following: ChangeFollower, clock: Clock, tasks: TaskSet
    ) -> None:
        self._store = store
        self._held = held
        self._following = following
        self._clock = clock
        self._tasks = tasks
        self._pending: dict[str, tuple[SessionSeen, Millis, bool]] = {}
        self._indexed: FIFOCache[str, UnixMillis] = FIFOCache(_INDEXED)
        self._writing = False

    def record_activity(self, seen: SessionSeen, due: Millis) -> SessionRecord:
        """Record that a session was used: here at once, in Redis soon."""
        record = self._held.see(seen)
        if len(self._pending) < MAX_PENDING:
            self._pending[seen.id] = (seen, due, record.limits is None)
            self.write_soon()
        return record

    def record_key_use(self, seen: KeySeen) -> None:
        """Record that a key was used; it is lost when Redis is away."""
        org, _, key_id = seen.id.partition("/")
        self._tasks.spawn(self._record_key_use(org, key_id, seen.at), "record_key_use")

    def consume(
        self, credential: VerifiedCredential, now: UnixMillis, on_consumed: Callable[[Reason | None], None]
    ) -> None:
        """Use a single-use key up; *on_consumed* is told how that went."""
        self._tasks.spawn(self._consume(credential, now, on_consumed), "consume_key")

    def write_soon(self) -> None:
        """Write what waits if that is possible."""
        if self._pending and not self._writing and self._store.problem is None:
            self._writing = True
            self._tasks.spawn(self._write_pending(), "record_activity")

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

    async def _write_pending(self) -> None:
        try:
            await self.flush()
        finally:
            self._writing = False

    async def _write(self, seen: SessionSeen, due: Millis, *, is_signed: bool) -> None:
        answer = await self._store.touch(seen, due, is_signed=is_signed)
        if answer is None:
            # An opaque session that Redis no longer has is over for everybody.
            self._held.end(seen.id)
            return
        self._held.see_recorded(seen.id, *answer)
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
        self, credential: VerifiedCredential, now: UnixMillis, on_consumed: Callable[[Reason | None], None]
    ) -> None:
        epoch = self._following.usable_epoch
        answer: Reason | None = Reason.POLICY_UNAVAILABLE
        if epoch is not None:
            try:
                answer = await self._store.consume(credential, now, epoch)
            except DependencyError as error:
                if isinstance(error, OtherDataError):
                    self._following.doubt()
                _log.warning("key_consumption_failed", key_id=credential.id, why=str(error))
        if answer is None or answer is Reason.KEY_CONSUMED:
            self._held.use_up(credential, now)
        on_consumed(answer)
