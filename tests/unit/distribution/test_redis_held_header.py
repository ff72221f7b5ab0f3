"""A header in memory: pages that are the same are neither read nor compiled again, and each is verified."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.distribution.organizations import DOCUMENT, header_record, page_records

from sidegate.core.model.authority import Mask
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    DenyEntry,
    GroupEntry,
    PolicyDocument,
    RoleEntry,
)
from sidegate.core.policy.header import CompiledHeader
from sidegate.distribution.redis_header import write_header
from sidegate.distribution.redis_held_header import HeldHeader, missing_pages, open_header, open_root
from sidegate.distribution.redis_records import HEADER_ID, RecordKind, seal

MANY = tuple(BindingEntry(f"m{n:03}", "group:all", "Lead", parse_scope(f"q{n}")) for n in range(500))
ROLES = (RoleEntry("Lead", "Designer"), RoleEntry("Other", "Viewer"))
BEFORE = replace(
    DOCUMENT,
    roles=ROLES,
    bindings=(*DOCUMENT.bindings, *MANY),
    denies=tuple(DenyEntry(f"e{n}", "group:all", Mask(1), parse_scope(f"q{n}")) for n in range(80)),
    approvals=tuple(ApprovalRule(f"a{n}", Mask(2), parse_scope(f"q{n}")) for n in range(80)),
    groups=tuple(GroupEntry(f"g{n}") for n in range(3)),
)


def held(document: PolicyDocument, revision: int = 5, known: HeldHeader | None = None) -> HeldHeader:
    """Return the header of *document* in memory, opened over the one that is *known*."""
    opened = open_root("acme", header_record(revision, document), None)
    wanted = missing_pages(opened.root, known)
    pages = {name: page for name, page in page_records(revision, document).items() if name in wanted}
    return open_header("acme", opened, pages, known, None)


def spelled(header: CompiledHeader | None) -> object:
    """Return what *header* says of groups, rules and roles, to be compared."""
    if header is None:
        return None
    return (
        header.roles,
        header.mfa_max_age,
        header.group_bindings,
        {name: sorted(one.id for one in group.bindings()) for name, group in header.large_groups.items()},
        {
            name: [
                None if (node := group.of_users.narrowest(f"q{n}", None, ())) is None else (node.mask, node.keys())
                for n in range(0, 500, 7)
            ]
            for name, group in header.large_groups.items()
        },
        header.group_denies,
        header.role_denies,
        header.approvals.rules,
    )


CANDIDATE = Candidate(bindings=(replace(MANY[0], role="Viewer"),), remove=("m001", "e1", "a1"))
OTHER = replace(BEFORE, bindings=(*BEFORE.bindings[:-1], replace(MANY[-1], role="Viewer")))


@pytest.mark.parametrize(
    ("before", "after", "read"),
    [
        pytest.param(BEFORE, BEFORE, 0, id="nothing"),
        pytest.param(BEFORE, OTHER, 1, id="a-binding"),
        pytest.param(OTHER, replace(OTHER, bindings=OTHER.bindings[:-1]), 1, id="a-binding-that-goes"),
        pytest.param(BEFORE, replace(BEFORE, denies=BEFORE.denies[1:]), 1, id="a-deny"),
        pytest.param(BEFORE, replace(BEFORE, approvals=BEFORE.approvals[1:]), 1, id="a-rule"),
        pytest.param(BEFORE, replace(BEFORE, mfa_max_age_s=3), 0, id="a-setting"),
        pytest.param(BEFORE, replace(BEFORE, roles=(RoleEntry("Lead", "Viewer"),)), 0, id="a-role"),
        pytest.param(BEFORE, replace(BEFORE, bindings=MANY[:3]), 0, id="few-are-left"),
        pytest.param(replace(BEFORE, bindings=()), BEFORE, 16, id="all-come"),
        pytest.param(BEFORE, replace(BEFORE, candidate=CANDIDATE), 0, id="a-candidate-comes"),
        pytest.param(replace(BEFORE, candidate=CANDIDATE), BEFORE, 0, id="a-candidate-goes"),
        pytest.param(
            replace(BEFORE, candidate=CANDIDATE), replace(OTHER, candidate=CANDIDATE), 1, id="beside-a-candidate"
        ),
        pytest.param(
            replace(BEFORE, candidate=CANDIDATE),
            replace(BEFORE, bindings=tuple(replace(one, purpose="x") for one in BEFORE.bindings), candidate=CANDIDATE),
            None,
            id="what-the-candidate-hides",
        ),
        pytest.param(
            replace(BEFORE, candidate=CANDIDATE),
            replace(BEFORE, candidate=replace(CANDIDATE, remove=("m002",))),
            0,
            id="another-candidate",
        ),
    ],
)
def test_revised_like_compiled(before: PolicyDocument, after: PolicyDocument, read: int | None) -> None:
    """What is in memory after a change is what is in memory of whoever reads everything; it reads what changed."""
    known = held(before)
    found, whole = held(after, 6, known), held(after, 6)
    wanted = missing_pages(open_root("acme", header_record(6, after), None).root, known)
    assert read is None or len(wanted) == read
    assert spelled(found.compiled) == spelled(whole.compiled)
    assert spelled(found.candidate) == spelled(whole.candidate)
    assert found.concern == whole.concern
    assert found.document() == whole.document()
    assert dict(found.records()).keys() == dict(whole.records()).keys()
    snapshot = compile_document(replace(after, keys=()), 6)
    assert spelled(found.compiled) == spelled(snapshot.header)


def test_what_is_the_same_is_shared() -> None:
    """Entries, records, and what was compiled of them."""
    known = held(BEFORE)
    found = held(OTHER, 6, known)
    pages = zip(known.sections["bindings"].pages, found.sections["bindings"].pages, strict=True)
    assert sum(one is not other for one, other in pages) == 1
    assert known.compiled.approvals is found.compiled.approvals
    parts = zip(known.compiled.large_groups["all"].parts, found.compiled.large_groups["all"].parts, strict=True)
    assert sum(one is not other for one, other in parts) == 1


def test_settings_are_at_hand() -> None:
    """Without the entries, which may be very many; with the whole candidate."""
    found = held(replace(BEFORE, candidate=CANDIDATE, mfa_max_age_s=9))
    assert (found.settings.mfa_max_age_s, found.settings.bindings, found.settings.candidate) == (9, (), CANDIDATE)


SIGNER, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
CONTENTS = write_header(BEFORE)
NAME = next(iter(CONTENTS.pages))


def signed(name: str, revision: int = 5, content: bytes | None = None, signer: Ed25519PrivateKey = SIGNER) -> bytes:
    """Return the record of a page."""
    return seal("acme", RecordKind.PAGE, name, revision, content or CONTENTS.pages[name], signer=signer)


@pytest.mark.parametrize(
    ("page", "says"),
    [
        pytest.param(None, "is missing", id="missing"),
        pytest.param(b"", "is no record", id="empty"),
        pytest.param(signed(NAME, signer=STRANGER), "signed by another key", id="signed-by-another"),
        pytest.param(signed(NAME, content=b"[]"), "not the one that its header names", id="another-content"),
        pytest.param(
            next(signed(name) for name in CONTENTS.pages if name != NAME), "not what was published", id="another-page"
        ),
        pytest.param(signed(NAME)[:-1], "not what was published", id="cut"),
    ],
)
def test_pages_are_verified(page: bytes | None, says: str) -> None:
    """Each is sealed like every record, and is the one that the root names: an older one does not do."""
    root = seal("acme", RecordKind.HEADER, HEADER_ID, 5, CONTENTS.root, signer=SIGNER)
    pages = {**{name: signed(name) for name in CONTENTS.pages}, NAME: page}
    opened = open_root("acme", root, SIGNER.public_key())
    with pytest.raises(IntegrityError, match=says):
        open_header("acme", opened, pages, None, SIGNER.public_key())
    # One that was written again later says the same.
    for revision in (5, 6):
        again = {**pages, NAME: signed(NAME, revision)}
        assert open_header("acme", opened, again, None, SIGNER.public_key()).revision == 5


def test_counts_are_held_against_the_pages() -> None:
    """A root that counts otherwise than its pages is refused."""
    root = CONTENTS.root.replace(b'"count":501', b'"count":502')
    assert root != CONTENTS.root
    opened = open_root("acme", seal("acme", RecordKind.HEADER, HEADER_ID, 5, root), None)
    with pytest.raises(IntegrityError, match="counts `bindings` wrongly"):
        open_header("acme", opened, page_records(5, BEFORE), None, None)
