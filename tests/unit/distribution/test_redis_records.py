"""Records say what was published, about whom it was published, or nothing at all."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.authority import Authority, Mask
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import Kind, parse_scope
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import (
    ApprovalRule,
    Approvers,
    BindingEntry,
    BindingState,
    Candidate,
    Conditions,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    KeyState,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
    SessionLimits,
)
from sidegate.distribution.redis_content import read_entry, write_entry
from sidegate.distribution.redis_header import document_of, read_page, read_root, write_header
from sidegate.distribution.redis_records import (
    FORMATS,
    RecordKind,
    StoredSubject,
    digest_content,
    read_key,
    read_subject,
    seal,
    subject_contents,
    unseal,
    write_key,
    write_subject,
)

SIGNER = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
SUBJECT = RecordKind.SUBJECT

BINDING = BindingEntry(
    "b1",
    "user:ana",
    "Designer",
    parse_scope("p1@main:a/b"),
    not_before=UnixMillis(5),
    not_after=UnixMillis(9),
    state=BindingState.TO_BE_REMOVED,
    when=Conditions(mfa=False, surfaces=(), sources=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))),
    purpose="why",
)
DENY = DenyEntry("d1", "user:ana", Mask(0xFF), parse_scope("/skills"))
KEY = KeyEntry(
    "A" * 16,
    b"\x07" * 32,
    "service:ci",
    authorities=Mask(0),
    scopes=(),
    expires_at=UnixMillis(1),
    single_use=True,
    networks=(),
    state=KeyState.REVOKED,
    created_by="bo",
    created_at=UnixMillis(2),
    rotated_at=UnixMillis(3),
)
DOCUMENT = PolicyDocument(
    "acme",
    mfa_max_age_s=60,
    roles=(
        RoleEntry("Lead", clone="Designer", add=Mask(1), remove=Mask(2), requires=Conditions(mfa=True)),
        RoleEntry("Auditor", sections={("audit",): Mask(1), (): Mask(0)}, ceiling=Mask(0), high_risk=False),
    ),
    members=(MemberEntry("user:ana", AccountState.SUSPENDED, ("Member",), ("g",)),),
    groups=(GroupEntry("g", "CN=g"), GroupEntry("f")),
    bindings=(BINDING, *(BindingEntry(f"g{n}", "group:g", "Viewer", parse_scope(f"p{n}")) for n in range(250))),
    denies=(DENY, DenyEntry("d2", "role:Member", Mask(1), parse_scope("*")), replace(DENY, id="d3", who="agent:x")),
    approvals=(
        ApprovalRule("a1", Mask(4), parse_scope("*"), Kind.BRANCH, Approvers(None, ("user:bo",), ("g",)), 2, Millis(7)),
        ApprovalRule("a2", Mask(4), parse_scope("*"), approvers=Approvers(Authority.CONFIGURE)),
    ),
    keys=(KEY,),
    sessions={"web": SessionLimits(idle=Millis(5)), "admin": SessionLimits(absolute=Millis(6))},
    candidate=Candidate(bindings=(BINDING,), members=(MemberEntry("user:new"),), remove=("d1",)),
)


@pytest.mark.parametrize(
    "entry",
    [*DOCUMENT.roles, *DOCUMENT.members, *DOCUMENT.groups, BINDING, DENY, *DOCUMENT.approvals, KEY, DOCUMENT.candidate],
    ids=lambda entry: type(entry).__name__,
)
def test_entries_come_back(entry: Any) -> None:
    """What was written is read, whatever it leaves out; an empty list is not an absent one."""
    assert read_entry(type(entry), write_entry(entry)) == entry


def header_of(document: PolicyDocument) -> PolicyDocument:
    """Return the header of *document*, written and read back."""
    written = write_header(document)
    root = read_root("acme", written.root)
    sections = {name: list(entries) for name, entries in root.inline.items()}
    for page in written.pages:
        section, _, number = page.rpartition(".")
        pages = len(root.paged[section].digests)
        sections.setdefault(section, []).extend(read_page("acme", section, int(number), pages, written.pages[page]))
    return document_of("acme", root, sections)


def test_document_comes_back() -> None:
    """Header and subjects together hold everything but the keys, and a header nothing that is one account's."""
    header = header_of(DOCUMENT)
    subjects = {name: read_subject(name, content) for name, content in subject_contents(DOCUMENT).items()}
    assert header.members == ()
    assert {one.id for one in header.bindings} == {f"g{n}" for n in range(250)}
    assert {one.id for one in header.denies} == {"d2", "d3"}
    assert {role.name: role for role in header.roles} == {role.name: role for role in DOCUMENT.roles}
    assert header.sessions == DOCUMENT.sessions
    assert header.candidate == DOCUMENT.candidate
    assert subjects == {"user:ana": StoredSubject(DOCUMENT.members[0], (BINDING,), (DENY,))}
    assert read_key(KEY.id, write_key(KEY)) == KEY


