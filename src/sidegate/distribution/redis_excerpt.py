"""What a publisher reads of an organization to change some of it: nothing else (spec 5.2)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.model.errors import IntegrityError, PolicyError, Problem
from sidegate.core.policy.document import KeyEntry
from sidegate.distribution.redis_header import SECTIONS, Entry, Root, page_name, page_of, read_page
from sidegate.distribution.redis_held_header import OpenedRoot, open_root, verify_page
from sidegate.distribution.redis_ids import read_id_page
from sidegate.distribution.redis_keys import keys_of
from sidegate.distribution.redis_reading import ask
from sidegate.distribution.redis_records import (
    RecordKind,
    StoredSubject,
    read_key,
    read_subject,
    unseal,
)
from sidegate.redis_link.link import Link

NOBODY: Final = StoredSubject(None)
_AT_ONCE: Final = 256


class ChangedMeanwhileError(Exception):
    """Somebody has published the organization since the first of it was read: all of it is to be read again."""


class Excerpt:
    """Parts of one organization, all of one revision: what is committed is refused when that is not so.

    Args:
        link: To Redis.
        org: A checked name.
        trusted: When given, whose signature every record must have that is read.
        before: An excerpt that was read earlier; what of its header is still the same is not read again.

    Attributes:
        org: See there.
        revision: Of the organization.
        opened: The root of its header.
        pages: Entries by name, by page of the header; of those pages that were read.
        subjects: By account; of those that were read.
        keys: By id; None for one that there is not. Of those that were read.
        id_pages: Where each id is, by page; of those that were read.
    """

    def __init__(self, link: Link, org: str, trusted: Ed25519PublicKey | None, before: "Excerpt | None" = None) -> None:
        self.org: str = org
        self.revision = 0
        self._link = link
        self._trusted = trusted
        self._before: Excerpt | None = before if before is not None and before.org == org else None
        self.opened: OpenedRoot
        self.pages: dict[str, dict[str, Entry]] = {}
        self.subjects: dict[str, StoredSubject] = {}
        self.keys: dict[str, KeyEntry | None] = {}
        self.id_pages: dict[int, dict[str, str]] = {}

    @property
    def root(self) -> Root:
        """What the header says, its pages aside."""
        return self.opened.root

    async def begin(self, accounts: Sequence[str] = (), key_ids: Sequence[str] = ()) -> None:
        """Read revision and root, and the records of *accounts* and *key_ids*.

        Raises:
            PolicyError: The organization is not published.
            IntegrityError: Something there is not what was published.
            DependencyError: Redis is away, or holds something else under the names.
        """
        before, self._before = self._before, None
        known = 0 if before is None else before.opened.revision
        raw = await ask(self._link, self.org, accounts, key_ids, header=known)
        if raw is None:
            raise PolicyError((Problem(None, self.org, "is not published", "publish it whole first"),))
        self.revision = raw.revision
        if raw.header is not None:
            self.opened = open_root(self.org, raw.header, self._trusted)
        elif before is not None:
            self.opened = before.opened
        if before is not None:
            old, new = dict(before.root.pages()), dict(self.root.pages())
            self.pages = {name: page for name, page in before.pages.items() if name in new and old[name] == new[name]}
        self._take_subjects(raw.subjects)
        self._take_keys(raw.keys)

    async def read_subjects(self, accounts: Iterable[str]) -> None:
        """Read what is stored of *accounts*, as far as it was not read yet."""
        await self._read(accounts, self.subjects, keys_of(self.org).subjects, self._take_subjects)

    async def read_keys(self, key_ids: Iterable[str]) -> None:
        """Read the API keys *key_ids*, as far as they were not read yet."""
        await self._read(key_ids, self.keys, keys_of(self.org).keys, self._take_keys)

    async def read_ids(self, ids: Iterable[str]) -> None:
        """Find out where *ids* are; see :meth:`where`."""
        numbers = {self._id_page(entry_id) for entry_id in ids} - self.id_pages.keys()

        def take(records: Mapping[str, bytes | None]) -> None:
            for name, record in records.items():
                if record is None:
                    what = f"the ids of `{self.org}` are not all there"
                    raise IntegrityError(f"{what}; publish it whole, then change it")
                sealed = unseal(self.org, RecordKind.IDS, name, record, trusted=self._trusted)
                self.id_pages[int(name)] = read_id_page(self.org, sealed.content)

        await self._read(map(str, sorted(numbers)), {}, keys_of(self.org).ids, take)

    def where(self, entry_id: str) -> str | None:
        """Return whose entry *entry_id* is, an account or a section of the header; None for nobody's.

        It was asked for with :meth:`read_ids`.
        """
        return self.id_pages[self._id_page(entry_id)].get(entry_id)

    def _id_page(self, entry_id: str) -> int:
        pages = self.root.id_pages
        if pages < 1 or pages & (pages - 1):
            raise IntegrityError(f"`{self.org}` has {pages} pages of ids; publish it whole, then change it")
        return page_of(entry_id, pages)

    def id_page_of(self, entry_id: str) -> int:
        """Return the number of the page that *entry_id* is, or would be, in."""
        return self._id_page(entry_id)

    async def read_entries(self, section: str, names: Iterable[str] | None = None) -> None:
        """Read the entries of *section* of the header that are called *names*, or all of them."""
        paged = self.root.paged.get(section)
        if paged is None:
            return
        numbers = range(len(paged.digests)) if names is None else {page_of(name, len(paged.digests)) for name in names}
        wanted = {page_name(section, number): number for number in sorted(numbers) if paged.digests[number]}

        def take(records: Mapping[str, bytes | None]) -> None:
            for name, record in records.items():
                number = wanted[name]
                verified = verify_page(self.org, self.opened, name, record, self._trusted)
                content = verified.partition(b"\n")[2]
                entries = read_page(self.org, section, number, len(paged.digests), content)
                self.pages[name] = {SECTIONS[section].name_of(entry): entry for entry in entries}

        await self._read(wanted, self.pages, keys_of(self.org).pages, take)

    def entry(self, section: str, name: str) -> Entry | None:
        """Return what is called *name* in *section*, which was read; None for nothing."""
        paged = self.root.paged.get(section)
        if paged is None:
            return next(
                (one for one in self.root.inline.get(section, ()) if SECTIONS[section].name_of(one) == name), None
            )
        number = page_of(name, len(paged.digests))
        return self.pages[page_name(section, number)].get(name) if paged.digests[number] else None

    def entries(self, section: str) -> dict[str, Entry]:
        """Return the entries of *section*, by name, as far as they were read."""
        paged = self.root.paged.get(section)
        if paged is None:
            return {SECTIONS[section].name_of(one): one for one in self.root.inline.get(section, ())}
        found: dict[str, Entry] = {}
        for number in range(len(paged.digests)):
            found |= self.pages.get(page_name(section, number), {})
        return found

    # Within.

    async def _read(
        self,
        names: Iterable[str],
        known: Mapping[str, object],
        key: str,
        take: Callable[[Mapping[str, bytes | None]], None],
    ) -> None:
        wanted = [name for name in dict.fromkeys(names) if name not in known]
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            found = await self._link.call("HMGET", key, *some, doing=f"reading `{self.org}`")
            try:
                take(dict(zip(some, cast("list[bytes | None]", found), strict=True)))
            except IntegrityError:
                revision = await self._link.call("GET", keys_of(self.org).revision, doing=f"reading `{self.org}`")
                if revision != str(self.revision).encode():
                    raise ChangedMeanwhileError from None
                raise

    def _take_subjects(self, records: Mapping[str, bytes | None]) -> None:
        for account, record in records.items():
            if record is None:
                self.subjects[account] = NOBODY
            else:
                sealed = unseal(self.org, RecordKind.SUBJECT, account, record, trusted=self._trusted)
                self.subjects[account] = read_subject(account, sealed.content)

    def _take_keys(self, records: Mapping[str, bytes | None]) -> None:
        for key_id, record in records.items():
            if record is None:
                self.keys[key_id] = None
            else:
                sealed = unseal(self.org, RecordKind.KEY, key_id, record, trusted=self._trusted)
                self.keys[key_id] = read_key(key_id, sealed.content)
