"""What came from Redis, judged and taken into memory as a whole (spec 5.2)."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.value import value
from sidegate.distribution.redis_events import Changed, read_event
from sidegate.distribution.redis_held_header import HeldHeader, OpenedRoot, open_header, open_root
from sidegate.distribution.redis_memory import BIG_BYTES, Held, HeldKey, LoadedOrganization, open_key, open_subject
from sidegate.redis_link.servers import Reply


@value
class Raw:
    """An answer of the script READ, not yet verified.

    Attributes:
        revision: Of the organization.
        header: The record; None when it is the one that is known.
        changes: What changed since the revision known; None when nobody knows (any more).
        subjects: Records by account; None for one that has none.
        keys: Records by id; None for one that there is not.
        root: The header record, once it was read.
        pages: Of the header, by name: all that are not known. None for one that there is not.
    """

    revision: int
    header: bytes | None
    changes: tuple[Changed, ...] | None
    subjects: Mapping[str, bytes | None]
    keys: Mapping[str, bytes | None]
    root: OpenedRoot | None = None
    pages: Mapping[str, bytes | None] = field(default_factory=dict)

    @property
    def is_big(self) -> bool:
        """Whether reading it would hold up the event loop."""
        size = sum(len(raw) for raw in (self.header, *self.pages.values()) if raw is not None) * 2
        size += sum(len(raw) for raw in (*self.subjects.values(), *self.keys.values()) if raw is not None)
        # A header that is in pages is large, however little of it is another.
        return size > BIG_BYTES or bool(self.pages)


@value
class Opened:
    """An answer, verified and read.

    Attributes:
        revision: Of the organization.
        header: Compiled; None when it is the one that is known.
        changes: See :class:`Raw`.
        subjects: By account.
        keys: By id.
        refused: What could not be used, by ``account`` or ``key:ID``; the last good one of it is kept.
    """

    revision: int
    header: HeldHeader | None
    changes: tuple[Changed, ...] | None
    subjects: Mapping[str, Held]
    keys: Mapping[str, HeldKey]
    refused: Mapping[str, str]


@value
class LargeHeader:
    """A header that is too long for one answer.

    Attributes:
        beginning: Its first bytes, the first line and more.
        length: Of all of it.
    """

    beginning: bytes
    length: int


def large_header(reply: Reply) -> LargeHeader | None:
    """Return what the script READ says of a header that it did not answer; None when there is nothing to fetch."""
    if not isinstance(reply, list) or not isinstance(reply[1], list):
        return None
    beginning, length = cast("tuple[bytes, int]", reply[1])
    return LargeHeader(beginning, length)


def with_header(reply: Reply, header: bytes) -> Reply:
    """Return *reply* of the script READ with the header that was fetched by itself."""
    revision, _, *rest = cast("list[Reply]", reply)
    return [revision, header, *rest]


def read_answer(org: str, reply: Reply, accounts: Iterable[str], key_ids: Iterable[str]) -> Raw | None:
    """Read what the script READ answered; None when the organization is not there.

    Raises:
        IntegrityError: Something is there that nobody published.
    """
    if reply is None:
        return None
    revision, header, changes, *records = cast("list[Reply]", reply)
    if not isinstance(revision, bytes) or not revision.isdigit():
        raise IntegrityError(f"the revision of `{org}` is no number; publish it again")
    if header is None:
        raise IntegrityError(f"`{org}` has a revision and no header; publish it again")
    accounts = tuple(accounts)
    found = cast("list[bytes | None]", records)
    return Raw(
        int(revision),
        None if header == 1 else cast("bytes", header),
        None if changes is None else tuple(_changes(org, cast("list[bytes]", changes))),
        dict(zip(accounts, found, strict=False)),
        dict(zip(key_ids, found[len(accounts) :], strict=True)),
    )


def _changes(org: str, texts: list[bytes]) -> Iterable[Changed]:
    for text in texts:
        event = read_event(text)
        if not isinstance(event, Changed) or event.org != org:
            raise IntegrityError(f"the log of `{org}` holds something else; publish it again")
        yield event


def open_answer(org: str, raw: Raw, known: HeldHeader | None, trusted: Ed25519PublicKey | None) -> Opened:
    """Verify, read and compile what *raw* holds. Pure, so that a thread may do it.

    Args:
        org: Whose it is.
        raw: From :func:`read_answer`.
        known: The header in hand.
        trusted: Whose signature every record must have; None for any or none.

    Raises:
        IntegrityError: The header cannot be used: then nothing of the answer can (spec 5.2).
    """
    header = None
    if raw.header is not None:
        root = raw.root or open_root(org, raw.header, trusted)
        header = open_header(org, root, raw.pages, known, trusted)
    if header is not None and header.revision > raw.revision:
        raise IntegrityError(f"the header of `{org}` is from revision {header.revision}, later than {raw.revision}")
    if header is not None and known is not None and header.revision < known.revision:
        raise IntegrityError(f"the header of `{org}` went back from revision {known.revision} to {header.revision}")
    compiled = header or known
    if compiled is None:
        raise IntegrityError(f"`{org}` was answered without its header; publish it again")
    subjects: dict[str, Held] = {}
    keys: dict[str, HeldKey] = {}
    refused: dict[str, str] = {}
    for account, record in raw.subjects.items():
        try:
            held = open_subject(org, account, record, trusted)
            _require_past(org, account, held.revision, raw.revision)
            if held.is_big:
                _compile(compiled, raw.revision, account, held)
            subjects[account] = held
        except IntegrityError as error:
            refused[account] = str(error)
    for key_id, record in raw.keys.items():
        try:
            held_key = open_key(org, key_id, record, trusted)
            _require_past(org, key_id, held_key.revision, raw.revision)
            keys[key_id] = held_key
        except IntegrityError as error:
            refused[f"key:{key_id}"] = str(error)
    return Opened(raw.revision, header, raw.changes, subjects, keys, refused)


def _compile(header: HeldHeader, revision: int, account: str, held: Held) -> None:
    """Compile a big account here, where it holds nobody up, and not when it is first used."""
    subject = LoadedOrganization(header, revision, {account: held}, {}).subject(account)
    if subject.shadow is not None:
        subject.shadow.subject()


def _require_past(org: str, name: str, revision: int, now: int) -> None:
    if revision > now:
        raise IntegrityError(f"the record `{name}` of `{org}` is from revision {revision}, later than {now}")
