"""What is in memory decides like the whole document, and nobody is decided who was not fetched."""

from dataclasses import replace

import pytest
from tests.unit.distribution.organizations import DOCUMENT, KEY, answer, key_record, opened

from sidegate.core.engine.decide import decide
from sidegate.core.model.authority import Authority, Mask
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_scope, parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import BindingEntry, Candidate, DenyEntry, PolicyDocument
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.distribution.redis_memory import LoadedSnapshot, NotLoadedError
from sidegate.distribution.redis_organization import Organization

ACCOUNTS = [f"user:u{number}" for number in range(5)]  # the last one is no member
CANDIDATE = Candidate(
    bindings=(BindingEntry("b1", "user:u1", "Viewer", parse_scope("p1")),),
    denies=(DenyEntry("c1", "group:all", Mask(1), parse_scope("p2")),),
    remove=("d0",),
)


def loaded(document: PolicyDocument = DOCUMENT) -> OrganizationSnapshot:
    """Return all of *document* as if it had come from Redis."""
    known = Organization("acme")
    raw = answer(5, *ACCOUNTS, header=5, document=document, keys={KEY.id: key_record(KEY, 5)})
    known.take(opened(raw), 0)
    assert known.loaded is not None
    return known.loaded


@pytest.mark.parametrize("candidate", [None, CANDIDATE], ids=["enforced", "with-candidate"])
def test_decides_like_the_document(candidate: Candidate | None) -> None:
    """Every account, authority and target, and beside it what the candidate would say."""
    document = replace(DOCUMENT, candidate=candidate)
    whole = Snapshot(5, [compile_document(document, 5)])
    parts = LoadedSnapshot(5, {"acme": loaded(document)}, {})
    for account in ACCOUNTS:
        credential = VerifiedCredential(
            kind=CredentialKind.SESSION, id="s", account=account, org="acme", issued_at=UnixMillis(0)
        )
        for target in ("p1", "p1@main:a", "p2", "p3"):
            for authority in Authority:
                query = Query(credential, authority, parse_target("acme", target), None)
                assert decide(parts, query, UnixMillis(0)) == decide(whole, query, UnixMillis(0))
        one, other = (snapshot.subject("acme", account) for snapshot in (parts, whole))
        assert one is not None
        assert other is not None
        assert (one.shadow is None) == (other.shadow is None)


def test_nobody_who_was_not_fetched() -> None:
    """That is a bug of whoever asks, and must not pass for a deny, let alone an allow."""
    organization = loaded()
    for ask in (organization.subject, organization.records.record_of, organization.compile_subject):
        with pytest.raises(NotLoadedError, match="before it was fetched"):
            ask("user:u9")


def test_compiled_once() -> None:
    """An account is compiled on first use, and used from then on."""
    organization = loaded()
    assert organization.subject("user:u0") is organization.subject("user:u0")
    assert organization.subjects_cached == len(ACCOUNTS)


def test_members_in_memory() -> None:
    """Who is no member is in memory too, and not listed."""
    assert loaded().records.accounts() == tuple(ACCOUNTS[:4])


def test_counts_what_is_in_memory() -> None:
    """Of everything in this case, as the whole document does."""
    assert loaded().counts() == compile_document(DOCUMENT, 5).counts()
