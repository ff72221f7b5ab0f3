"""One organization of a sidecar that follows Redis: what is in memory of it, and who waits for more."""

import asyncio
from collections.abc import Iterable
from typing import Final

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.document import KeyEntry
from sidegate.distribution.ports import Fetched, OnFetched, Want
from sidegate.distribution.redis_events import Changed
from sidegate.distribution.redis_loading import Opened
from sidegate.distribution.redis_memory import Held, HeldKey, LoadedOrganization

OBJECTS_OF_HEADER: Final = 200
OBJECTS_OF_SUBJECT: Final = 50
BYTES_OF_OBJECT: Final = 8
"""Measured: what a header without entries, an account without bindings, and a binding of 100 bytes are made of."""


class Waiter:
    """Tells one answer once: the first that comes, or that it is too late after *patience_s*.

    Attributes:
        want: What is waited for.
        reads: How often it was read and not found.
    """

    __slots__ = ("_on_fetched", "_timer", "reads", "want")

    def __init__(self, want: Want, on_fetched: OnFetched, patience_s: float) -> None:
        self.want = want
        self.reads = 0
        self._on_fetched: OnFetched | None = on_fetched
        too_late = Fetched.BEHIND if want.revision else Fetched.UNAVAILABLE
        self._timer = asyncio.get_running_loop().call_later(patience_s, self.tell, too_late)

    @property
    def is_over(self) -> bool:
        """Whether it was told."""
        return self._on_fetched is None

    def tell(self, answer: Fetched) -> None:
        """Tell *answer*, unless one was told before."""
        on_fetched, self._on_fetched = self._on_fetched, None
        self._timer.cancel()
        if on_fetched is not None:
            on_fetched(answer)


