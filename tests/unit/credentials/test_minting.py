"""New keys and their entries (spec 3.2, 6.4)."""

from hashlib import sha256
from typing import Any

import pytest

from sidegate.core.identity.api_key import KeyParts, parse_key
from sidegate.core.model.units import Millis, UnixMillis, year_after
from sidegate.credentials.minting import KeyRequest, mint

T = UnixMillis(1_800_000_000_000)
RANDOM = bytes(range(64))


def request(**changes: Any) -> KeyRequest:
    """Return what a key shall be, with *changes*."""
    usual: dict[str, Any] = {"org": "acme", "account": "service:ci"}
    return KeyRequest(**(usual | changes))


def record(**changes: Any) -> dict[str, Any]:
    """Return the entry without what depends on the key."""
    found = mint(request(**changes), RANDOM, T)["record"]
    assert isinstance(found, dict)
    return {name: entry for name, entry in found.items() if name not in {"id", "digest"}}


DATES = {"expires_at": "2028-01-15T08:00:00.000Z", "created_at": "2027-01-15T08:00:00.000Z"}


def test_key_and_record_belong_together() -> None:
    """The entry has the key's id and the SHA-256 of the whole key, and not the key."""
    minted = mint(request(), RANDOM, T)
    clear, entry = minted["key"], minted["record"]
    assert isinstance(clear, str)
    assert isinstance(entry, dict)
    parts = parse_key(clear.encode())
    assert isinstance(parts, KeyParts)
    assert (parts.id, f"sha256:{sha256(clear.encode()).hexdigest()}") == (entry["id"], entry["digest"])
    assert clear.startswith("sg_live_")
    assert clear[-49:] not in repr(entry)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, DATES, id="a-year-by-default"),
        pytest.param({"lifetime": Millis(1000)}, DATES | {"expires_at": "2027-01-15T08:00:01.000Z"}, id="one-second"),
        pytest.param({"authorities": ["run", "read"]}, DATES | {"authorities": ["read", "run"]}, id="authorities"),
        pytest.param({"authorities": []}, DATES | {"authorities": []}, id="no-authority"),
        pytest.param({"authorities": ["read", "read"]}, DATES | {"authorities": ["read"]}, id="authority-twice"),
        pytest.param({"scopes": ["p1", "/skills", "p1"]}, DATES | {"scopes": ["p1", "/skills"]}, id="scopes"),
        pytest.param({"single_use": True}, DATES | {"single_use": True}, id="single-use"),
        pytest.param({"created_by": "user:ana"}, DATES | {"created_by": "user:ana"}, id="created-by"),
    ],
)
def test_record(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    """The entry says what was asked for, and nothing of what was not."""
    assert {"account": "service:ci"} | expected == record(**changes)


def test_environment() -> None:
    """The environment stands in the key."""
    assert str(mint(request(env="test"), RANDOM, T)["key"]).startswith("sg_test_")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        pytest.param({"org": "a b"}, "organization", id="organization"),
        pytest.param({"account": "ci"}, "service:ci", id="account-without-kind"),
        pytest.param({"account": "agent:x"}, "service:ci", id="account-of-another-kind"),
        pytest.param({"account": "user:"}, "service:ci", id="account-without-name"),
        pytest.param({"authorities": ["read", "fly"]}, "`fly` is no authority; use some of read", id="authority"),
        pytest.param({"scopes": ["p1@"]}, "branch `` is not a name", id="scope"),
        pytest.param({"lifetime": Millis(0)}, "at most a year", id="no-lifetime"),
        pytest.param({"lifetime": Millis(year_after(T) - T + 1)}, "at most a year", id="longer-than-a-year"),
        pytest.param({"env": "a_b"}, "environment", id="environment"),
    ],
)
def test_refused(changes: dict[str, Any], what: str) -> None:
    """What cannot be is said, with what to write instead."""
    with pytest.raises(ValueError, match=what):
        mint(request(**changes), RANDOM, T)
