"""The policy of a sidecar that follows Redis (spec 5.2 to 5.4)."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.identity.api_key import KEY_PREFIX, parse_key
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import Dependency, DependencyError, IntegrityError, NamingError, Problem
from sidegate.core.model.target import require_name
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.document import KeyEntry
from sidegate.core.policy.snapshot import DEFAULT_MAX_SUBJECTS, OrganizationSnapshot
from sidegate.core.wire.credential import Presented
from sidegate.distribution.politeness import politely
from sidegate.distribution.ports import Fetched, OnFetched, OnSwap, Want
from sidegate.distribution.redis_events import Changed
from sidegate.distribution.redis_keys import keys_of, owners_of
from sidegate.distribution.redis_loading import Opened, Raw, open_answer, read_answer
from sidegate.distribution.redis_memory import MAX_ABSENT, MAX_KEYS, HeldKey, LoadedSnapshot, Shelf
from sidegate.distribution.redis_organization import Organization, Taken, Waiter
from sidegate.distribution.redis_scripts import READ
from sidegate.distribution.staleness import DEFAULT_MAX_STALENESS, Staleness
from sidegate.redis_link.errors import RedisAwayError
from sidegate.redis_link.link import Link
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

T = TypeVar("T")

_log: Final = get_log("distribution")

MAX_ORGANIZATIONS: Final = 20_000
"""Organizations of which a header is kept, used or not."""

BATCH: Final = 64
"""Accounts and keys that one read asks for."""

READS_AT_ONCE: Final = 100
_SOON: Final = 3

READS_PER_WAITER: Final = 2
"""After so many reads more, what is still missing is there and cannot be used."""

KEY_LOOKUPS: Final = 64
"""Look-ups of unknown API keys on their way at a time; more are refused at once. Whoever invents keys takes nothing
else from those who have one: a known key needs no look-up."""

MAX_OWNERS: Final = 8
"""Organizations that are asked about one key id. Ids are random; more than one is an accident already."""

ABSENT_FOR: Final = Millis(5000)
"""How long it is believed that there is no such organization or key, should no event say otherwise before."""

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
        checked_at: When it was last known that nothing newer is in Redis; None before the first time.
        generation: Grows when changes may have been missed: what was read before is then read again on use.
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
        self._trusted = trusted
        self._limits = limits
        self._patience_s = limits.patience / _MILLIS
        self._on_failure = on_failure
        self._tasks: TaskSet | None = None
        self._organizations: OrderedDict[str, Organization] = OrderedDict()
        self._snapshots: dict[str, OrganizationSnapshot] = {}
        self._keys: dict[str, tuple[tuple[str, KeyEntry], ...]] = {}
        self._current = LoadedSnapshot(0, self._snapshots, self._keys)
        self._shelf = Shelf(limits.subjects)
        self._absent_shelf: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._key_shelf: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._absent: OrderedDict[str, UnixMillis] = OrderedDict()
        self._absent_keys: OrderedDict[str, UnixMillis] = OrderedDict()
        self._refused: OrderedDict[str, str] = OrderedDict()
        self._lookups: dict[str, list[Waiter]] = {}
        self._listeners: list[OnSwap] = []
        self.loaded_at: UnixMillis | None = None
        self.checked_at: UnixMillis | None = None
        self.generation = 1
        self._stale_after = UnixMillis(0)
        self._oldest_doubt: UnixMillis | None = None
        self._doubted: dict[str, Organization] = {}

    # For whoever decides (ports.PolicySource).

    @property
    def current(self) -> LoadedSnapshot:
        """What is decided with."""
        return self._current

    @property
    def stale_after(self) -> UnixMillis:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        return self._stale_after

    def on_swap(self, listener: OnSwap) -> None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        self._listeners.append(listener)

    def missing(self, org: str, account: str, revision: int) -> Want | None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        known = self._organizations.get(org)
        if known is None:
            if not revision and self._is_absent(self._absent, org):
                return None
            return Want(org, account, revision)
        loaded = known.loaded
        if (
            loaded is not None
            and account in known.held
            and loaded.revision >= revision
            # What may have been missed cannot be read while Redis is away: then its age decides.
            and (known.generation == self.generation or not self._link.up)
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
        if key_id in self._keys or self._is_absent(self._absent_keys, key_id):
            return None
        return Want("", key_id=key_id)

    def fetch(self, want: Want, on_fetched: OnFetched, waited_ms: int = 0) -> None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        waiter = Waiter(want, on_fetched, max(0.0, self._patience_s - waited_ms / _MILLIS))
        if self._tasks is None or self._link.problem is not None:
            asyncio.get_running_loop().call_soon(waiter.tell, Fetched.UNAVAILABLE)
        elif not want.org:
            self._look_up(want.key_id, waiter)
        else:
            try:
                require_name(want.org, "organization")
            except NamingError:
                asyncio.get_running_loop().call_soon(waiter.tell, Fetched.UNAVAILABLE)
            else:
                self._read_for(waiter)

    def is_too_old(self, org: str, authorities: Iterable[Authority], now: UnixMillis) -> bool:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        since = self._known_good(org)
        return since is None or now - since > self._limits.staleness.limit_of(authorities)

    def unchecked_since(self, now: UnixMillis) -> UnixMillis | None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        checked = self.checked_at
        return None if checked is None or now - checked < _MILLIS else checked

    @property
    def problems(self) -> Sequence[Problem]:
        """Why something newer is not in force; empty when all is well."""
        found = [
            Problem(None, name, what, "the last good one stays in force, for as long as it may")
            for name, what in self._refused.items()
        ]
        away = self._link.problem
        if away is not None:
            found.insert(
                0, Problem(None, "policy.source", away, "what is in memory stays in force, for as long as it may")
            )
        return found

    @property
    def subjects_cached(self) -> int:
        """How many accounts are in memory."""
        return len(self._shelf)

    # For whoever follows the changes.

    def start(self, tasks: TaskSet) -> None:
        """Fetch from now on, until *tasks* is closed."""
        self._tasks = tasks

    def note_current(self, now: UnixMillis) -> None:
        """Note that at *now* every change was heard of."""
        self.checked_at = now
        if self.loaded_at is None:
            self.loaded_at = now
        self._set_stale_after()

    def note_missed(self) -> None:
        """Note that changes may have been missed: everything is read again before it is used."""
        self.generation += 1
        self._absent.clear()
        self._absent_keys.clear()
        for known in self._organizations.values():
            self._doubt(known)

    def hear(self, change: Changed) -> None:
        """Take a change in: re-read what it is about and is in memory, forget what was not there."""
        self._absent.pop(change.org, None)
        if change.keys is None:
            self._absent_keys.clear()
        else:
            for key_id in change.keys:
                self._absent_keys.pop(key_id, None)
        known = self._organizations.get(change.org)
        if known is None or change.revision <= known.revision:
            return
        known.heard = max(known.heard, change.revision)
        self._doubt(known)
        accounts, keys = known.concerned(change)
        known.accounts.update(dict.fromkeys(accounts))
        known.key_ids.update(dict.fromkeys(keys))
        self._read(known)

    def look_again(self, org: str) -> None:
        """Read *org* again, if it is in memory: it may have changed."""
        known = self._organizations.get(org)
        if known is not None:
            self._read(known)

    def doubtful(self, at_most: int) -> list[str]:
        """Return organizations of which something newer is known of, or may have been missed."""
        return list(islice((name for name, known in self._doubted.items() if not known.is_reading), at_most))

    @property
    def lag(self) -> int:
        """How many organizations have a revision that was heard of and is not in force here."""
        return sum(known.heard > known.revision for known in self._doubted.values())

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
                for name in flat[::2]:
                    want = Want(org, account=name.decode()) if is_subjects else Want(org, key_id=name.decode())
                    if await self._fetched(want) is not Fetched.READY:
                        raise DependencyError(Dependency.REDIS, doing)

    # Within: reading.

    def _organization(self, org: str) -> Organization:
        known = self._organizations.get(org)
        if known is None:
            known = self._organizations[org] = Organization(org)
            known.generation = self.generation
            self._let_go()
        return known

    def _let_go(self) -> None:
        """Keep no more organizations than there may be; those of which nothing is used go first."""
        looks = len(self._organizations)
        while len(self._organizations) > MAX_ORGANIZATIONS and looks > 0:
            looks -= 1
            name, known = self._organizations.popitem(last=False)
            if not known.is_idle and looks > 0:
                self._organizations[name] = known
                continue
            self._forget(known)

    def _forget(self, known: Organization) -> None:
        name = known.name
        self._organizations.pop(name, None)
        self._snapshots.pop(name, None)
        self._doubted.pop(name, None)
        for account in known.held:
            self._shelf.drop(name, account)
            self._absent_shelf.pop((name, account), None)
        for key_id in known.keys:
            self._key_shelf.pop((name, key_id), None)
            self._show_key(name, key_id, None)
        for waiter in known.waiters:
            waiter.tell(Fetched.UNAVAILABLE)

    def _read_for(self, waiter: Waiter) -> None:
        known = self._organization(waiter.want.org)
        self._want(known, waiter)
        self._read(known)

    def _want(self, known: Organization, waiter: Waiter) -> None:
        want = waiter.want
        known.waiters.append(waiter)
        known.is_wanted = True
        if want.account and want.account not in known.held:
            known.accounts[want.account] = None
        if want.key_id:
            known.key_ids[want.key_id] = None

    def _read(self, known: Organization) -> None:
        if not known.is_reading and self._tasks is not None:
            known.is_reading = True
            self._tasks.spawn(self._read_all(known), "policy_read")

    async def _read_all(self, known: Organization) -> None:
        """Read until nobody wants more of *known*."""
        try:
            for again in range(READS_AT_ONCE):
                try:
                    await self._read_once(known)
                except (DependencyError, IntegrityError) as error:
                    self._note_refused(known, known.name, error)
                    self._tell_all(known, Fetched.UNAVAILABLE)
                    return
                self._tell_ready(known)
                # Heard of meanwhile. Not for ever: what is heard of and is not there is looked for again later.
                is_behind = known.heard > known.revision and again < _SOON
                if not (known.is_wanted or known.accounts or known.key_ids or is_behind):
                    return
        finally:
            known.is_reading = False
            if known.is_wanted or known.accounts or known.key_ids:
                self._read(known)
            self._drop_if_empty(known)

    async def _read_once(self, known: Organization) -> None:
        known.is_wanted = False
        accounts = _take_some(known.accounts)
        key_ids = _take_some(known.key_ids)
        generation, revision = self.generation, known.revision
        reply = await self._link.run_script(
            READ,
            keys_of(known.name).all(),
            (revision, known.header_revision, len(accounts), *accounts, *key_ids),
            doing=f"reading `{known.name}`",
        )
        raw = read_answer(known.name, reply, accounts, key_ids)
        if raw is None:
            self._note_absent(known)
            return
        opened = await self._open(known, raw)
        taken = known.take(opened, revision)
        known.generation = generation
        self._took(known, taken)

    async def _open(self, known: Organization, raw: Raw) -> Opened:
        header = None if known.loaded is None else known.loaded.held_header
        if not raw.is_big:
            return open_answer(known.name, raw, header, self._trusted)

        def open_politely() -> Opened:
            with politely():
                return open_answer(known.name, raw, header, self._trusted)

        return await asyncio.to_thread(open_politely)

    # Within: what was read.

    def _note_absent(self, known: Organization) -> None:
        if known.loaded is not None:
            raise IntegrityError(f"`{known.name}` is gone from Redis; publish it again, or restore Redis")
        _remember(self._absent, known.name, UnixMillis(self._clock.now() + ABSENT_FOR))

    def _took(self, known: Organization, taken: Taken) -> None:
        name, now = known.name, self._clock.now()
        for account in taken.gone:
            if account not in taken.put:
                self._shelf.drop(name, account)
                self._absent_shelf.pop((name, account), None)
        for account, held in taken.put.items():
            if held.is_absent:
                self._shelf.drop(name, account)
                self._absent_shelf[name, account] = None
            else:
                self._absent_shelf.pop((name, account), None)
                self._shelf.put(name, account, held)
        for key_id, held_key in taken.keys.items():
            self._took_key(name, key_id, held_key)
        for key_id in taken.gone_keys:
            self._key_shelf.pop((name, key_id), None)
            self._show_key(name, key_id, None)
        self._evict()
        for label, why in taken.refused.items():
            self._note_refused(known, f"{name}: {label}", IntegrityError(why))
        if not taken.refused:
            for label in [one for one in self._refused if one == name or one.startswith(f"{name}: ")]:
                del self._refused[label]
                _log.info("policy_accepted", organization=name)
            is_current = known.generation == self.generation and known.revision >= known.heard
            if is_current and known.doubted_since is not None:
                known.doubted_since = None
                self._doubted.pop(name, None)
        if taken.is_new and known.loaded is not None:
            self._snapshots[name] = known.loaded
            self.loaded_at = now
        if taken.is_new or taken.keys or taken.gone_keys:
            revision = max(self._current.revision, known.revision)
            self._current = LoadedSnapshot(revision, self._snapshots, self._keys)
            for listener in self._listeners:
                listener(self._current)
        self._set_stale_after()

    def _took_key(self, org: str, key_id: str, held: HeldKey) -> None:
        self._key_shelf[org, key_id] = None
        self._show_key(org, key_id, held.entry)

    def _show_key(self, org: str, key_id: str, entry: KeyEntry | None) -> None:
        others = tuple(one for one in self._keys.get(key_id, ()) if one[0] != org)
        shown = others if entry is None else (*others, (org, entry))
        if shown:
            self._keys[key_id] = shown
        else:
            self._keys.pop(key_id, None)

    def _evict(self) -> None:
        """Keep no more in memory than there may be."""
        for name, account in self._shelf.overflow():
            self._let_account_go(name, account)
        while len(self._absent_shelf) > MAX_ABSENT:
            (name, account), _ = self._absent_shelf.popitem(last=False)
            self._let_account_go(name, account)
        while len(self._key_shelf) > MAX_KEYS:
            (name, key_id), _ = self._key_shelf.popitem(last=False)
            self._show_key(name, key_id, None)
            known = self._organizations.get(name)
            if known is not None:
                known.forget_key(key_id)

    def _let_account_go(self, name: str, account: str) -> None:
        known = self._organizations.get(name)
        if known is not None:
            known.held.pop(account, None)

    def _drop_if_empty(self, known: Organization) -> None:
        if known.loaded is None and known.is_idle:
            self._organizations.pop(known.name, None)
            self._doubted.pop(known.name, None)

    # Within: telling.

    def _tell_ready(self, known: Organization) -> None:
        """Tell whoever has what it wanted, or will not get it."""
        waiting, known.waiters = known.waiters, []
        for waiter in waiting:
            want = waiter.want
            if known.loaded is None:
                waiter.tell(Fetched.BEHIND if want.revision else Fetched.READY)
            elif not known.lacks(want, self.generation):
                waiter.tell(Fetched.READY)
            elif known.revision < want.revision:
                if not waiter.is_over:
                    known.waiters.append(waiter)
            elif waiter.reads < READS_PER_WAITER:
                # It came when a read was under way already, or something changed meanwhile.
                waiter.reads += 1
                self._want(known, waiter)
            else:
                waiter.tell(Fetched.UNAVAILABLE)

    def _tell_all(self, known: Organization, answer: Fetched) -> None:
        waiting, known.waiters = known.waiters, []
        known.accounts.clear()
        known.key_ids.clear()
        known.is_wanted = False
        for waiter in waiting:
            waiter.tell(answer)

    # Within: keys whose organization is not known.

    def _look_up(self, key_id: str, waiter: Waiter) -> None:
        waiting = self._lookups.get(key_id)
        if waiting is not None:
            waiting.append(waiter)
        elif len(self._lookups) >= KEY_LOOKUPS or self._tasks is None:
            asyncio.get_running_loop().call_soon(waiter.tell, Fetched.UNAVAILABLE)
        else:
            self._lookups[key_id] = [waiter]
            self._tasks.spawn(self._find_key(key_id), "policy_find_key")

    async def _find_key(self, key_id: str) -> None:
        answer = Fetched.UNAVAILABLE
        try:
            owners = await self._link.call("SMEMBERS", owners_of(key_id), doing="finding the owner of an API key")
            names = sorted(owner.decode() for owner in cast("list[bytes]", owners or []))[:MAX_OWNERS]
            found = await asyncio.gather(*(self._fetched(Want(name, key_id=key_id)) for name in names))
            if Fetched.UNAVAILABLE not in found:
                answer = Fetched.READY
                if key_id not in self._keys:
                    _remember(self._absent_keys, key_id, UnixMillis(self._clock.now() + ABSENT_FOR))
        except (DependencyError, UnicodeDecodeError) as error:
            _log.debug("key_lookup_failed", why=str(error))
        finally:
            for waiter in self._lookups.pop(key_id, ()):
                waiter.tell(answer)

    async def _fetched(self, want: Want) -> Fetched:
        future: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self.fetch(want, future.set_result)
        return await future

    def _is_absent(self, known: OrderedDict[str, UnixMillis], name: str) -> bool:
        until = known.get(name)
        if until is None:
            return False
        if self._clock.now() < until and self._link.up:
            return True
        del known[name]
        return False

    # Within: doubts.

    def _note_refused(self, known: Organization, label: str, error: Exception) -> None:
        if isinstance(error, RedisAwayError):
            return  # the link has told it
        self._doubt(known)
        if self._refused.get(label) == str(error):
            return
        _remember(self._refused, label, str(error))
        self._on_failure()
        _log.warning("policy_refused", organization=known.name, why=str(error), kept_revision=known.revision)

    def _doubt(self, known: Organization) -> None:
        """Note that from now on there may be something newer than what is in memory of *known*."""
        if known.loaded is None:
            return
        if known.doubted_since is None:
            # Not now: since the last time that there was no doubt.
            known.doubted_since = self.checked_at if self.checked_at is not None else self._clock.now()
            self._doubted[known.name] = known
            oldest = self._oldest_doubt
            self._oldest_doubt = known.doubted_since if oldest is None else min(oldest, known.doubted_since)
            self._set_stale_after()

    def _known_good(self, org: str) -> UnixMillis | None:
        known = self._organizations.get(org)
        checked = self.checked_at
        if known is None or known.doubted_since is None or checked is None:
            return checked
        return min(checked, known.doubted_since)

    def _set_stale_after(self) -> None:
        """Note until when no request needs to ask how old the policy is; rather too early than too late."""
        checked = self.checked_at
        if checked is None:
            self._stale_after = UnixMillis(0)
            return
        if not self._doubted:
            self._oldest_doubt = None
        oldest = checked if self._oldest_doubt is None else min(checked, self._oldest_doubt)
        self._stale_after = UnixMillis(oldest + self._limits.staleness.shortest)


def _remember(known: OrderedDict[str, T], name: str, one: T) -> None:
    known[name] = one
    known.move_to_end(name)
    if len(known) > MAX_ABSENT:
        known.popitem(last=False)


def _take_some(wanted: dict[str, None]) -> tuple[str, ...]:
    taken = tuple(islice(wanted, BATCH))
    for name in taken:
        del wanted[name]
    return taken
