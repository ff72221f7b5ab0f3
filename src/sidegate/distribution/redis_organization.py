"""One organization of a sidecar that follows Redis: what is in memory of it, and who waits for more."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.document import KeyEntry
from sidegate.distribution.ports import Fetched, OnFetched, Want
from sidegate.distribution.redis_events import Changed
from sidegate.distribution.redis_loading import BIG_BYTES, Opened
from sidegate.distribution.redis_memory import Held, HeldKey, LoadedOrganization


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
    def header_revision(self) -> int:
        """Of the header in memory; 0 for none."""
        return 0 if self.loaded is None else self.loaded.held_header.revision

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is in memory but the header, and nobody wants more."""
        return not (self.held or self.keys or self.is_reading or self.waiters)

    def lacks(self, want: Want, generation: int) -> bool:
        """Whether *want* has to be fetched."""
        return (
            self.loaded is None
            or self.generation != generation
            or self.loaded.revision < want.revision
            or (want.account != "" and want.account not in self.held)
            or (want.key_id != "" and want.key_id not in self.keys)
        )

    def take(self, opened: Opened, known: int) -> "Taken":
        """Take an answer in, whole: nothing of it is seen before all of it is.

        Args:
            opened: The answer.
            known: Revision that was said to be known when it was asked for.

        Raises:
            IntegrityError: It is older than what is in hand; nothing was changed.
        """
        if opened.revision < self.revision:
            raise IntegrityError(
                f"`{self.name}` went back from revision {self.revision} to {opened.revision}; "
                f"publish it again, or restore Redis"
            )
        gone_keys: list[str] = []
        gone = self._outdated(opened, known, gone_keys)
        before = self.loaded
        header = opened.header or (None if before is None else before.held_header)
        if header is None:
            raise IntegrityError(f"`{self.name}` was answered without its header")
        refused = dict(opened.refused)
        put: dict[str, Held] = {}
        for account, held in opened.subjects.items():
            was = self.held.get(account)
            if was is not None and held.raw and held.revision < was.revision:
                refused[account] = f"the record of `{account}` went back from revision {was.revision}"
            else:
                put[account] = held
        for account in gone:
            if account not in put and account not in refused:
                del self.held[account]
        self.held.update(put)
        keys_changed = self._take_keys(opened)
        if opened.header is not None:
            # The others are compiled again when they are used; these would hold up the loop.
            for account in [name for name, held in self.held.items() if len(held.raw) > BIG_BYTES and name not in put]:
                del self.held[account]
                gone.append(account)
        if before is None or opened.header is not None or opened.revision != before.revision:
            self.loaded = LoadedOrganization(header, opened.revision, self.held, self._entries)
        return Taken(put, gone, keys_changed, gone_keys, refused, self.loaded is not before)

    def _outdated(self, opened: Opened, known: int, gone_keys: list[str]) -> list[str]:
        """Return the accounts in memory that were changed since, as far as that is known; else all."""
        if self.loaded is None or opened.revision == self.loaded.revision:
            return []
        if opened.changes is None or known != self.loaded.revision:
            gone_keys += self.keys.keys() - opened.keys.keys()
            for key_id in gone_keys:
                self.forget_key(key_id)
            return list(self.held)
        gone: dict[str, None] = {}
        for change in opened.changes:
            gone.update(dict.fromkeys(self.held if change.subjects is None else change.subjects))
            for key_id in tuple(self.keys) if change.keys is None else change.keys:
                if key_id in self.keys and key_id not in opened.keys:
                    self.forget_key(key_id)
                    gone_keys.append(key_id)
        return [account for account in gone if account in self.held]

    def _take_keys(self, opened: Opened) -> dict[str, HeldKey]:
        taken: dict[str, HeldKey] = {}
        for key_id, held in opened.keys.items():
            was = self.keys.get(key_id)
            if was is not None and held.raw and held.revision < was.revision:
                continue
            self.keys[key_id] = taken[key_id] = held
            if held.entry is None:
                self._entries.pop(key_id, None)
            else:
                self._entries[key_id] = held.entry
        return taken

    def forget_key(self, key_id: str) -> None:
        """Let go of a key: it was changed, or is used too rarely."""
        self.keys.pop(key_id, None)
        self._entries.pop(key_id, None)

    def concerned(self, change: Changed) -> tuple[Iterable[str], Iterable[str]]:
        """Return the accounts and keys in memory that *change* is about; none when it is about everything."""
        accounts = () if change.subjects is None else [one for one in change.subjects if one in self.held]
        keys = () if change.keys is None else [one for one in change.keys if one in self.keys]
        return accounts, keys


@value
class Taken:
    """What an answer changed in memory.

    Attributes:
        put: Accounts that are new or other.
        gone: Accounts that are there no more, unless put.
        keys: Keys that are new or other.
        gone_keys: Keys that are there no more.
        refused: What could not be used.
        is_new: Whether what is decided with is another.
    """

    put: Mapping[str, Held]
    gone: Sequence[str]
    keys: Mapping[str, HeldKey]
    gone_keys: Sequence[str]
    refused: Mapping[str, str]
    is_new: bool
