"""Tokens that hold, and what a verified one says (spec 3.1)."""

from typing import Any

import pytest
from tests.unit.core.identity.issuer import ALL, NOW, NOW_S, Issuer, rules

from sidegate.core.identity.claims import ClaimRules
from sidegate.core.identity.jwk import Algorithm, KeySet
from sidegate.core.identity.jwt import TokenRules, UnknownKid, VerifiedToken, looks_signed, verify_token
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import CredentialKind, RefusedCredential, VerifiedCredential
from sidegate.core.model.units import UnixMillis


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA", "HS256"])
def test_each_algorithm(issuer: Issuer, alg: str) -> None:
    """Each allowed algorithm verifies with its own key and says who asks."""
    found = verify_token(issuer.token(alg), issuer.keys(), rules(), NOW)
    assert isinstance(found, VerifiedToken)
    expected = VerifiedCredential(
        kind=CredentialKind.SESSION,
        id="sess_1",
        account="user:ana",
        org="acme",
        issued_at=UnixMillis(NOW - 10_000),
        expires_at=UnixMillis(NOW + 65_000),
    )
    assert expected == found.credential


def test_never_cacheable_past_expiry(issuer: Issuer) -> None:
    """What is cached ends at the token's own expiry, without the leeway (spec 3)."""
    found = verify_token(issuer.token(), issuer.keys(), rules(), NOW)
    assert isinstance(found, VerifiedToken)
    assert (found.cacheable_until, found.key.kid) == (NOW + 60_000, "rsa")


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA", "HS256"])
def test_allow_list(issuer: Issuer, alg: str) -> None:
    """An algorithm that is not on the list is refused, although its key is there."""
    only = TokenRules(ALL - {Algorithm(alg)}, ClaimRules(issuer="https://clerk.example"))
    assert verify_token(issuer.token(alg), issuer.keys(), only, NOW) == Reason.INVALID_CREDENTIAL


def test_unknown_kid(issuer: Issuer) -> None:
    """A key id that is not in the set is told apart: a refresh may find it."""
    found = verify_token(issuer.token(header={"kid": "new"}), issuer.keys(), rules(), NOW)
    assert UnknownKid("new") == found


def test_keys_that_are_too_old(issuer: Issuer) -> None:
    """When the set has not been confirmed for too long no key verifies; a refresh may help (spec 3.1)."""
    keys = KeySet(issuer.keys().by_kid, usable_until=NOW)
    assert UnknownKid("rsa") == verify_token(issuer.token(), keys, rules(), NOW)


def test_keys_one_millisecond_before_too_old(issuer: Issuer) -> None:
    """The limit is the first millisecond at which the set no longer counts."""
    keys = KeySet(issuer.keys().by_kid, usable_until=UnixMillis(NOW + 1))
    assert isinstance(verify_token(issuer.token(), keys, rules(), NOW), VerifiedToken)


def test_no_shared_secret(issuer: Issuer) -> None:
    """HS256 on the list without a secret verifies nothing and asks for no refresh."""
    keys = KeySet(issuer.keys().by_kid)
    assert verify_token(issuer.token("HS256"), keys, rules(), NOW) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        pytest.param({"typ": "at+jwt"}, None, id="access-token"),
        pytest.param({"typ": "jwt"}, None, id="lower-case"),
        pytest.param({"typ": ...}, None, id="absent"),
        pytest.param({"cat": "cl_B7d4PD111AAA"}, None, id="clerk-category"),
        pytest.param({"x5t": "abc"}, None, id="certificate-thumbprint-is-only-a-hint"),
        pytest.param({"kid": ...}, Reason.INVALID_CREDENTIAL, id="no-kid"),
        pytest.param({"kid": ""}, Reason.INVALID_CREDENTIAL, id="empty-kid"),
        pytest.param({"kid": None}, Reason.INVALID_CREDENTIAL, id="null-kid"),
        pytest.param({"kid": ["rsa"]}, Reason.INVALID_CREDENTIAL, id="list-kid"),
        pytest.param({"kid": "k" * 257}, Reason.INVALID_CREDENTIAL, id="long-kid"),
        pytest.param({"typ": "JWE"}, Reason.INVALID_CREDENTIAL, id="other-type"),
        pytest.param({"typ": None}, Reason.INVALID_CREDENTIAL, id="null-type"),
        pytest.param({"typ": ["JWT"]}, Reason.INVALID_CREDENTIAL, id="list-type"),
    ],
)
def test_header(issuer: Issuer, header: dict[str, Any], reason: Reason | None) -> None:
    """The header names an allowed algorithm, a key and a sane type; unknown members that choose nothing are let be."""
    found = verify_token(issuer.token(header=header), issuer.keys(), rules(), NOW)
    assert (found if isinstance(found, Reason) else None) == reason


def test_size_limit(issuer: Issuer) -> None:
    """A token of the limit's size is read, one byte more is not."""
    token = issuer.token()
    exact = TokenRules(ALL, ClaimRules(issuer="https://clerk.example"), max_bytes=len(token))
    short = TokenRules(ALL, ClaimRules(issuer="https://clerk.example"), max_bytes=len(token) - 1)
    assert isinstance(verify_token(token, issuer.keys(), exact, NOW), VerifiedToken)
    assert verify_token(token, issuer.keys(), short, NOW) == Reason.INVALID_CREDENTIAL


@pytest.mark.parametrize(
    ("changes", "now", "reason"),
    [
        pytest.param({}, NOW + 64_999, None, id="last-millisecond-of-leeway"),
        pytest.param({}, NOW + 65_000, Reason.SESSION_EXPIRED, id="leeway-over"),
        pytest.param({"nbf": NOW_S + 5}, NOW, None, id="nbf-within-leeway"),
        pytest.param({"nbf": NOW_S + 6}, NOW, Reason.INVALID_CREDENTIAL, id="nbf-beyond-leeway"),
        pytest.param({"iat": NOW_S + 5}, NOW, None, id="iat-within-leeway"),
        pytest.param({"iat": NOW_S + 6}, NOW, Reason.INVALID_CREDENTIAL, id="iat-beyond-leeway"),
        pytest.param({"nbf": ..., "iat": ...}, NOW, None, id="only-exp-is-required"),
        pytest.param({"exp": ...}, NOW, Reason.INVALID_CREDENTIAL, id="no-exp"),
    ],
)
def test_times(issuer: Issuer, changes: dict[str, Any], now: int, reason: Reason | None) -> None:
    """`exp` is required; `exp`, `nbf` and `iat` hold with the leeway on either side (spec 3.1)."""
    found = verify_token(issuer.token(**changes), issuer.keys(), rules(), UnixMillis(now))
    if isinstance(found, RefusedCredential):
        found = found.reason
    assert (found if isinstance(found, Reason) else None) == reason


@pytest.mark.parametrize(
    ("token", "signed"),
    [
        pytest.param(b"a.b.c", True, id="three-parts"),
        pytest.param(b"..", True, id="empty-parts"),
        pytest.param(b"a.b", False, id="two-parts"),
        pytest.param(b"a.b.c.d", False, id="four-parts"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_looks_signed(token: bytes, signed: bool) -> None:
    """Exactly three parts are read as a signed token and as nothing else."""
    assert signed == looks_signed(token)
