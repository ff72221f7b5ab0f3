"""Who asks, from options to a credential."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from sidegate.cli.exit_codes import UsageError
from sidegate.cli.local import load_policies
from sidegate.cli.subjects import (
    Circumstances,
    credential_of,
    find_organization,
    parse_account,
    refusal_of,
    source_of,
)
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot

NOW = UnixMillis(1_795_262_400_000)
KEY = "4fQz8Kd01LmNopQr"


@pytest.fixture
def snapshot(policy: Path) -> Snapshot:
    """Two organizations."""
    return load_policies(policy).snapshot


@pytest.mark.parametrize("text", ["", "ana", "user:", "group:g", "User:ana", ":"])
def test_what_is_no_account(text: str) -> None:
    """An account is user:ID or service:ID."""
    with pytest.raises(ValueError, match="write user:ID or service:ID"):
        parse_account(text)


def test_accounts() -> None:
    """Both types."""
    assert [parse_account(text) for text in ("user:ana", "service:a:b")] == ["user:ana", "service:a:b"]


def test_organizations(snapshot: Snapshot, policy: Path) -> None:
    """As given; else the only one, or the only one that the account belongs to; else it has to be said."""
    assert find_organization(snapshot, "any", None) == "any"
    assert find_organization(snapshot, None, "user:gus") == "globex"
    assert find_organization(load_policies(policy / "acme.yaml").snapshot, None, "user:gus") == "acme"
    with pytest.raises(UsageError, match="give --org, one of acme, globex"):
        find_organization(snapshot, None, "user:nobody")
    with pytest.raises(UsageError, match="give --org"):
        find_organization(snapshot, None)
    with pytest.raises(UsageError, match="there is no policy"):
        find_organization(Snapshot(1), None)


def test_sessions(snapshot: Snapshot) -> None:
    """What is not said is the plainest session; what is said is in the credential."""
    plain = credential_of(snapshot, "acme", "user:ana", Circumstances(), NOW)
    assert (plain.kind, plain.authorities, plain.scopes, plain.second_factor_at, plain.surface) == (
        CredentialKind.SESSION, None, None, None, "web",
    )  # fmt: skip
    given = Circumstances(mfa_age="1m", surface="mobile", authorities="read,run", scopes="p1,*@main")
    full = credential_of(snapshot, "acme", "user:ana", given, NOW)
    assert (full.authorities, full.scopes, full.second_factor_at, full.surface) == (
        mask_of([Authority.READ, Authority.RUN]),
        (parse_scope("p1"), parse_scope("*@main")),
        NOW - 60_000,
        "mobile",
    )
    assert refusal_of(snapshot, plain, None, NOW) is None


def test_keys(snapshot: Snapshot) -> None:
    """A key brings its own authorities and scopes."""
    key = credential_of(snapshot, "acme", "service:ci", Circumstances(key_id=KEY), NOW)
    assert (key.kind, key.id, key.authorities, key.scopes) == (
        CredentialKind.API_KEY, KEY, mask_of([Authority.READ]), (parse_scope("p1"),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "source", "now", "reason"),
    [
        pytest.param("", "", None, NOW, None, id="live"),
        pytest.param("", "", None, UnixMillis(1_798_761_600_000), Reason.KEY_EXPIRED, id="at-its-end"),
        pytest.param("scopes: [p1]", "state: revoked", None, NOW, Reason.KEY_REVOKED, id="revoked"),
        pytest.param("scopes: [p1]", "networks: [10.0.0.0/8]", "10.0.0.9", NOW, None, id="its-network"),
        pytest.param(
            "scopes: [p1]", "networks: [10.0.0.0/8]", "11.0.0.9", NOW, Reason.SOURCE_ADDRESS, id="other-network"
        ),
        pytest.param("scopes: [p1]", "networks: [10.0.0.0/8]", None, NOW, Reason.SOURCE_ADDRESS, id="unknown-address"),
    ],
)
def test_keys_that_would_not_verify(
    policy: Path, old: str, new: str, source: str | None, *, now: UnixMillis, reason: Reason | None
) -> None:
    """A key that is over, revoked or used from elsewhere is refused as the verifier refuses it."""
    file = policy / "acme.yaml"
    file.write_text(file.read_text().replace(old, new) if old else file.read_text())
    snapshot = load_policies(policy).snapshot
    credential = credential_of(snapshot, "acme", "service:ci", Circumstances(key_id=KEY), now)
    refused = refusal_of(snapshot, credential, source_of(Circumstances(source=source)), now)
    assert (None if refused is None else refused.reason) == reason


@pytest.mark.parametrize(
    ("account", "circumstances", "said"),
    [
        pytest.param("user:ana", Circumstances(key_id="x"), "no key `x` is in the policy of acme", id="no-key"),
        pytest.param("user:ana", Circumstances(key_id=KEY), "belongs to service:ci, not to user:ana", id="another's"),
        pytest.param("service:ci", Circumstances(key_id=KEY, mfa_age="1s"), "--as-key brings", id="key-and-factor"),
        pytest.param("user:ana", Circumstances(surface="Web"), "--surface: `Web` is no surface", id="surface"),
        pytest.param("user:ana", Circumstances(authorities="all"), "--authorities: `all`", id="authority"),
        pytest.param("user:ana", Circumstances(scopes="p1:x"), "--scopes: scope `p1:x`", id="scope"),
        pytest.param("user:ana", Circumstances(mfa_age="never"), "--mfa-age: `never`", id="age"),
    ],
)
def test_what_cannot_be(snapshot: Snapshot, account: str, circumstances: Circumstances, said: str) -> None:
    """Options that name nothing, or contradict each other."""
    with pytest.raises(UsageError) as caught:
        credential_of(snapshot, "acme", account, circumstances, NOW)
    assert said in str(caught.value)


def test_sources() -> None:
    """An address, or none."""
    assert source_of(Circumstances()) is None
    assert source_of(Circumstances(source="::1")) == ip_address("::1")
    with pytest.raises(UsageError, match=r"^--source: "):
        source_of(Circumstances(source="x"))
