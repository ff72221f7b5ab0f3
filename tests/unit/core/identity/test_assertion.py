"""Assertions to the upstream, read by a JWT library that is not ours (spec 6.5)."""

from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from sidegate.core.identity.assertion import LIFETIME_S, AssertionSigner, SigningKey, Statement
from sidegate.core.model.units import UnixMillis

NOW = UnixMillis(1_795_000_000_999)
ISSUER, AUDIENCE = "sidegate", "http://127.0.0.1:9000"
STATEMENT = Statement(
    account="user:ana",
    organization="acme",
    authority="approve, read",
    target="p1@main, p1@x",
    revision=812,
    chain=("ag_1", "ag_2"),
    method="POST",
    path="/v1/orgs/acme/projects/p1/branches/main:merge",
    decision_id="0198f2c4-7d1a-7c3e-9b6f-2f1f4c1d9a10",
)
KEYS: dict[str, Callable[[], SigningKey]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_signed(algorithm: str) -> None:
    """It says what was decided, holds for a minute from the second of the decision, and names its key and audience."""
    key = KEYS[algorithm]()
    signer = AssertionSigner(key, ISSUER, AUDIENCE)
    token = signer.sign(STATEMENT, NOW).decode("ascii")
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT", "kid": signer.key_id}
    times = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, key.public_key(), [algorithm], audience=AUDIENCE, issuer=ISSUER, options=times)
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user:ana",
        "iat": 1_795_000_000,
        "exp": 1_795_000_000 + LIFETIME_S,
        "jti": STATEMENT.decision_id,
        "organization": "acme",
        "authority": "approve, read",
        "target": "p1@main, p1@x",
        "decision": STATEMENT.decision_id,
        "revision": 812,
        "chain": ["ag_1", "ag_2"],
        "method": "POST",
        "path": STATEMENT.path,
    }
    assert LIFETIME_S <= 60


def test_signatures_of_p256_have_one_length() -> None:
    """Numbers with leading zeros are written at full length (RFC 7518 section 3.4): one signature in 128 has one."""
    signer = AssertionSigner(KEYS["ES256"](), ISSUER, AUDIENCE)
    lengths = {len(signer.sign(STATEMENT, NOW).rpartition(b".")[2]) for _ in range(300)}
    assert lengths == {86}


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda: ec.generate_private_key(ec.SECP384R1()), id="p-384"),
        pytest.param(lambda: rsa.generate_private_key(65537, 1024), id="rsa-1024"),
        pytest.param(lambda: dsa.generate_private_key(1024), id="dsa"),
        pytest.param(lambda: ed25519.Ed25519PrivateKey.generate().public_key(), id="public"),
    ],
)
def test_other_keys_are_refused(key: Callable[[], object]) -> None:
    """A key that upstreams could not or should not verify with is refused at the start."""
    with pytest.raises(ValueError, match="neither Ed25519, nor EC on P-256, nor RSA of 2048 to 8192 bits"):
        AssertionSigner(key(), ISSUER, AUDIENCE)
