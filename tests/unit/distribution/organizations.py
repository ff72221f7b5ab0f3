"""Organizations as they come from Redis, without a Redis."""

from dataclasses import replace
from typing import Any

from sidegate.core.model.authority import Mask
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import BindingEntry, DenyEntry, KeyEntry, MemberEntry, PolicyDocument
from sidegate.distribution.redis_events import Changed
from sidegate.distribution.redis_header import write_header
from sidegate.distribution.redis_held_header import HeldHeader
from sidegate.distribution.redis_loading import Opened, Raw, open_answer
from sidegate.distribution.redis_records import HEADER_ID, RecordKind, seal, subject_contents, write_key

KEY = KeyEntry("A" * 16, b"\x01" * 32, "user:u1")
DOCUMENT = PolicyDocument(
    "acme",
    members=tuple(MemberEntry(f"user:u{number}", roles=("Member",), groups=("all",)) for number in range(4)),
    bindings=(
        *(BindingEntry(f"b{number}", f"user:u{number}", "Admin", parse_scope("p1")) for number in range(4)),
        BindingEntry("g1", "group:all", "Viewer", parse_scope("p2")),
    ),
    denies=(DenyEntry("d0", "user:u0", Mask(4), parse_scope("*")),),
    keys=(KEY,),
)


def header_record(revision: int, document: PolicyDocument = DOCUMENT) -> bytes:
    """Return the header record of *document*, published at *revision*."""
    return seal(document.organization, RecordKind.HEADER, HEADER_ID, revision, write_header(document).root)


def page_records(revision: int, document: PolicyDocument = DOCUMENT) -> dict[str, bytes]:
    """Return the records of the pages of the header of *document*, published at *revision*, by name."""
    org = document.organization
    pages = write_header(document).pages
    return {name: seal(org, RecordKind.PAGE, name, revision, content) for name, content in pages.items()}


def subject_record(account: str, revision: int, document: PolicyDocument = DOCUMENT) -> bytes | None:
    """Return the record of *account*; None when it has none."""
    content = subject_contents(document).get(account)
    if content is None:
        return None
    return seal(document.organization, RecordKind.SUBJECT, account, revision, content)


def key_record(entry: KeyEntry, revision: int, org: str = "acme") -> bytes:
    """Return the record of an API key."""
    return seal(org, RecordKind.KEY, entry.id, revision, write_key(entry))


def answer(
    revision: int,
    *accounts: str,
    header: int | None = None,
    changes: tuple[Changed, ...] | None = None,
    document: PolicyDocument = DOCUMENT,
    at: int | None = None,
    **more: Any,
) -> Raw:
    """Return what Redis answers at *revision*.

    Args:
        revision: Of the organization.
        accounts: Whose records are in it.
        header: Revision of the header's record; None when it is the one that is known.
        changes: Since the revision known; None when nobody knows.
        document: What is published.
        at: Revision of the accounts' records; that of the header, or of the organization, by default.
        more: ``subjects`` and ``keys``, record by name.
    """
    stamp = at or header or revision
    subjects = {account: subject_record(account, stamp, document) for account in accounts}
    return Raw(
        revision,
        None if header is None else header_record(header, document),
        changes,
        subjects | more.pop("subjects", {}),
        more.pop("keys", {}),
        pages={} if header is None else page_records(header, document),
    )


def opened(raw: Raw, known: HeldHeader | None = None) -> Opened:
    """Verify and read *raw*."""
    return open_answer("acme", raw, known, None)


def changed(revision: int, *accounts: str, keys: tuple[str, ...] = (), previous: int = 0) -> Changed:
    """Return the event of a publish that changed *accounts*."""
    return Changed("acme", revision, previous, False, accounts, keys)


def with_binding(document: PolicyDocument, account: str, binding: str) -> PolicyDocument:
    """Return *document* with one binding more."""
    more = BindingEntry(binding, account, "Viewer", parse_scope("p9"))
    return replace(document, bindings=(*document.bindings, more))
