"""Reads a whole organization back from Redis, for people: what is published, as a document."""

from dataclasses import replace
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.value import value
from sidegate.core.policy.document import BindingEntry, DenyEntry, MemberEntry, PolicyDocument
from sidegate.distribution.redis_header import SECTIONS, document_of
from sidegate.distribution.redis_held_header import open_root, read_sections
from sidegate.distribution.redis_keys import keys_of
from sidegate.distribution.redis_publish import PUBLISH_TIMEOUT
from sidegate.distribution.redis_records import RecordKind, read_key, read_subject, unseal
from sidegate.redis_link.errors import RedisRefusedError
from sidegate.redis_link.link import Link, pairs
from sidegate.redis_link.servers import Argument, Reply

_PAGE: Final = 500
_ATTEMPTS: Final = 5


@value
class PublishedPolicy:
    """What is published of one organization.

    Attributes:
        revision: Its revision.
        document: What it says; entries are in the order of their names and ids.
    """

    revision: int
    document: PolicyDocument


async def fetch_document(link: Link, org: str, trusted: Ed25519PublicKey | None = None) -> PublishedPolicy | None:
    """Read *org* whole; None when it is not published.

    Args:
        link: To Redis.
        org: A checked name.
        trusted: When given, whose signature every record must have.

    Raises:
        DependencyError: Redis is away, or the organization changes again and again while it is read.
        IntegrityError: Something there is not what was published.
    """
    keys, doing = keys_of(org), f"reading `{org}`"
    for _ in range(_ATTEMPTS):
        revision, header = await link.call_all(
            [("GET", keys.revision), ("GET", keys.header)], key=keys.revision, doing=doing
        )
        if revision is None:
            return None
        if not isinstance(header, bytes) or not isinstance(revision, bytes) or not revision.isdigit():
            raise IntegrityError(f"`{org}` has no header or no revision; publish it again")
        found = _Records(
            await _whole_hash(link, keys.pages, doing),
            await _whole_hash(link, keys.subjects, doing),
            await _whole_hash(link, keys.keys, doing),
        )
        if await link.call("GET", keys.revision, doing=doing) == revision:
            return PublishedPolicy(int(revision), _document(org, header, found, trusted))
    raise RedisRefusedError(doing, "it is published again and again meanwhile; try again", "CONFLICT")


async def _whole_hash(link: Link, key: str, doing: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    cursor: Argument = 0
    while cursor != b"0":
        page = await link.call("HSCAN", key, cursor, "COUNT", _PAGE, doing=doing, within=PUBLISH_TIMEOUT)
        cursor, flat = cast("tuple[bytes, Reply]", page)
        found.update((name.decode(), record) for name, record in pairs(flat).items())
    return found


@value
class _Records:
    """The records of one organization, by name."""

    pages: dict[str, bytes]
    subjects: dict[str, bytes]
    keys: dict[str, bytes]


def _document(org: str, header: bytes, found: _Records, trusted: Ed25519PublicKey | None) -> PolicyDocument:
    opened = open_root(org, header, trusted)
    sections = read_sections(org, opened, found.pages, trusted)
    said = document_of(
        org,
        opened.root,
        {name: sorted(section.entries(), key=SECTIONS[name].name_of) for name, section in sections.items()},
    )
    members: list[MemberEntry] = []
    bindings: list[BindingEntry] = list(said.bindings)
    denies: list[DenyEntry] = list(said.denies)
    for account, record in sorted(found.subjects.items()):
        stored = read_subject(account, unseal(org, RecordKind.SUBJECT, account, record, trusted=trusted).content)
        members += () if stored.member is None else (stored.member,)
        bindings += stored.bindings
        denies += stored.denies
    return replace(
        said,
        members=tuple(members),
        bindings=tuple(sorted(bindings, key=lambda one: one.id)),
        denies=tuple(sorted(denies, key=lambda one: one.id)),
        keys=tuple(
            read_key(name, unseal(org, RecordKind.KEY, name, record, trusted=trusted).content)
            for name, record in sorted(found.keys.items())
        ),
    )