def test_order_does_not_matter() -> None:
    """The same policy in another order has the same bytes, so that it is not published again."""
    turned = replace(
        DOCUMENT,
        roles=DOCUMENT.roles[::-1],
        groups=DOCUMENT.groups[::-1],
        bindings=DOCUMENT.bindings[::-1],
        denies=DOCUMENT.denies[::-1],
        approvals=DOCUMENT.approvals[::-1],
        sessions={name: DOCUMENT.sessions[name] for name in ("admin", "web")},
    )
    assert write_header(turned) == write_header(DOCUMENT)
    assert subject_contents(turned) == subject_contents(DOCUMENT)


def test_bindings_without_membership() -> None:
    """They are kept, for a candidate that makes the account a member, and make nobody one."""
    stored = read_subject("user:ana", subject_contents(replace(DOCUMENT, members=()))["user:ana"])
    assert (stored.member, stored.record("user:ana")) == (None, None)
    assert stored.bindings == (BINDING,)


@pytest.mark.parametrize("signer", [None, SIGNER], ids=["plain", "signed"])
def test_seal_and_unseal(signer: Ed25519PrivateKey | None) -> None:
    """A record gives its revision and its content to whoever asks for what it is about."""
    record = seal("acme", SUBJECT, "user:ana", 7, b"{}", signer=signer)
    sealed = unseal("acme", SUBJECT, "user:ana", record, trusted=None if signer is None else signer.public_key())
    assert (sealed.revision, sealed.content) == (7, b"{}")


RECORD = seal("acme", SUBJECT, "user:ana", 7, b'{"a":1}', signer=SIGNER)


@pytest.mark.parametrize(
    ("org", "kind", "record_id", "record", "says"),
    [
        pytest.param("globex", SUBJECT, "user:ana", RECORD, "not what was published", id="another-organization"),
        pytest.param("acme", SUBJECT, "user:bo", RECORD, "not what was published", id="another-account"),
        pytest.param("acme", RecordKind.KEY, "user:ana", RECORD, "not what was published", id="another-kind"),
        pytest.param("acme", SUBJECT, "user:ana", RECORD.replace(b" 7 ", b" 8 "), "not what", id="newer-number"),
        pytest.param("acme", SUBJECT, "user:ana", RECORD[:-1], "not what was published", id="cut"),
        pytest.param("acme", SUBJECT, "user:ana", RECORD + b" ", "not what was published", id="longer"),
        pytest.param("acme", SUBJECT, "user:ana", RECORD.replace(b"record 1", b"record 2"), "format 2", id="format"),
        pytest.param("acme", SUBJECT, "user:ana", b"", "is no record", id="empty"),
        pytest.param("acme", SUBJECT, "user:ana", b"\xff" * 99, "is no record", id="garbage"),
        pytest.param("acme", SUBJECT, "user:ana", seal("acme", SUBJECT, "user:ana", 7, b"{}", signer=None), "signed",
                     id="unsigned"),
        pytest.param("acme", SUBJECT, "user:ana", seal("acme", SUBJECT, "user:ana", 7, b"{}", signer=OTHER), "another",
                     id="signed-by-another"),
    ],
)  # fmt: skip
def test_what_does_not_verify(org: str, kind: RecordKind, record_id: str, record: bytes, says: str) -> None:
    """A record that is damaged, moved, renumbered or not signed as it must be is refused."""
    with pytest.raises(IntegrityError, match=says):
        unseal(org, kind, record_id, record, trusted=SIGNER.public_key())


