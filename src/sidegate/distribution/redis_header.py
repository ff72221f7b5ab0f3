"""The header of one organization as it lies in Redis: a root, and pages of the entries that are many (spec 5.2).

The root is the header record. It holds the settings and every section of up to :data:`INLINE` entries; of a longer one
it names the digest of each page. So digest and signature of the root cover all of the header, a change of one entry
writes its page and the root, and who has all other pages already reads these two.

An entry is in the page that its name leads to: whoever knows its name finds it without looking through the others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final
from zlib import crc32

import orjson

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.value import value
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
    SessionLimits,
)
from sidegate.distribution.redis_content import Plain, read_entries, read_entry, write_entries, write_entry
from sidegate.distribution.redis_records import RecordKind, digest_content, is_account

Entry = Any
"""A policy entry; of which kind, the section says."""

INLINE: Final = 64
"""Entries of a section that stand in the root. Most organizations have fewer of everything: theirs is one record."""

_LINE: Final = 100
"""Entries that are read at a time: reading one long text would hold the interpreter's lock."""

_MAX_PAGES: Final = 1 << 16
_CANDIDATE: Final = "candidate."


@value
class SectionKind:
    """What a section holds: entries of *kind*, called by their field *name*."""

    kind: type
    name: str

    def name_of(self, entry: Entry) -> str:
        """Return what *entry* is called."""
        called: str = getattr(entry, self.name)
        return called


_OF_POLICY: Final = {
    "roles": SectionKind(RoleEntry, "name"),
    "groups": SectionKind(GroupEntry, "name"),
    "bindings": SectionKind(BindingEntry, "id"),
    "denies": SectionKind(DenyEntry, "id"),
    "approvals": SectionKind(ApprovalRule, "id"),
}
_OF_CANDIDATE: Final = {
    **_OF_POLICY,
    "members": SectionKind(MemberEntry, "account"),
    "keys": SectionKind(KeyEntry, "id"),
}
SECTIONS: Final[Mapping[str, SectionKind]] = {
    **_OF_POLICY,
    **{_CANDIDATE + section: kind for section, kind in _OF_CANDIDATE.items()},
}
"""Every section of a header, the candidate's too."""


@value
class PagedSection:
    """A section that does not stand in the root.

    Attributes:
        count: How many entries it has.
        digests: Of the content of each page, in hex; empty for a page without entries, which there is none of.
    """

    count: int
    digests: tuple[str, ...]


@value
class Root:
    """What a header record says.

    Attributes:
        mfa_max_age_s: As in the policy.
        sessions: As in the policy.
        remove: What the candidate removes; None when there is no candidate.
        id_pages: In how many pages the ids of all entries lie, for publishers.
        inline: Sections that stand here, but for empty ones.
        paged: Sections that do not.
    """

    mfa_max_age_s: int
    sessions: Mapping[str, SessionLimits]
    remove: tuple[str, ...] | None
    id_pages: int
    inline: Mapping[str, tuple[Entry, ...]]
    paged: Mapping[str, PagedSection]

    def count_of(self, section: str) -> int:
        """Return how many entries *section* has."""
        paged = self.paged.get(section)
        return len(self.inline.get(section, ())) if paged is None else paged.count

    def digest_of(self, page: str) -> str:
        """Return the digest of the page called *page*."""
        section, _, number = page.rpartition(".")
        return self.paged[section].digests[int(number)]

    def pages(self) -> Iterator[tuple[str, str]]:
        """Yield name and digest of every page."""
        for section, paged in self.paged.items():
            for number, digest in enumerate(paged.digests):
                if digest:
                    yield page_name(section, number), digest


@value
class WrittenHeader:
    """A header to be stored.

    Attributes:
        root: Content of the header record.
        pages: Contents of pages by name.
    """

    root: bytes
    pages: Mapping[str, bytes]


def page_name(section: str, number: int) -> str:
    """Return what the page *number* of *section* is called, e.g. ``bindings.17``."""
    return f"{section}.{number}"


