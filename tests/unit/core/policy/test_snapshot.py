"""What is decided with."""

import pytest

from sidegate.core.model.units import Millis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import KeyEntry, MemberEntry, PolicyDocument, SessionLimits
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.core.policy.subject import NOT_A_MEMBER

ONE, TWO = bytes([1]) * 32, bytes([2]) * 32


def organization(name: str = "acme", *keys: KeyEntry, members: int = 5, max_subjects: int = 3) -> OrganizationSnapshot:
    """An organization of users ``user:0``, ``user:1`` and so on."""
    document = PolicyDocument(
        name,
        members=tuple(MemberEntry(f"user:{place}") for place in range(members)),
        keys=keys,
        sessions={"web": SessionLimits(idle=Millis(1))},
    )
    return compile_document(document, 7, max_subjects=max_subjects)


def test_an_account_is_compiled_on_first_use_and_kept() -> None:
    """The second look-up gives the very same subject."""
    acme = organization()
    assert acme.subjects_cached == 0
    assert acme.subject("user:0") is acme.subject("user:0")
    assert acme.subjects_cached == 1


def test_the_least_recently_used_goes_first() -> None:
    """And never more than the bound are kept."""
    acme = organization(max_subjects=3)
    kept = {name: acme.subject(name) for name in ("user:0", "user:1", "user:2")}
    assert kept["user:0"] is acme.subject("user:0")
    acme.subject("user:3")
    assert acme.subjects_cached == 3
    assert kept["user:0"] is acme.subject("user:0")
    assert kept["user:2"] is acme.subject("user:2")
    assert kept["user:1"] is not acme.subject("user:1")


def test_invented_accounts_evict_nobody() -> None:
    """They are answered and forgotten."""
    acme = organization()
    assert NOT_A_MEMBER is acme.subject("user:nobody").refusal
    assert acme.subjects_cached == 0


def test_looking_at_everybody_keeps_nobody() -> None:
    """So that a report does not empty the cache."""
    acme = organization()
    assert acme.compile_subject("user:0").account == "user:0"
    assert acme.subjects_cached == 0


def test_organizations_by_name() -> None:
    """With the revision each first stood in."""
    acme, other = organization("acme"), organization("other")
    snapshot = Snapshot(9, [acme, other])
    assert (snapshot.revision, acme.revision) == (9, 7)
    assert {"acme": acme, "other": other} == snapshot.organizations
    assert Snapshot(0).organizations == {}
    assert {"web": SessionLimits(idle=Millis(1))} == acme.sessions


def test_subjects_by_organization() -> None:
    """The one the organization keeps; an organization that is not here has none."""
    acme = organization("acme")
    snapshot = Snapshot(9, [acme])
    assert acme.subject("user:0") is snapshot.subject("acme", "user:0")
    assert snapshot.subject("nowhere", "user:0") is None


@pytest.mark.parametrize(
    ("key_id", "digest", "found"),
    [
        pytest.param("k1", None, "acme", id="only-one"),
        pytest.param("k1", ONE, "acme", id="only-one-with-digest"),
        pytest.param("k1", TWO, None, id="another-digest"),
        pytest.param("k2", None, None, id="two-organizations-without-digest"),
        pytest.param("k2", ONE, "acme", id="two-organizations-first"),
        pytest.param("k2", TWO, "other", id="two-organizations-second"),
        pytest.param("k3", ONE, None, id="same-key-in-two"),
        pytest.param("k4", None, None, id="unknown"),
        pytest.param("k4", ONE, None, id="unknown-with-digest"),
    ],
)
def test_finding_a_key(key_id: str, digest: bytes | None, found: str | None) -> None:
    """An id that another organization wrote as well takes no key away from anybody (P4)."""
    acme = organization(
        "acme", KeyEntry("k1", ONE, "user:0"), KeyEntry("k2", ONE, "user:0"), KeyEntry("k3", ONE, "user:0")
    )
    other = organization("other", KeyEntry("k2", TWO, "user:1"), KeyEntry("k3", ONE, "user:1"))
    result = Snapshot(1, [acme, other]).find_key(key_id, digest)
    assert found == (None if result is None else result[0])
    if result is not None:
        assert key_id == result[1].id


def test_counts() -> None:
    """Entries of each kind, as written."""
    document = PolicyDocument(
        "acme", members=(MemberEntry("user:a"), MemberEntry("user:b")), keys=(KeyEntry("A" * 16, ONE, "user:a"),)
    )
    nothing = {"roles": 0, "groups": 0, "bindings": 0, "denies": 0, "approvals": 0}
    assert compile_document(document, 1).counts() == nothing | {"members": 2, "keys": 1}
