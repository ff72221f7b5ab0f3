"""A header in memory of a sidecar: its root and pages, read and compiled (spec 5.2, 5.3).

What is the same as in the header before is neither read nor compiled again: where one of a hundred thousand bindings of
groups changes, one page is read, and the part of the group laid out anew that it is in.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.value import value
from sidegate.core.policy.concern import Concern, concern_of
from sidegate.core.policy.document import Candidate, PolicyDocument
from sidegate.core.policy.header import CompiledHeader
from sidegate.core.policy.header_change import HeaderChange, HeaderEntries, differences
from sidegate.core.policy.overlay import apply_candidate
from sidegate.distribution.redis_header import (
    SECTIONS,
    Entry,
    Root,
    candidate_of,
    document_of,
    is_of_candidate,
    page_name,
    read_page,
    read_root,
)
from sidegate.distribution.redis_records import HEADER_ID, RecordKind, digest_content, unseal

_MOST: Final = 2
"""When more than one of so many entries changed, everything is compiled anew."""


@value
class HeldSection:
    """The entries of one section.

    Attributes:
        pages: Entries by page; one page when they stand in the root.
        digests: Of each page; None when they stand in the root.
        raw: Records by page; empty for a page without entries.
    """

    pages: tuple[tuple[Entry, ...], ...]
    digests: tuple[str, ...] | None = None
    raw: tuple[bytes, ...] = ()

    def entries(self) -> Iterator[Entry]:
        """Yield every entry."""
        return chain.from_iterable(self.pages)


_NO_SECTION: Final = HeldSection(())


@value
class OpenedRoot:
    """A header record, verified and read.

    Attributes:
        revision: Of the record.
        digest: SHA-256 (hex) of its content, and so of the whole header.
        root: What it says.
        raw: The record.
    """

    revision: int
    digest: str
    root: Root
    raw: bytes


@value
class HeldHeader:
    """A header, read and compiled.

    Attributes:
        organization: Whose it is.
        opened: The record.
        sections: Those that have entries.
        settings: What it says but for its entries; with the candidate, whole.
        compiled: The enforced policy.
        candidate: The candidate's, if there is one.
        concern: What the candidate changes.
    """

    organization: str
    opened: OpenedRoot
    sections: Mapping[str, HeldSection]
    settings: PolicyDocument
    compiled: CompiledHeader
    candidate: CompiledHeader | None
    concern: Concern | None

    @property
    def revision(self) -> int:
        """Of its record."""
        return self.opened.revision

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what it says."""
        return self.opened.digest

    def document(self) -> PolicyDocument:
        """Return what it says, whole: with a hundred thousand bindings some milliseconds of work."""
        return document_of(
            self.organization,
            self.opened.root,
            {name: tuple(section.entries()) for name, section in self.sections.items()},
        )

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and record of every page."""
        for name, section in self.sections.items():
            for number, raw in enumerate(section.raw):
                if raw:
                    yield page_name(name, number), raw


def open_root(org: str, raw: bytes, trusted: Ed25519PublicKey | None) -> OpenedRoot:
    """Verify and read a header record. Pure, so that a thread may do it.

    Raises:
        IntegrityError: It does not verify, or is not what is published.
    """
    sealed = unseal(org, RecordKind.HEADER, HEADER_ID, raw, trusted=trusted)
    digest = digest_content(org, RecordKind.HEADER, HEADER_ID, sealed.content)
    return OpenedRoot(sealed.revision, digest, read_root(org, sealed.content), raw)


def missing_pages(root: Root, known: HeldHeader | None) -> tuple[str, ...]:
    """Return the names of the pages of *root* that are not those of the header in hand."""
    held = {} if known is None else dict(known.opened.root.pages())
    return tuple(name for name, digest in root.pages() if held.get(name) != digest)


def open_header(
    org: str,
    opened: OpenedRoot,
    pages: Mapping[str, bytes | None],
    known: HeldHeader | None,
    trusted: Ed25519PublicKey | None,
) -> HeldHeader:
    """Verify, read and compile a header. Pure, so that a thread may do it.

    Args:
        org: Whose it is.
        opened: The root.
        pages: Records of at least those that :func:`missing_pages` names.
        known: The header in hand.
        trusted: Whose signature every record must have; None for any or none.

    Raises:
        IntegrityError: A page is missing, does not verify, or is not the one that the root names.
    """
    sections = read_sections(org, opened, pages, trusted, known)
    root = opened.root
    candidate = candidate_of(
        root, {name: tuple(one.entries()) for name, one in sections.items() if is_of_candidate(name)}
    )
    settings = PolicyDocument(org, mfa_max_age_s=root.mfa_max_age_s, sessions=root.sessions, candidate=candidate)
    compiled, laid_over = _compiled(org, root, sections, candidate, known)
    return HeldHeader(
        org,
        opened,
        sections,
        settings,
        compiled,
        laid_over,
        None if laid_over is None else concern_of(compiled, laid_over),
    )


def read_sections(
    org: str,
    opened: OpenedRoot,
    pages: Mapping[str, bytes | None],
    trusted: Ed25519PublicKey | None,
    known: HeldHeader | None = None,
) -> dict[str, HeldSection]:
    """Return the sections of a header by name; pages that are those of the header in hand are not read again.

    Args:
        org: See :func:`open_header`, as for all others.
        opened: The root.
        pages: Records.
        trusted: Whose signature they must have.
        known: The header in hand.

    Raises:
        IntegrityError: As for :func:`open_header`.
    """
    sections: dict[str, HeldSection] = {name: HeldSection((listed,)) for name, listed in opened.root.inline.items()}
    for name, paged in opened.root.paged.items():
        before = _NO_SECTION if known is None else known.sections.get(name, _NO_SECTION)
        were = before.digests if before.digests is not None and len(before.digests) == len(paged.digests) else None
        entries: list[tuple[Entry, ...]] = []
        raw: list[bytes] = []
        for number, digest in enumerate(paged.digests):
            if were is not None and were[number] == digest:
                entries.append(before.pages[number])
                raw.append(before.raw[number])
            elif digest:
                page = page_name(name, number)
                record = verify_page(org, opened, page, pages.get(page), trusted)
                entries.append(read_page(org, name, number, len(paged.digests), record.partition(b"\n")[2]))
                raw.append(record)
            else:
                entries.append(())
                raw.append(b"")
        if sum(map(len, entries)) != paged.count:
            raise IntegrityError(f"the header of `{org}` counts `{name}` wrongly; publish it again")
        sections[name] = HeldSection(tuple(entries), paged.digests, tuple(raw))
    return sections


def verify_page(
    org: str, opened: OpenedRoot, name: str, record: bytes | None, trusted: Ed25519PublicKey | None
) -> bytes:
    """Return the *record* of the page *name* of the header *opened*.

    Raises:
        IntegrityError: It is missing, does not verify, or is another one.
    """
    if record is None:
        raise IntegrityError(f"the page `{name}` of `{org}` is missing; publish it again")
    sealed = unseal(org, RecordKind.PAGE, name, record, trusted=trusted)
    # Not by its revision: one that was lost and written again says what it said.
    if digest_content(org, RecordKind.PAGE, name, sealed.content) != opened.root.digest_of(name):
        raise IntegrityError(f"the page `{name}` of `{org}` is not the one that its header names; publish it again")
    return record


def _compiled(
    org: str,
    root: Root,
    sections: Mapping[str, HeldSection],
    candidate: Candidate | None,
    known: HeldHeader | None,
) -> tuple[CompiledHeader, CompiledHeader | None]:
    """Compile what the sections say, and what the candidate makes of it: from what is known, if most is the same."""

    def document() -> PolicyDocument:
        return document_of(org, root, {name: tuple(section.entries()) for name, section in sections.items()})

    change = None if known is None else _change(root, sections, known.sections)
    if change is None or known is None:
        whole = document()
        return CompiledHeader(whole), None if candidate is None else CompiledHeader(apply_candidate(whole))
    compiled = known.compiled.revised(change)
    if candidate is None:
        return compiled, None
    if known.candidate is None or known.settings.candidate != candidate:
        return compiled, CompiledHeader(apply_candidate(document()))
    roles = apply_candidate(PolicyDocument(org, roles=change.roles, candidate=candidate)).roles
    return compiled, known.candidate.revised(change.beside(candidate, roles))


def _change(root: Root, sections: Mapping[str, HeldSection], before: Mapping[str, HeldSection]) -> HeaderChange | None:
    """Return what changed; None when that is most of it."""
    gone, come, total = {}, {}, 0
    for name in ("bindings", "denies", "approvals"):
        old, new = before.get(name, _NO_SECTION), sections.get(name, _NO_SECTION)
        total += root.count_of(name)
        gone[name], come[name] = differences(*_pages_that_differ(old, new), SECTIONS[name].name_of)
    change = HeaderChange(
        root.mfa_max_age_s,
        tuple(sections.get("roles", _NO_SECTION).entries()),
        HeaderEntries(**gone),
        HeaderEntries(**come),
    )
    return None if len(change.come) * _MOST > total or len(change.gone) > total else change


def _pages_that_differ(old: HeldSection, new: HeldSection) -> tuple[Iterable[Entry], Iterable[Entry]]:
    if old.digests is None or new.digests is None or len(old.digests) != len(new.digests):
        return old.entries(), new.entries()
    other = [
        number for number, (one, another) in enumerate(zip(old.digests, new.digests, strict=True)) if one != another
    ]
    return (
        chain.from_iterable(old.pages[number] for number in other),
        chain.from_iterable(new.pages[number] for number in other),
    )
