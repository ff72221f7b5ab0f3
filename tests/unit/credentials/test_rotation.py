"""Keys that take the place of others (spec 3.2)."""

import json
from ipaddress import ip_network
from typing import Any

import pytest

from sidegate.config.policy_file import read_policy
from sidegate.core.identity.api_key import mint_key
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import KeyEntry, KeyState
from sidegate.credentials.minting import DEFAULT_OVERLAP, rotate

DAY = 24 * 60 * 60 * 1000
T = UnixMillis(1_800_000_000_000)
OLD = mint_key("live", bytes(range(64)))
NEW = bytes(range(64, 128))


def entry(**changes: Any) -> KeyEntry:
    """Return the entry of a key that was made ten days ago for ninety."""
    usual: dict[str, Any] = {
        "id": OLD.id,
        "digest": OLD.digest,
        "account": "service:ci",
        "authorities": mask_of([Authority.READ, Authority.RUN]),
        "scopes": (parse_scope("p1"), parse_scope("p2@main")),
        "expires_at": UnixMillis(T + 80 * DAY),
        "networks": (ip_network("10.0.0.0/8"),),
        "created_by": "user:ana",
        "created_at": UnixMillis(T - 10 * DAY),
    }
    return KeyEntry(**(usual | changes))


def reread(*records: Any) -> dict[str, KeyEntry]:
    """Read entries as a policy file has them."""
    document = read_policy(f"organization: acme\nkeys: {json.dumps(records)}\n".encode(), "acme.yaml")
    return {key.id: key for key in document.document.keys}


def test_the_successor_may_do_the_same() -> None:
    """All that a key may do and where from passes on; it lives as long again, under another id and digest."""
    rotated = rotate(entry(), DEFAULT_OVERLAP, NEW, T)
    record: Any = rotated["record"]
    found = reread(record)[record["id"]]
    kept = entry()
    assert (found.authorities, found.scopes, found.networks, found.account, found.single_use) == (
        kept.authorities,
        kept.scopes,
        kept.networks,
        kept.account,
        kept.single_use,
    )
    assert (found.expires_at, found.rotated_at, found.created_at) == (T + 90 * DAY, T, kept.created_at)
    assert (found.id == OLD.id, found.digest == OLD.digest) == (False, False)
    assert found.digest == mint_key("live", NEW).digest


@pytest.mark.parametrize(
    ("overlap", "expires_at", "expected"),
    [
        pytest.param(DEFAULT_OVERLAP, T + 80 * DAY, T + DAY, id="a-day"),
        pytest.param(DEFAULT_OVERLAP, T + 1, T + 1, id="not-longer-than-it-would-have-lived"),
        pytest.param(1, T + 80 * DAY, T + 1, id="a-moment"),
        pytest.param(DEFAULT_OVERLAP, None, T + DAY, id="that-had-no-end"),
    ],
)
def test_the_predecessor_works_for_the_overlap(overlap: int, expires_at: int | None, expected: int) -> None:
    """Then it expires, and never later than before."""
    rotated = rotate(entry(expires_at=expires_at), Millis(overlap), NEW, T)
    found = reread(rotated["predecessor"])[OLD.id]
    assert (found.expires_at, found.state, found.digest) == (expected, KeyState.ACTIVE, OLD.digest)


def test_without_overlap_the_predecessor_is_revoked() -> None:
    """An exposed key does not work a moment longer."""
    found = reread(rotate(entry(), Millis(0), NEW, T)["predecessor"])[OLD.id]
    assert found.state is KeyState.REVOKED


@pytest.mark.parametrize(
    ("changes", "overlap", "message"),
    [
        pytest.param({"expires_at": T}, 1, "is over", id="expired"),
        pytest.param({"state": KeyState.REVOKED}, 1, "is over", id="revoked"),
        pytest.param({"created_at": UnixMillis(T - 400 * DAY)}, 1, "is over", id="older-than-a-year"),
        pytest.param({}, -1, "negative", id="negative-overlap"),
    ],
)
def test_what_cannot_be_rotated(changes: dict[str, Any], overlap: int, message: str) -> None:
    """A key that is over has no successor: somebody has to ask for a new one."""
    with pytest.raises(ValueError, match=message):
        rotate(entry(**changes), Millis(overlap), NEW, T)


def test_a_successor_lives_a_year_at_most() -> None:
    """A key without a date of its making gets the usual year."""
    rotated: Any = rotate(entry(created_at=None, expires_at=UnixMillis(T + 900 * DAY)), DEFAULT_OVERLAP, NEW, T)
    assert reread(rotated["record"])[rotated["record"]["id"]].expires_at == T + 365 * DAY
