"""The policy of a sidecar that follows Redis (spec 5.2 to 5.4)."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.identity.api_key import KEY_PREFIX, parse_key
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import Dependency, DependencyError, NamingError, Problem
from sidegate.core.model.target import require_name
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import DEFAULT_MAX_SUBJECTS
from sidegate.core.wire.credential import Presented
from sidegate.distribution.piecework import Piecework
from sidegate.distribution.ports import Fetched, OnFetched, OnSwap, Want
from sidegate.distribution.redis_absence import Absences
from sidegate.distribution.redis_cache_log import CacheLog
from sidegate.distribution.redis_events import Changed
from sidegate.distribution.redis_freshness import Freshness
from sidegate.distribution.redis_kept import KeptPolicy
from sidegate.distribution.redis_key_lookup import KeyLookups
from sidegate.distribution.redis_keys import keys_of
from sidegate.distribution.redis_memory import LoadedSnapshot
from sidegate.distribution.redis_organization import Waiter
from sidegate.distribution.redis_reader import Reader
from sidegate.distribution.redis_reading import BATCH
from sidegate.distribution.redis_refusals import Refusals
from sidegate.distribution.redis_shelves import Shelves
from sidegate.distribution.staleness import DEFAULT_MAX_STALENESS, Staleness
from sidegate.redis_link.link import Link
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.tasks import TaskSet

_MILLIS: Final = 1000


@value
class SourceLimits:
    """What may be kept, and how long may be waited.

    Attributes:
        subjects: Accounts in memory, over all organizations.
        patience: Longest wait of a request, milliseconds.
        staleness: How old a policy may be.
    """

    subjects: int = DEFAULT_MAX_SUBJECTS
    patience: Millis = Millis(250)
    staleness: Staleness = Staleness(DEFAULT_MAX_STALENESS, {})


DEFAULT_LIMITS: Final = SourceLimits()


class RedisPolicies:
    """Keeps in memory what is used of the organizations in Redis, and fetches what is missing.

    Args:
        link: To Redis; watched by whoever opened it.
        clock: Wall clock.
        trusted: Whose signature every record must have; None for any or none.
        limits: See there.
        on_failure: Told once per record or organization that could not be used, for a metric.

    Attributes:
        loaded_at: When the policy last changed here; None before Redis, or a cache, was first read.
        shelves: What is in memory.
        log: What changes there, for the cache on disk.
    """

    def __init__(
        self,
        link: Link,
        clock: Clock,
        *,
        trusted: Ed25519PublicKey | None = None,
        limits: SourceLimits = DEFAULT_LIMITS,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._link = link
        self._clock = clock
        self._patience_s = limits.patience / _MILLIS
        self._tasks: TaskSet | None = None
        self._piecework = Piecework()
        self.log = CacheLog()
        self.shelves = Shelves(limits.subjects, self._piecework, self.log)
        self._freshness = Freshness(limits.staleness, self.log.doubt)
        self._refusals = Refusals(on_failure)
        self._absent = Absences(clock)
        self._absent_keys = Absences(clock)
        self._reader = Reader(
            link,
            clock,
            self.shelves,
            self._freshness,
            refusals=self._refusals,
            absent=self._absent,
            trusted=trusted,
            on_taken=self._taken,
        )
        self._lookups = KeyLookups(link, self._fetched, self._note_found)
        self._listeners: list[OnSwap] = []
        self.loaded_at: UnixMillis | None = None

    # For whoever decides (ports.PolicySource).

    @property
    def current(self) -> LoadedSnapshot:
        """What is decided with."""
        return self.shelves.current

    @property
    def stale_after(self) -> UnixMillis:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        return self._freshness.stale_after

    @property
    def checked_at(self) -> UnixMillis | None:
        """When it was last known that nothing newer is in Redis; None before the first time."""
        return self._freshness.checked_at

    def on_swap(self, listener: OnSwap) -> None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        self._listeners.append(listener)

    def missing(self, org: str, account: str, revision: int) -> Want | None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        known = self.shelves.get(org)
        if known is None:
            if not revision and self._link.up and self._absent.holds(org):
                return None
            return Want(org, account, revision)
        loaded = known.loaded
        if (
            loaded is not None
            and account in known.held
            and loaded.revision >= revision
            # What may have been missed cannot be read while Redis is away: then its age decides.
            and (known.generation == self._freshness.generation or not self._link.up)
        ):
            return None
        return Want(org, account, revision)

    def missing_key(self, presented: Presented) -> Want | None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        token = presented.api_key or presented.bearer
        if token is None or not token.startswith(KEY_PREFIX):
            return None
        parts = parse_key(token)
        # A typing error is told from a wrong key without a look-up (spec 3.2).
        return None if isinstance(parts, Reason) else self.missing_key_id(parts.id)

    def missing_key_id(self, key_id: str) -> Want | None:
        """Like :meth:`missing_key`, by the key's id."""
        if self.shelves.has_key(key_id) or (self._link.up and self._absent_keys.holds(key_id)):
            return None
        return Want("", key_id=key_id)

    def fetch(self, want: Want, on_fetched: OnFetched, waited_ms: int = 0) -> None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        waiter = Waiter(want, on_fetched, max(0.0, self._patience_s - waited_ms / _MILLIS))
        is_away = self._link.problem is not None
        if self._tasks is None or not _is_name(want.org) or (is_away and not self._is_kept(want)):
            asyncio.get_running_loop().call_soon(waiter.tell, Fetched.UNAVAILABLE)
        elif want.org:
            self._reader.fetch(waiter)
        elif is_away:
            self._tasks.spawn(self._find_kept_key(waiter), "policy_find_key")
        else:
            self._lookups.look_up(want.key_id, waiter, self._tasks)

    def is_too_old(self, org: str, authorities: Iterable[Authority], now: UnixMillis) -> bool:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        return self._freshness.is_too_old(self.shelves.get(org), authorities, now)

    def unchecked_since(self, now: UnixMillis) -> UnixMillis | None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        checked = self._freshness.checked_at
        return None if checked is None or now - checked < _MILLIS else checked

    @property
    def problems(self) -> Sequence[Problem]:
        """Why something newer is not in force; empty when all is well."""
        found = self._refusals.problems()
        away = self._link.problem
        if away is not None:
            hint = "what is in memory stays in force, for as long as it may"
            found.insert(0, Problem(None, "policy.source", away, hint))
        return found

    @property
    def subjects_cached(self) -> int:
        """How many accounts are in memory."""
        return len(self.shelves)

    @property
    def steady_at(self) -> UnixMillis | None:
        """When all that is not in doubt was last known to be as it is in Redis; None before Redis was heard."""
        return self._freshness.steady_at

    # For whoever keeps it current.

    def start(self, tasks: TaskSet) -> None:
        """Fetch from now on, until *tasks* is closed."""
        self._tasks = tasks
        self._reader.start(tasks)
        self._piecework.start(tasks)

    def begin_with(self, kept: KeptPolicy) -> None:
        """Have what an earlier process kept at hand, for as long as nothing comes from Redis.

        It is decided with only while Redis is away. Whatever comes, no revision may be older than what was kept.
        """
        self._reader.kept = kept

    def note_away(self) -> None:
        """Note that Redis is away: before anything was heard from it, what was kept is what there is."""
        if self._reader.kept is not None and self._reader.kept.is_usable and self._freshness.checked_at is None:
            self._freshness.note_kept(self._reader.kept.at)
            self.loaded_at = self._clock.now()
            self._reader.kept.note_used(self.loaded_at)

    def let_kept_go(self) -> None:
        """Have what was kept no longer at hand: what is in memory has taken its place."""
        if self._reader.kept is not None:
            self._reader.kept.let_go()

    def note_current(self, now: UnixMillis) -> None:
        """Note that at *now* every change was heard of."""
        self._freshness.note_current(now)
        if self.loaded_at is None:
            self.loaded_at = now

    def note_missed(self) -> None:
        """Note that changes may have been missed: everything is read again before it is used."""
        self._absent.clear()
        self._absent_keys.clear()
        self._piecework.add(self._freshness.note_missed(self._clock.now(), self.shelves.all()))

    def hear(self, change: Changed) -> None:
        """Take a change in: re-read what it is about and is in memory, forget what was not there."""
        self._absent.forget(change.org)
        if change.keys is None:
            self._absent_keys.clear()
        else:
            for key_id in change.keys:
                self._absent_keys.forget(key_id)
        known = self.shelves.get(change.org)
        if known is None or change.revision <= known.revision:
            return
        known.heard = max(known.heard, change.revision)
        self._reader.doubt(known)
        accounts, keys = known.concerned(change)
        known.accounts.update(dict.fromkeys(accounts))
        known.key_ids.update(dict.fromkeys(keys))
        self._reader.read(known)

    def look_again(self, org: str) -> None:
        """Read *org* again, if it is in memory: it may have changed."""
        known = self.shelves.get(org)
        if known is not None:
            self._reader.read(known)

    def doubtful(self, at_most: int) -> list[str]:
        """Return organizations of which something newer is known of, or may have been missed."""
        waiting = (known.name for known in self._freshness.doubted() if not known.is_reading)
        return list(islice(waiting, at_most))

    @property
    def lag(self) -> int:
        """How many organizations have a revision that was heard of and is not in force here."""
        return self._freshness.lag

    async def preload(self, org: str) -> None:
        """Load all of an organization.

        Raises:
            DependencyError: Redis is away, or what is there cannot be used.
        """
        keys = keys_of(require_name(org, "organization"))
        doing = f"loading `{org}`"
        for hash_key, is_subjects in ((keys.subjects, True), (keys.keys, False)):
            cursor: bytes | int = 0
            while cursor != b"0":
                page = await self._link.call("HSCAN", hash_key, cursor, "COUNT", BATCH, doing=doing)
                cursor, flat = cast("tuple[bytes, list[bytes]]", page)
                names = [name.decode() for name in flat[::2]]
                wants = [Want(org, account=name) if is_subjects else Want(org, key_id=name) for name in names]
                found = await asyncio.gather(*(self._fetched(want) for want in wants))
                if any(one is not Fetched.READY for one in found):
                    raise DependencyError(Dependency.REDIS, doing)

    # Within: what an earlier process kept.

    def _is_kept(self, want: Want) -> bool:
        return self._reader.kept is not None and self._reader.kept.has(want)

    async def _find_kept_key(self, waiter: Waiter) -> None:
        """Fetch a key wherever it may be; its digest decides whose it is."""
        owners = () if self._reader.kept is None else self._reader.kept.owners_of(waiter.want.key_id)
        found = await asyncio.gather(*(self._fetched(Want(org, key_id=waiter.want.key_id)) for org in owners))
        waiter.tell(Fetched.READY if found and set(found) == {Fetched.READY} else Fetched.UNAVAILABLE)

    # Within.

    def _note_found(self, key_id: str) -> None:
        if not self.shelves.has_key(key_id):
            self._absent_keys.note(key_id)

    async def _fetched(self, want: Want) -> Fetched:
        future: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self.fetch(want, future.set_result)
        return await future

    def _taken(self, is_other: bool, is_snapshot_other: bool) -> None:  # noqa: FBT001  a callback of the reader
        if is_other:
            self.loaded_at = self._clock.now()
        if is_snapshot_other:
            for listener in self._listeners:
                listener(self.shelves.current)


def _is_name(org: str) -> bool:
    """Whether *org* can be an organization; none is meant by an empty one, which asks for a key."""
    if not org:
        return True
    try:
        require_name(org, "organization")
    except NamingError:
        return False
    return True
