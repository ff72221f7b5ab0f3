"""What is in memory over all organizations: bounded, who was not used goes first, and shown to whoever decides."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from sidegate.core.policy.document import KeyEntry
from sidegate.core.policy.snapshot import OrganizationSnapshot
from sidegate.distribution.piecework import Piecework, dismantle
from sidegate.distribution.redis_cache_content import Step, StepKind
from sidegate.distribution.redis_cache_log import CacheLog
from sidegate.distribution.redis_memory import Held, LoadedOrganization, LoadedSnapshot
from sidegate.distribution.redis_organization import Organization, Taken

MAX_ORGANIZATIONS: Final = 20_000
"""Organizations of which a header is kept, used or not."""

MAX_ABSENT: Final = 4096
"""Accounts that are no members, remembered as such: whoever invents names evicts only invented ones."""

MAX_KEYS: Final = 10_000
"""API keys kept, about 1 KiB each."""

LOOKS: Final = 64
"""For one of which nothing is used, before another one goes."""

FEW: Final = 64
"""Accounts that are let go at once; more of them in pieces."""


class Shelves:
    """Every organization in memory.

    Accounts are kept by the second-chance algorithm: a look-up sets a flag and moves nothing, and whoever has none set
    when room is needed goes.

    Args:
        max_subjects: Accounts in memory.
        piecework: Lets go of large things.
        log: Told what changes, for the cache on disk.

    Attributes:
        current: What is decided with.
        get: Returns the organization of a name; None when nothing of it is in memory. Asked once per request.
    """

    def __init__(self, max_subjects: int, piecework: Piecework, log: CacheLog) -> None:
        self._max_subjects = max_subjects
        self._piecework = piecework
        self._log = log
        self._organizations: OrderedDict[str, Organization] = OrderedDict()
        self.get: Callable[[str], Organization | None] = self._organizations.get
        self._snapshots: dict[str, OrganizationSnapshot] = {}
        self._keys: dict[str, tuple[tuple[str, KeyEntry], ...]] = {}
        self._subjects: OrderedDict[tuple[str, str], Held] = OrderedDict()
        self._absent: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._key_order: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.current = LoadedSnapshot(0, self._snapshots, self._keys)

    def __len__(self) -> int:
        """How many accounts are in memory."""
        return len(self._subjects)

    def has_key(self, key_id: str) -> bool:
        """Whether some organization's API key *key_id* is in memory."""
        return key_id in self._keys

    def all(self) -> tuple[Organization, ...]:
        """Return every organization."""
        return tuple(self._organizations.values())

    def add(self, known: Organization) -> list[Organization]:
        """Take *known* in; returns whom that drove out."""
        self._organizations[known.name] = known
        gone: list[Organization] = []
        looks = min(len(self._organizations), LOOKS)
        while len(self._organizations) > MAX_ORGANIZATIONS and looks > 0:
            looks -= 1
            name, one = self._organizations.popitem(last=False)
            if not one.is_idle and looks > 0:
                self._organizations[name] = one
                continue
            self.drop(one)
            gone.append(one)
        return gone

    def drop(self, known: Organization) -> None:
        """Forget all of *known*."""
        name = known.name
        self._organizations.pop(name, None)
        self._snapshots.pop(name, None)
        for key_id in known.keys:
            self._key_order.pop((name, key_id), None)
            self._show_key(name, key_id, None)
        self._log.add(Step(StepKind.DROP_ORGANIZATION, name))
        held, known.held = known.held, {}
        self._let_go(name, held, known.loaded)

    def took(self, known: Organization, taken: Taken) -> bool:
        """Show what *known* has taken in.

        Returns:
            Whether what was verified with the last snapshot has to be looked at again.
        """
        name = known.name
        if self._organizations.get(name) is not known:
            return False  # it had to go while it was read
        self._note(known, taken)
        for account, held in taken.put.items():
            taken.dropped.pop(account, None)
            if held.is_absent:
                self._subjects.pop((name, account), None)
                self._absent[name, account] = None
            else:
                self._absent.pop((name, account), None)
                self._subjects[name, account] = held
        for key_id in taken.gone_keys:
            if key_id not in taken.keys:
                self._key_order.pop((name, key_id), None)
                self._show_key(name, key_id, None)
        for key_id, held_key in taken.keys.items():
            self._key_order[name, key_id] = None
            self._show_key(name, key_id, held_key.entry)
        self._evict()
        before, taken.before = taken.before, None
        is_header_new = before is not None and known.loaded is not None and before.header is not known.loaded.header
        if is_header_new:
            # Compiled with the old header: each would keep it alive until it is used again.
            self._piecework.add(_forget_compiled(known, tuple(known.held.values())))
        self._let_go(name, taken.dropped, before if is_header_new else None)
        if taken.is_new and known.loaded is not None:
            self._snapshots[name] = known.loaded
        if not (taken.is_new or taken.keys or taken.gone_keys):
            return False
        self.current = LoadedSnapshot(max(self.current.revision, known.revision), self._snapshots, self._keys)
        return True

    def steps(self) -> Iterator[list[Step]]:
        """Yield what leads to what is in memory, who was used last first, a list for each account or key.

        Memory may change between two lists. Whoever follows these steps and then those that were logged meanwhile has
        what is in memory.
        """
        begun: set[str] = set()
        for name, account in reversed(tuple(self._subjects)):
            known = self._organizations.get(name)
            held = None if known is None else known.held.get(account)
            if known is not None and held is not None and not held.is_absent:
                yield [*self._begin(known, begun), Step(StepKind.SUBJECT, name, account, held.raw)]
        for name, key_id in reversed(tuple(self._key_order)):
            known = self._organizations.get(name)
            held_key = None if known is None else known.keys.get(key_id)
            if known is not None and held_key is not None and held_key.raw:
                yield [*self._begin(known, begun), Step(StepKind.KEY, name, key_id, held_key.raw)]

    def _begin(self, known: Organization, begun: set[str]) -> Iterator[Step]:
        if known.name not in begun and known.loaded is not None:
            begun.add(known.name)
            yield from _header_steps(known, known.loaded)
            if known.doubted_since is not None:
                yield Step(StepKind.DOUBT, known.name, str(known.doubted_since))

    def _note(self, known: Organization, taken: Taken) -> None:
        """Log what was taken in, for the cache on disk."""
        log, name = self._log, known.name
        if not log.is_wanted or known.loaded is None:
            return
        if taken.is_cleared:
            log.add(Step(StepKind.DROP_RECORDS, name))
            # Keys go with them; those that were not changed are still here.
            log.add_all(Step(StepKind.KEY, name, key_id, key.raw) for key_id, key in known.keys.items() if key.raw)
        else:
            log.add_all(Step(StepKind.DROP_SUBJECT, name, account) for account in taken.dropped)
            log.add_all(Step(StepKind.DROP_KEY, name, key_id) for key_id in taken.gone_keys)
        for account, held in taken.put.items():
            kind = StepKind.DROP_SUBJECT if held.is_absent else StepKind.SUBJECT
            log.add(Step(kind, name, account, held.raw))
        for key_id, key in taken.keys.items():
            log.add(Step(StepKind.KEY if key.raw else StepKind.DROP_KEY, name, key_id, key.raw))
        if taken.is_new:
            log.add_all(_header_steps(known, known.loaded, taken.before))

    def _show_key(self, org: str, key_id: str, entry: KeyEntry | None) -> None:
        others = tuple(one for one in self._keys.get(key_id, ()) if one[0] != org)
        shown = others if entry is None else (*others, (org, entry))
        if shown:
            self._keys[key_id] = shown
        else:
            self._keys.pop(key_id, None)

    def _evict(self) -> None:
        """Keep no more in memory than there may be."""
        while len(self._subjects) > self._max_subjects:
            (name, account), held = self._subjects.popitem(last=False)
            known = self._organizations.get(name)
            if known is None or known.held.get(account) is not held:
                continue  # it was let go already
            if held.used:
                held.used = False
                self._subjects[name, account] = held
            else:
                del known.held[account]
                self._log.add(Step(StepKind.DROP_SUBJECT, name, account))
        while len(self._absent) > MAX_ABSENT:
            (name, account), _ = self._absent.popitem(last=False)
            known = self._organizations.get(name)
            if known is not None and account in known.held and known.held[account].is_absent:
                del known.held[account]
        while len(self._key_order) > MAX_KEYS:
            (name, key_id), _ = self._key_order.popitem(last=False)
            self._show_key(name, key_id, None)
            self._log.add(Step(StepKind.DROP_KEY, name, key_id))
            known = self._organizations.get(name)
            if known is not None:
                known.forget_key(key_id)

    def _let_go(self, org: str, held: dict[str, Held], before: LoadedOrganization | None) -> None:
        """Take *held* off the shelves, and let go of it and of *before*, which is decided with no more."""
        steps = self._unshelve(org, held, [] if before is None else [before])
        if len(held) <= FEW and before is None:
            for _ in steps:
                pass
        else:
            self._piecework.add(steps)

    def _unshelve(self, org: str, held: dict[str, Held], last: list[object]) -> Iterator[None]:
        while held:
            account, one = held.popitem()
            if self._subjects.get((org, account)) is one:
                del self._subjects[org, account]
            known = self._organizations.get(org)
            if one.is_absent and (known is None or account not in known.held):
                self._absent.pop((org, account), None)
            yield
            del one
        yield from dismantle(last)


def _header_steps(
    known: Organization, loaded: LoadedOrganization, before: LoadedOrganization | None = None
) -> Iterator[Step]:
    header, old = loaded.held_header, None if before is None else before.held_header
    if old is not header:
        yield Step(StepKind.HEADER, known.name, "", header.opened.raw)
        were = {} if old is None else dict(old.records())
        for name, record in header.records():
            if were.pop(name, None) is not record:
                yield Step(StepKind.PAGE, known.name, name, record)
        for name in were:
            yield Step(StepKind.DROP_PAGE, known.name, name)
    yield Step(StepKind.REVISION, known.name, str(loaded.revision))


def _forget_compiled(known: Organization, held: tuple[Held, ...]) -> Iterator[None]:
    for one in held:
        loaded, subject = known.loaded, one.subject
        if subject is not None and loaded is not None and subject.header is not loaded.header:
            one.subject = None
        yield
        del subject