class Organization:
    """One organization.

    Attributes:
        name: Its name.
        loaded: What is decided with; None before the first load.
        held: Accounts in memory.
        keys: API keys in memory that there are, and those that there are not.
        generation: Of the source when it was last read: an older one means that changes may have been missed.
        doubted_since: Since when there is something newer that could not be taken in; None when all is well.
        heard: Latest revision that was heard of.
        floor: Revision that an earlier process had: an older one is refused.
        waiters: Who waits for something of it.
        accounts: Wanted with the next read.
        key_ids: Wanted with the next read.
        is_reading: A read is on its way.
        is_wanted: Somebody came since the last read began.
    """

    __slots__ = (
        "_entries",
        "accounts",
        "doubted_since",
        "floor",
        "generation",
        "heard",
        "held",
        "is_reading",
        "is_wanted",
        "key_ids",
        "keys",
        "loaded",
        "name",
        "waiters",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.loaded: LoadedOrganization | None = None
        self.held: dict[str, Held] = {}
        self.keys: dict[str, HeldKey] = {}
        self._entries: dict[str, KeyEntry] = {}
        self.generation = 0
        self.doubted_since: UnixMillis | None = None
        self.heard = 0
        self.floor = 0
        self.waiters: list[Waiter] = []
        self.accounts: dict[str, None] = {}
        self.key_ids: dict[str, None] = {}
        self.is_reading = False
        self.is_wanted = False

    @property
    def revision(self) -> int:
        """Of what is in memory; 0 for nothing."""
        return 0 if self.loaded is None else self.loaded.revision

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is in memory but the header, and nobody wants more."""
        return not (self.held or self.keys or self.is_reading or self.waiters)

    def lacks(self, want: Want) -> bool:
        """Whether *want* is not in memory; whether what is there is current is another question."""
        return (
            self.loaded is None
            or self.loaded.revision < want.revision
            or (want.account != "" and want.account not in self.held)
            or (want.key_id != "" and want.key_id not in self.keys)
        )

    def require_no_return(self, revision: int) -> None:
        """Refuse to go back.

        Raises:
            IntegrityError: *revision* is older than what is in hand, here or in an earlier process.
        """
        known = max(self.revision, self.floor)
        if revision < known:
            raise IntegrityError(
                f"`{self.name}` went back from revision {known} to {revision}; publish it again, or restore Redis"
            )

    def take(self, opened: Opened, known: int) -> "Taken":
        """Take an answer in, whole: nothing of it is seen before all of it is.

        Args:
            opened: The answer.
            known: Revision that was said to be known when it was asked for.

        Raises:
            IntegrityError: It is older than what is in hand; nothing was changed.
        """
        self.require_no_return(opened.revision)
        before = self.loaded
        header = opened.header or (None if before is None else before.held_header)
        if header is None:
            raise IntegrityError(f"`{self.name}` was answered without its header")
        refused = dict(opened.refused)
        taken = self._drop_outdated(opened, known)
        for account, held in opened.subjects.items():
            older = self.held.get(account) or taken.dropped.get(account)
            if older is not None and held.raw and held.revision < older.revision:
                refused[account] = f"the record of `{account}` went back from revision {older.revision}"
            else:
                taken.put[account] = held
        for account in refused:
            if account in taken.dropped:  # the last good one stays
                self.held[account] = taken.dropped.pop(account)
        self.held.update(taken.put)
        self._take_keys(opened, taken)
        if opened.header is not None and not taken.is_cleared:
            # The others are compiled again when they are used; these would hold up the loop.
            for account in [name for name, held in self.held.items() if held.is_big and name not in taken.put]:
                taken.dropped[account] = self.held.pop(account)
        if before is None or opened.header is not None or opened.revision != before.revision:
            self.loaded = LoadedOrganization(header, opened.revision, self.held, self._entries)
        taken.refused.update(refused)
        taken.before = before
        taken.is_new = self.loaded is not before
        return taken

    def _drop_outdated(self, opened: Opened, known: int) -> "Taken":
        """Drop the accounts and keys in memory that were changed since, as far as that is known; else all."""
        taken = Taken()
        if self.loaded is None or opened.revision == self.loaded.revision:
            return taken
        changes = opened.changes if known == self.loaded.revision else None
        if changes is None or any(change.subjects is None for change in changes):
            # Replaced, not emptied: taking ten thousand accounts apart takes time.
            taken.is_cleared = True
            taken.dropped, self.held = self.held, {}
        if changes is None or any(change.keys is None for change in changes):
            taken.gone_keys += self.keys
            self.keys, self._entries = {}, {}
        for change in changes or ():
            for account in change.subjects or ():
                if account in self.held:
                    taken.dropped[account] = self.held.pop(account)
            for key_id in change.keys or ():
                if key_id in self.keys:
                    self.forget_key(key_id)
                    taken.gone_keys.append(key_id)
        return taken

    def _take_keys(self, opened: Opened, taken: "Taken") -> None:
        for key_id, held in opened.keys.items():
            was = self.keys.get(key_id)
            if was is not None and held.raw and held.revision < was.revision:
                continue
            self.keys[key_id] = taken.keys[key_id] = held
            if held.entry is None:
                self._entries.pop(key_id, None)
            else:
                self._entries[key_id] = held.entry

    def forget_key(self, key_id: str) -> None:
        """Let go of a key: it was changed, or is used too rarely."""
        self.keys.pop(key_id, None)
        self._entries.pop(key_id, None)

    def concerned(self, change: Changed) -> tuple[Iterable[str], Iterable[str]]:
        """Return the accounts and keys in memory that *change* is about; none when it is about everything."""
        accounts = () if change.subjects is None else [one for one in change.subjects if one in self.held]
        keys = () if change.keys is None else [one for one in change.keys if one in self.keys]
        return accounts, keys


class Taken:
    """What an answer changed in memory.

    Attributes:
        put: Accounts that are new or other.
        dropped: Accounts that are there no more, as they were; some of them may be put anew.
        is_cleared: All that were there before were dropped.
        keys: Keys that are new or other.
        gone_keys: Keys that are there no more, unless put.
        refused: What could not be used, and why.
        before: What was decided with before.
        is_new: Whether what is decided with is another.
    """

    __slots__ = ("before", "dropped", "gone_keys", "is_cleared", "is_new", "keys", "put", "refused")

    def __init__(self) -> None:
        self.put: dict[str, Held] = {}
        self.dropped: dict[str, Held] = {}
        self.is_cleared = False
        self.keys: dict[str, HeldKey] = {}
        self.gone_keys: list[str] = []
        self.refused: dict[str, str] = {}
        self.before: LoadedOrganization | None = None
        self.is_new = False

    @property
    def objects(self) -> int:
        """About how many objects were made of it."""
        of_header = OBJECTS_OF_HEADER if self.is_new else 0
        return of_header + sum(OBJECTS_OF_SUBJECT + len(held.raw) // BYTES_OF_OBJECT for held in self.put.values())
