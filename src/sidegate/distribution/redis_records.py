"""Records of one organization as they lie in Redis: header and its pages, subject, API key, ids (spec 5.2).

A record is a line that says what it is, and its content::

    sidegate-record 1 subject 1795326096808 <SHA-256, hex> <Ed25519 signature, hex, or ->
    {"member": {...}, "bindings": [...], "denies": [...]}

Digest and signature cover the organization, the kind, the id, the revision and the content: a record that was moved
under another name, or kept from an earlier time under a newer number, does not verify.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from operator import attrgetter
from typing import Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.value import value
from sidegate.core.policy.document import (
    BindingEntry,
    DenyEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
)
from sidegate.core.policy.header import SERVICE, USER
from sidegate.core.policy.subject import SubjectRecord
from sidegate.distribution.redis_content import (
    Plain,
    read_entries,
    read_entry,
    write_entries,
    write_entry,
)

_DOMAIN: Final = b"sidegate policy record v1"
_FIRST_LINE: Final = re.compile(
    rb"sidegate-record ([0-9]{1,4}) (header|page|subject|key|ids) ([1-9][0-9]{0,15}) ([0-9a-f]{64}) (-|[0-9a-f]{128})\n"
)
_BY_ID: Final = attrgetter("id")

HEADER_ID: Final = ""
"""There is one header per organization."""


class RecordKind(StrEnum):
    """What a record is about."""

    HEADER = "header"
    PAGE = "page"
    """Of a header."""
    SUBJECT = "subject"
    KEY = "key"
    IDS = "ids"
    """A page of ids, for publishers."""


FORMATS: Final = {
    # The first one had all of a header in one record.
    RecordKind.HEADER: 2,
    RecordKind.PAGE: 1,
    RecordKind.SUBJECT: 1,
    RecordKind.KEY: 1,
    RecordKind.IDS: 1,
}
"""Which form of each kind is known."""


@value
class Sealed:
    """A record that was verified.

    Attributes:
        revision: At which it was published.
        content: JSON.
    """

    revision: int
    content: bytes


def digest_content(org: str, kind: RecordKind, record_id: str, content: bytes) -> str:
    """Return what tells one content from another, whatever its revision, in hex."""
    hashed = sha256(b"\0".join((_DOMAIN, org.encode(), kind.encode(), record_id.encode(), b"")))
    hashed.update(content)
    return hashed.hexdigest()


def _covered(org: str, kind: RecordKind, record_id: str, revision: int, content: bytes) -> bytes:
    return b"\0".join((_DOMAIN, org.encode(), kind.encode(), record_id.encode(), str(revision).encode(), content))


def seal(
    org: str,
    kind: RecordKind,
    record_id: str,
    revision: int,
    content: bytes,
    *,
    signer: Ed25519PrivateKey | None = None,
) -> bytes:
    """Return the record that says *content* about *record_id*; signed when there is a *signer*."""
    covered = _covered(org, kind, record_id, revision, content)
    signature = "-" if signer is None else signer.sign(covered).hex()
    first = f"sidegate-record {FORMATS[kind]} {kind} {revision} {sha256(covered).hexdigest()} {signature}\n"
    return first.encode() + content


def unseal(
    org: str, kind: RecordKind, record_id: str, record: bytes, *, trusted: Ed25519PublicKey | None = None
) -> Sealed:
    """Verify *record* and return what it says.

    Args:
        org: Whose it must be.
        kind: What it must be about.
        record_id: Account, id of the key or name of the page; empty for a header.
        record: As it was stored.
        trusted: When given, only records that it signed are good.

    Raises:
        IntegrityError: It is of another format, damaged, somebody else's, or not signed as it must be.
    """
    what = f"the {kind} record `{record_id}` of `{org}`" if record_id else f"the {kind} record of `{org}`"
    found = _FIRST_LINE.match(record)
    if found is None:
        raise IntegrityError(f"{what} is no record; publish the organization again")
    form, known = int(found[1]), FORMATS[kind]
    if form != known:
        hint = "update this sidegate" if form > known else "publish the organization again"
        raise IntegrityError(f"{what} has format {form}, known is {known}; {hint}")
    revision, content = int(found[3]), record[found.end() :]
    hashed = sha256(_covered(org, kind, record_id, revision, b""))
    hashed.update(content)
    if found[2] != kind.encode() or not compare_digest(hashed.hexdigest().encode(), found[4]):
        raise IntegrityError(f"{what} is not what was published; publish the organization again")
    if trusted is not None:
        if found[5] == b"-":
            raise IntegrityError(f"{what} is not signed; publish it with the signing key")
        try:
            trusted.verify(bytes.fromhex(found[5].decode()), _covered(org, kind, record_id, revision, content))
        except InvalidSignature:
            raise IntegrityError(f"{what} is signed by another key; publish it with the one that is trusted") from None
    return Sealed(revision, content)


# Contents.


@value
class StoredSubject:
    """What is stored of one account.

    Attributes:
        member: Its membership; None for an account that has bindings or denies but is no member (yet).
        bindings: In the order of ids.
        denies: In the order of ids.
    """

    member: MemberEntry | None
    bindings: tuple[BindingEntry, ...] = ()
    denies: tuple[DenyEntry, ...] = ()

    def record(self, account: str) -> SubjectRecord | None:
        """Return the record that is compiled; None when the account is no member."""
        member = self.member
        if member is None:
            return None
        roles, groups = tuple(sorted(set(member.roles))), tuple(sorted(set(member.groups)))
        return SubjectRecord(account, member.state, roles, groups, self.bindings, self.denies)


def subject_contents(document: PolicyDocument) -> dict[str, bytes]:
    """Return the content of every subject of *document* by account: who is a member, or has bindings or denies."""
    members = {member.account: member for member in document.members}
    bindings: dict[str, list[BindingEntry]] = {}
    denies: dict[str, list[DenyEntry]] = {}
    for binding in document.bindings:
        if is_account(binding.who):
            bindings.setdefault(binding.who, []).append(binding)
    for deny in document.denies:
        if is_account(deny.who):
            denies.setdefault(deny.who, []).append(deny)
    return {
        account: write_subject(
            StoredSubject(members.get(account), tuple(bindings.get(account, ())), tuple(denies.get(account, ())))
        )
        for account in members.keys() | bindings.keys() | denies.keys()
    }


def write_subject(subject: StoredSubject) -> bytes:
    """Return the content of one subject. Lists are in the order of ids, so that equal subjects are equal bytes."""
    plain = {
        "member": None if subject.member is None else write_entry(subject.member),
        "bindings": write_entries(sorted(subject.bindings, key=_BY_ID)),
        "denies": write_entries(sorted(subject.denies, key=_BY_ID)),
    }
    return orjson.dumps(plain)


_SUBJECT_MEMBERS: Final = frozenset(("member", "bindings", "denies"))


def read_subject(account: str, content: bytes) -> StoredSubject:
    """Read a subject.

    Raises:
        IntegrityError: It is not what :func:`write_subject` makes, or speaks of somebody else.
    """
    plain = _object(content, _SUBJECT_MEMBERS, f"the subject `{account}`")
    try:
        member = None if plain["member"] is None else read_entry(MemberEntry, plain["member"])
        bindings = read_entries(BindingEntry, plain["bindings"])
        denies = read_entries(DenyEntry, plain["denies"])
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"the subject `{account}` cannot be read: {error}; publish it again") from error
    named = {one.who for one in bindings} | {one.who for one in denies} | ({member.account} if member else set())
    if not named <= {account}:
        raise IntegrityError(f"the subject `{account}` speaks of somebody else; publish it again")
    return StoredSubject(member, tuple(sorted(bindings, key=_BY_ID)), tuple(sorted(denies, key=_BY_ID)))


def write_key(entry: KeyEntry) -> bytes:
    """Return the content of one API key."""
    return orjson.dumps(write_entry(entry))


def read_key(key_id: str, content: bytes) -> KeyEntry:
    """Read an API key.

    Raises:
        IntegrityError: It is not what :func:`write_key` makes, or is another key.
    """
    try:
        entry = read_entry(KeyEntry, orjson.loads(content))
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"the key `{key_id}` cannot be read: {error}; publish it again") from error
    if entry.id != key_id:
        raise IntegrityError(f"the key `{key_id}` is another one; publish it again")
    return entry


def _object(content: bytes, members: frozenset[str], what: str) -> Mapping[str, Plain]:
    try:
        plain = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise IntegrityError(f"{what} is no JSON; publish it again") from error
    if type(plain) is not dict or plain.keys() != members:
        raise IntegrityError(f"{what} has other members than expected; publish it again")
    return plain


def is_account(who: str) -> bool:
    """Whether an entry for *who* is stored with an account, and not in the header."""
    return who.startswith((USER, SERVICE))