def test_older_and_newer_forms() -> None:
    """The one asks for an update of this program, the other to be published again; neither is read."""
    record = seal("acme", RecordKind.HEADER, "", 7, b"{}")
    form = FORMATS[RecordKind.HEADER]
    for other, says in ((form - 1, "publish the organization again"), (form + 1, "update this sidegate")):
        with pytest.raises(IntegrityError, match=f"format {other}, known is {form}; {says}"):
            unseal("acme", RecordKind.HEADER, "", record.replace(b"record %d" % form, b"record %d" % other))


@given(place=st.integers(0, len(RECORD) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_seen(place: int, bit: int) -> None:
    """No single bit of a record can change unseen."""
    damaged = bytearray(RECORD)
    damaged[place] ^= 1 << bit
    with pytest.raises(IntegrityError):
        unseal("acme", SUBJECT, "user:ana", bytes(damaged), trusted=SIGNER.public_key())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"member":null,"bindings":[]}',
        b'{"member":null,"bindings":[],"denies":[],"more":1}',
        b'{"member":{"account":"user:bo"},"bindings":[],"denies":[]}',
        b'{"member":null,"bindings":[{"id":"b","who":"user:bo","role":"r","on":"p"}],"denies":[]}',
        b'{"member":null,"bindings":[{"id":"b","who":"user:ana","role":"r","on":"p@@"}],"denies":[]}',
        b'{"member":null,"bindings":[{"id":"b","who":"user:ana","role":1,"on":"p"}],"denies":[]}',
        b'{"member":null,"bindings":[{"id":"b","who":"user:ana","role":"r","on":"p","x":1}],"denies":[]}',
        b'{"member":null,"bindings":[{"id":"b","who":"user:ana","role":"r","on":"p","not_after":"x"}],"denies":[]}',
        b'{"member":null,"bindings":[{"id":"b","who":"user:ana","role":"r","on":"p","state":"x"}],"denies":[]}',
        b'{"member":null,"bindings":[],"denies":[{"id":"d","who":"user:ana","authorities":256,"on":"*"}]}',
        b'{"member":null,"bindings":[],"denies":[{"id":"d","who":"user:ana","authorities":true,"on":"*"}]}',
        b'{"member":null,"bindings":[],"denies":[{"id":"d","who":"user:ana","on":"*"}]}',
        b'{"member":null,"bindings":[],"denies":[{"id":null,"who":"user:ana","authorities":1,"on":"*"}]}',
        b'{"member":null,"bindings":{},"denies":[]}',
    ],
)
def test_strange_subjects(content: bytes) -> None:
    """Whoever wrote it: what is not exactly what is published is refused, and never half used."""
    with pytest.raises(IntegrityError):
        read_subject("user:ana", content)


def test_strange_keys() -> None:
    """A key under another id is not that key."""
    for content in (b"", b"[]", b"{}", write_key(replace(KEY, id="B" * 16))):
        with pytest.raises(IntegrityError):
            read_key(KEY.id, content)


def test_digest_of_content() -> None:
    """It tells contents, names and kinds apart, and not revisions."""
    digests = {
        digest_content(org, kind, name, content)
        for org in ("a", "b")
        for kind in RecordKind
        for name in ("x", "y")
        for content in (b"1", b"2")
    }
    assert len(digests) == 2 * len(RecordKind) * 2 * 2


def test_empty_subject() -> None:
    """Nobody is nobody."""
    nobody = StoredSubject(None)
    assert read_subject("user:ana", write_subject(nobody)) == nobody