def pages_for(count: int) -> int:
    """Return how many pages to make of *count* entries, a power of two: as many as each has entries, about.

    So neither the root that names the pages nor a page is long: with 100,000 entries 17 KB and 40 KB.
    """
    return 1 << (count.bit_length() // 2)


def page_of(name: str, pages: int) -> int:
    """Return in which of so many *pages* the entry called *name* is.

    A checksum, not a secret hash: whoever chooses names so that they collide makes the publishing of their own
    organization slower.
    """
    return crc32(name.encode()) & (pages - 1)


def divide(kind: SectionKind, entries: Iterable[Entry], pages: int) -> list[list[Entry]]:
    """Return *entries* by page."""
    divided: list[list[Entry]] = [[] for _ in range(pages)]
    name_of = attrgetter(kind.name)
    for entry in entries:
        divided[crc32(name_of(entry).encode()) & (pages - 1)].append(entry)
    return divided


# Writing.


def sections_of(document: PolicyDocument) -> dict[str, Sequence[Entry]]:
    """Return what of *document* is in its header, by section: what is not about one account alone, nor a key."""
    found: dict[str, Sequence[Entry]] = {
        "roles": document.roles,
        "groups": document.groups,
        "bindings": [one for one in document.bindings if not is_account(one.who)],
        "denies": [one for one in document.denies if not is_account(one.who)],
        "approvals": document.approvals,
    }
    if document.candidate is not None:
        found.update((_CANDIDATE + section, getattr(document.candidate, section)) for section in _OF_CANDIDATE)
    return found


def write_header(document: PolicyDocument, id_pages: int = 1) -> WrittenHeader:
    """Return the header of *document*.

    Args:
        document: A whole one.
        id_pages: See :class:`Root`.
    """
    inline: dict[str, tuple[Entry, ...]] = {}
    paged: dict[str, PagedSection] = {}
    pages: dict[str, bytes] = {}
    for section, entries in sections_of(document).items():
        kind = SECTIONS[section]
        if len(entries) <= INLINE:
            inline[section] = tuple(entries)
            continue
        divided = divide(kind, entries, pages_for(len(entries)))
        contents = [write_page(kind, listed) for listed in divided]
        names = [page_name(section, number) for number in range(len(contents))]
        paged[section] = PagedSection(
            len(entries),
            tuple(
                digest_page(document.organization, name, content) for name, content in zip(names, contents, strict=True)
            ),
        )
        pages.update((name, content) for name, content in zip(names, contents, strict=True) if content)
    remove = None if document.candidate is None else document.candidate.remove
    root = Root(document.mfa_max_age_s, document.sessions, remove, id_pages, inline, paged)
    return WrittenHeader(write_root(root), pages)


def write_root(root: Root) -> bytes:
    """Return the content of a header record. Equal headers are equal bytes."""
    sections: dict[str, Plain] = {}
    for section, kind in SECTIONS.items():
        paged, entries = root.paged.get(section), root.inline.get(section)
        if paged is not None:
            sections[section] = {"count": paged.count, "digests": paged.digests}
        elif entries:
            sections[section] = write_entries(sorted(entries, key=kind.name_of))
    return orjson.dumps(
        {
            "mfa_max_age_s": root.mfa_max_age_s,
            "sessions": {surface: write_entry(limits) for surface, limits in sorted(root.sessions.items())},
            "remove": root.remove,
            "id_pages": root.id_pages,
            "sections": sections,
        }
    )


def write_page(kind: SectionKind, entries: Iterable[Entry]) -> bytes:
    """Return the content of a page; empty without entries."""
    ordered = sorted(entries, key=kind.name_of)
    return b"\n".join(
        orjson.dumps(write_entries(ordered[start : start + _LINE])) for start in range(0, len(ordered), _LINE)
    )


def digest_page(org: str, name: str, content: bytes) -> str:
    """Return what a root says of a page; empty for one without entries."""
    return digest_content(org, RecordKind.PAGE, name, content) if content else ""


# Reading.

_ROOT_MEMBERS: Final = frozenset(("mfa_max_age_s", "sessions", "remove", "id_pages", "sections"))


def read_root(org: str, content: bytes) -> Root:
    """Read what :func:`write_root` made.

    Raises:
        IntegrityError: It is not that.
    """
    try:
        plain = orjson.loads(content)
        if type(plain) is not dict or plain.keys() != _ROOT_MEMBERS:
            raise IntegrityError(f"the header of `{org}` has other members than expected; publish it again")
        inline: dict[str, tuple[Entry, ...]] = {}
        paged: dict[str, PagedSection] = {}
        for section, given in plain["sections"].items():
            if type(given) is dict:
                paged[section] = _read_paged(section, given)
            else:
                inline[section] = read_entries(SECTIONS[section].kind, given)
                _require_distinct(section, inline[section])
        return Root(
            _whole(plain["mfa_max_age_s"]),
            {surface: read_entry(SessionLimits, limits) for surface, limits in plain["sessions"].items()},
            None if plain["remove"] is None else _texts(plain["remove"]),
            _whole(plain["id_pages"]),
            inline,
            paged,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError(f"the header of `{org}` cannot be read: {error}; publish it again") from error


def _read_paged(section: str, plain: Mapping[str, Plain]) -> PagedSection:
    digests = _texts(plain["digests"])
    pages = len(digests)
    if section not in SECTIONS or not 0 < pages <= _MAX_PAGES or pages & (pages - 1):
        raise ValueError(f"{pages} pages of `{section}`")
    return PagedSection(_whole(plain["count"]), digests)


def read_page(org: str, section: str, number: int, pages: int, content: bytes) -> tuple[Entry, ...]:
    """Read the page *number* of *pages* of *section*.

    Raises:
        IntegrityError: It is not what :func:`write_page` makes, or holds what belongs elsewhere.
    """
    kind = SECTIONS[section]
    try:
        entries: list[Entry] = []
        for line in content.split(b"\n"):
            entries += read_entries(kind.kind, orjson.loads(line))
        _require_distinct(section, entries)
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"`{section}` of `{org}` cannot be read: {error}; publish it again") from error
    if any(page_of(kind.name_of(entry), pages) != number for entry in entries):
        raise IntegrityError(f"`{section}` of `{org}` has entries in the wrong page; publish it again")
    return tuple(entries)


def _require_distinct(section: str, entries: Sequence[Entry]) -> None:
    if len(set(map(SECTIONS[section].name_of, entries))) != len(entries):
        raise ValueError(f"two of `{section}` are called the same")


def document_of(org: str, root: Root, sections: Mapping[str, Sequence[Entry]]) -> PolicyDocument:
    """Return a header as a document: without members, keys and what is about one account alone.

    Args:
        org: Whose it is.
        root: Of the header.
        sections: Entries of every section that has any.
    """

    def listed(section: str) -> tuple[Entry, ...]:
        return tuple(sections.get(section, ()))

    return PolicyDocument(
        org,
        mfa_max_age_s=root.mfa_max_age_s,
        roles=listed("roles"),
        groups=listed("groups"),
        bindings=listed("bindings"),
        denies=listed("denies"),
        approvals=listed("approvals"),
        sessions=root.sessions,
        candidate=candidate_of(root, sections),
    )


def candidate_of(root: Root, sections: Mapping[str, Sequence[Entry]]) -> Candidate | None:
    """Return the candidate of a header; None when there is none."""
    if root.remove is None:
        return None
    return Candidate(
        **{section: tuple(sections.get(_CANDIDATE + section, ())) for section in _OF_CANDIDATE}, remove=root.remove
    )


def is_of_candidate(section: str) -> bool:
    """Whether *section* is one of the candidate's."""
    return section.startswith(_CANDIDATE)


def _whole(plain: Plain) -> int:
    if type(plain) is not int or not 0 <= plain < 1 << 53:
        raise TypeError("a number is none")
    return plain


def _texts(plain: Plain) -> tuple[str, ...]:
    if type(plain) is not list or not all(type(one) is str for one in plain):
        raise TypeError("a list of texts is none")
    return tuple(plain)
