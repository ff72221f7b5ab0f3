"""From what was read of an organization and what is to be another to what is written of it (spec 5.2). Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Final

from sidegate.core.model.value import value
from sidegate.core.policy.document import KeyEntry, SessionLimits
from sidegate.distribution.redis_excerpt import NOBODY, Excerpt
from sidegate.distribution.redis_header import (
    INLINE,
    SECTIONS,
    Entry,
    PagedSection,
    Root,
    digest_page,
    divide,
    page_name,
    page_of,
    pages_for,
    write_page,
    write_root,
)
from sidegate.distribution.redis_ids import IN_HEADER, write_id_page
from sidegate.distribution.redis_plan import Plan
from sidegate.distribution.redis_records import StoredSubject, write_key, write_subject

_OUTGROWN: Final = 8
"""Times more entries than pages were made for, or that part of them, and the section is divided anew."""


@value
class HeaderSettings:
    """What a header says besides entries.

    Attributes:
        mfa_max_age_s: As in a policy.
        sessions: As in a policy.
        remove: What the candidate removes; None without a candidate.
    """

    mfa_max_age_s: int
    sessions: Mapping[str, SessionLimits]
    remove: tuple[str, ...] | None


@value
class Edits:
    """What is to be another.

    Attributes:
        sections: Entries of the header by name, by section; None for one that goes.
        subjects: What is to be stored of accounts.
        keys: API keys by id; None for one that goes.
        settings: None to leave them.
    """

    sections: Mapping[str, Mapping[str, Entry | None]] = field(default_factory=dict)
    subjects: Mapping[str, StoredSubject] = field(default_factory=dict)
    keys: Mapping[str, KeyEntry | None] = field(default_factory=dict)
    settings: HeaderSettings | None = None


def sections_to_read(excerpt: Excerpt, edits: Edits) -> tuple[str, ...]:
    """Return the sections that have to be read whole, since *edits* make them much longer or shorter."""
    return tuple(
        section
        for section, entries in edits.sections.items()
        if (paged := excerpt.root.paged.get(section)) is not None
        and _is_outgrown(len(paged.digests), paged.count + _growth(excerpt, section, entries))
    )


def ids_concerned(excerpt: Excerpt, edits: Edits) -> set[str]:
    """Return the ids that come, go or move with *edits*: where they are has to be known."""
    return {name for name, _ in _ids_moved(excerpt, edits)}


def plan_edits(excerpt: Excerpt, edits: Edits) -> Plan:
    """Return what is to be written.

    Args:
        excerpt: Has read what *edits* are about, :func:`sections_to_read` and :func:`ids_concerned`.
        edits: Judged before.
    """
    pages: dict[str, bytes | None] = {}
    root = excerpt.root
    inline, paged = dict(root.inline), dict(root.paged)
    for section, given in edits.sections.items():
        changed = {name: entry for name, entry in given.items() if excerpt.entry(section, name) != entry}
        if changed:
            inline.pop(section, None)
            was = paged.pop(section, None)
            if was is not None and not _is_outgrown(len(was.digests), was.count + _growth(excerpt, section, changed)):
                paged[section] = _revised(excerpt, section, changed, pages)
            else:
                if was is not None:
                    pages.update(
                        (page_name(section, number), None) for number, digest in enumerate(was.digests) if digest
                    )
                entries = _changed(excerpt.entries(section), changed)
                if len(entries) <= INLINE:
                    inline[section] = tuple(entries.values())
                else:
                    paged[section] = _divided(excerpt.org, section, entries.values(), pages)
    settings = edits.settings or HeaderSettings(root.mfa_max_age_s, root.sessions, root.remove)
    new = Root(settings.mfa_max_age_s, settings.sessions, settings.remove, root.id_pages, inline, paged)
    content = write_root(new)
    return Plan(
        excerpt.org,
        excerpt.revision,
        None if content == write_root(root) else content,
        {
            account: None if subject == NOBODY else write_subject(subject)
            for account, subject in edits.subjects.items()
            if subject != excerpt.subjects[account]
        },
        {
            key_id: None if entry is None else write_key(entry)
            for key_id, entry in edits.keys.items()
            if entry != excerpt.keys[key_id]
        },
        pages,
        _id_pages(excerpt, edits),
    )


# Sections.


def _growth(excerpt: Excerpt, section: str, changed: Mapping[str, Entry | None]) -> int:
    return sum((entry is not None) - (excerpt.entry(section, name) is not None) for name, entry in changed.items())


def _is_outgrown(pages: int, count: int) -> bool:
    made_for = pages * pages
    return count > _OUTGROWN * made_for or count * _OUTGROWN * _OUTGROWN < made_for or count <= INLINE // 2


def _changed(entries: Mapping[str, Entry], changed: Mapping[str, Entry | None]) -> dict[str, Entry]:
    return {name: entry for name, entry in {**entries, **changed}.items() if entry is not None}


def _revised(
    excerpt: Excerpt, section: str, changed: Mapping[str, Entry | None], pages: dict[str, bytes | None]
) -> PagedSection:
    """Write the pages that *changed* is on into *pages*; returns what the root says then."""
    was = excerpt.root.paged[section]
    digests = list(was.digests)
    by_page: dict[int, dict[str, Entry | None]] = {}
    for name, entry in changed.items():
        by_page.setdefault(page_of(name, len(digests)), {})[name] = entry
    for number, entries in by_page.items():
        page = page_name(section, number)
        content = write_page(SECTIONS[section], _changed(excerpt.pages.get(page, {}), entries).values())
        pages[page] = content or None
        digests[number] = digest_page(excerpt.org, page, content)
    return PagedSection(was.count + _growth(excerpt, section, changed), tuple(digests))


def _divided(org: str, section: str, entries: Iterable[Entry], pages: dict[str, bytes | None]) -> PagedSection:
    listed = list(entries)
    digests: list[str] = []
    for number, page_entries in enumerate(divide(SECTIONS[section], listed, pages_for(len(listed)))):
        page = page_name(section, number)
        content = write_page(SECTIONS[section], page_entries)
        if content:
            pages[page] = content
        digests.append(digest_page(org, page, content))
    return PagedSection(len(listed), tuple(digests))


# Ids.


def _ids_moved(excerpt: Excerpt, edits: Edits) -> Iterator[tuple[str, str | None]]:
    """Yield every id that comes, goes or moves, and where it is then."""
    moved: dict[str, str | None] = {}
    for section in IN_HEADER & edits.sections.keys():
        for name, entry in edits.sections[section].items():
            if entry is None:
                moved.setdefault(name, None)
            elif excerpt.entry(section, name) is None:
                moved[name] = section
    for account, subject in edits.subjects.items():
        before, after = ids_of_subject(excerpt.subjects[account]), ids_of_subject(subject)
        for name in before - after:
            moved.setdefault(name, None)
        moved.update((name, account) for name in after - before)
    yield from moved.items()


def ids_of_subject(subject: StoredSubject) -> set[str]:
    """Return the ids of what is stored of an account."""
    return {one.id for one in subject.bindings} | {one.id for one in subject.denies}


def _id_pages(excerpt: Excerpt, edits: Edits) -> dict[str, bytes | None]:
    pages: dict[int, dict[str, str]] = {}
    for name, where in _ids_moved(excerpt, edits):
        number = excerpt.id_page_of(name)
        page = pages.setdefault(number, dict(excerpt.id_pages[number]))
        if where is None:
            page.pop(name, None)
        else:
            page[name] = where
    return {str(number): write_id_page(page) for number, page in pages.items() if page != excerpt.id_pages[number]}
