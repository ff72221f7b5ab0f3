"""Reads what is wanted of organizations, takes in what comes, and tells whoever waits for it (spec 5.2)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.distribution.politeness import Loaded
from sidegate.distribution.ports import Fetched, Want
from sidegate.distribution.redis_absence import Absences
from sidegate.distribution.redis_freshness import Freshness
from sidegate.distribution.redis_kept import KeptPolicy
from sidegate.distribution.redis_loading import Raw
from sidegate.distribution.redis_organization import Organization, Taken, Waiter
from sidegate.distribution.redis_reading import ask_whole, open_raw, open_root_of, take_some
from sidegate.distribution.redis_refusals import Refusals
from sidegate.distribution.redis_shelves import Shelves
from sidegate.redis_link.errors import RedisAwayError
from sidegate.redis_link.link import Link
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.tasks import TaskSet

READS_AT_ONCE: Final = 100
_SOON: Final = 3

READS_PER_WAITER: Final = 2
"""After so many reads more, what is still missing is there and cannot be used."""


class Reader:
    """Reads what is wanted of organizations, from Redis, or from what was kept while Redis is away.

    Args:
        link: To Redis.
        clock: Wall clock.
        shelves: Takes in what comes.
        freshness: Told what is in doubt.
        refusals: Told what cannot be used.
        absent: Told which organizations are not there.
        trusted: Whose signature every record must have; None for any or none.
        on_taken: Told after each answer whether an organization is another, and whether the snapshot is.

    Attributes:
        kept: What an earlier process kept; None for nothing.
    """

    def __init__(
        self,
        link: Link,
        clock: Clock,
        shelves: Shelves,
        freshness: Freshness,
        *,
        refusals: Refusals,
        absent: Absences,
        trusted: Ed25519PublicKey | None,
        on_taken: Callable[[bool, bool], None],
    ) -> None:
        self._link = link
        self._clock = clock
        self._shelves = shelves
        self._freshness = freshness
        self._refusals = refusals
        self._absent = absent
        self._trusted = trusted
        self._on_taken = on_taken
        self._loaded = Loaded()
        self._opening = asyncio.Lock()
        self._tasks: TaskSet | None = None
        self.kept: KeptPolicy | None = None

    def start(self, tasks: TaskSet) -> None:
        """Read from now on, until *tasks* is closed."""
        self._tasks = tasks

    def fetch(self, waiter: Waiter) -> None:
        """Read what *waiter* waits for, and tell it."""
        known = self._organization(waiter.want.org)
        self._want(known, waiter)
        self.read(known)

    def _organization(self, org: str) -> Organization:
        known = self._shelves.get(org)
        if known is None:
            known = Organization(org)
            known.generation = self._freshness.generation
            if self.kept is not None:
                known.floor = self.kept.floor_of(org)
            for gone in self._shelves.add(known):
                self._freshness.forget(gone)
                self._tell_all(gone)
        return known

    def _want(self, known: Organization, waiter: Waiter) -> None:
        want = waiter.want
        known.waiters.append(waiter)
        known.is_wanted = True
        if want.account and want.account not in known.held:
            known.accounts[want.account] = None
        if want.key_id:
            known.key_ids[want.key_id] = None

    def read(self, known: Organization) -> None:
        """Read *known*: what changed, and what is wanted of it."""
        if not known.is_reading and self._tasks is not None:
            known.is_reading = True
            self._tasks.spawn(self._read_all(known), "policy_read")

    async def _read_all(self, known: Organization) -> None:
        """Read until nobody wants more of *known*."""
        try:
            for again in range(READS_AT_ONCE):
                generation = self._freshness.generation
                try:
                    await self._read_once(known, generation)
                except (DependencyError, IntegrityError) as error:
                    self._note_unusable(known, error, generation)
                    self._tell_all(known)
                    return
                self._tell_ready(known)
                # Heard of meanwhile. Not for ever: what is heard of and is not there is looked for again later.
                is_behind = known.heard > known.revision and again < _SOON
                if not (known.is_wanted or known.accounts or known.key_ids or is_behind):
                    return
        finally:
            known.is_reading = False
            if known.is_wanted or known.accounts or known.key_ids:
                self.read(known)
            if known.loaded is None and known.is_idle:
                self._shelves.drop(known)
                self._freshness.forget(known)

    async def _read_once(self, known: Organization, generation: int) -> None:
        known.is_wanted = False
        accounts, key_ids = take_some(known.accounts), take_some(known.key_ids)
        revision = known.revision
        kept = None if self._link.problem is None else self.kept
        if kept is None:
            kept_since, raw = None, await self._ask(known, accounts, key_ids)
        else:
            raw = await open_root_of(known.name, kept.answer(known, accounts, key_ids), self._trusted)
            kept_since = kept.since(known.name)
        if raw is None:
            self._note_absent(known)
            return
        # Before anything is read of it, let alone compiled: it may be the whole of a large organization.
        known.require_no_return(raw.revision)
        if raw.is_big:
            opened = await open_raw(known, raw, self._trusted)
        else:
            # One to a turn: answers for thirty organizations may have come in this one, 0.3 ms each to open and use.
            async with self._opening:
                await asyncio.sleep(0)
                opened = await open_raw(known, raw, self._trusted)
        taken = known.take(opened, revision)
        if kept_since is None:
            known.generation = generation
        else:
            # As it was then. Nobody has asked Redis about it yet: whatever came from there meanwhile stays what it is.
            if taken.before is None:
                known.generation = 0
            self._freshness.doubt(known, kept_since)
        self._took(known, taken, is_kept=kept_since is not None)

    async def _ask(self, known: Organization, accounts: Sequence[str], key_ids: Sequence[str]) -> Raw | None:
        return await ask_whole(
            self._link,
            known.name,
            accounts,
            key_ids,
            revision=known.revision,
            known=None if known.loaded is None else known.loaded.held_header,
            trusted=self._trusted,
        )

    # Within: what was read.

    def _note_absent(self, known: Organization) -> None:
        if known.loaded is not None or known.floor:
            raise IntegrityError(f"`{known.name}` is gone from Redis; publish it again, or restore Redis")
        self._absent.note(known.name)

    def _took(self, known: Organization, taken: Taken, *, is_kept: bool) -> None:
        is_new = self._shelves.took(known, taken)
        self._loaded.note(taken.objects)
        for label, why in taken.refused.items():
            self.doubt(known)
            self._refusals.note(known.name, label, why, known.revision)
        if not taken.refused:
            self._refusals.settle(known.name)
            if not is_kept and self._freshness.is_current(known) and known.revision >= known.heard:
                self._freshness.settle(known)
        self._on_taken(taken.is_new, is_new)

    # Within: telling.

    def _tell_ready(self, known: Organization) -> None:
        """Tell whoever has what it wanted, or will not get it."""
        waiting, known.waiters = known.waiters, []
        for waiter in waiting:
            want = waiter.want
            if known.loaded is None:
                waiter.tell(Fetched.BEHIND if want.revision else Fetched.READY)
            elif self._has(known, want):
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

    def _tell_all(self, known: Organization) -> None:
        """Tell everybody that nothing more can be had; what is in memory stays in force."""
        waiting, known.waiters = known.waiters, []
        known.accounts.clear()
        known.key_ids.clear()
        known.is_wanted = False
        for waiter in waiting:
            waiter.tell(Fetched.READY if self._has(known, waiter.want) else Fetched.UNAVAILABLE)

    def _has(self, known: Organization, want: Want) -> bool:
        """Whether *want* can be decided with."""
        return not known.lacks(want) and (self._freshness.is_current(known) or not self._link.up)

    # Within: doubts.

    def _note_unusable(self, known: Organization, error: DependencyError | IntegrityError, generation: int) -> None:
        if isinstance(error, RedisAwayError):
            return  # the link has told it
        self.doubt(known)
        # It was looked at: the last good one stays in force, for as long as it may (spec 5.2).
        known.generation = generation
        self._refusals.note(known.name, "", str(error), known.revision)

    def doubt(self, known: Organization) -> None:
        """Note that from now on there may be something newer than what is in memory of *known*."""
        if known.loaded is None or known.doubted_since is not None:
            return
        # Not now: since the last time that there was no doubt.
        since = self._freshness.good_at(known) or self._clock.now()
        self._freshness.doubt(known, since)
