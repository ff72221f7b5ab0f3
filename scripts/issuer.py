"""A stand-in for the identity provider: one key pair, its JWKS file, session tokens in the shape of spec 3.1.

The demo, the load tests and the integration tests sign with it. It is no part of Sidegate, which only ever verifies.
"""

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

RSA_BITS = 2048

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def make_key(algorithm: str) -> PrivateKey:
    """Make a private key for RS256, ES256 or EdDSA."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(f"`{algorithm}` is not RS256, ES256 or EdDSA")


class Issuer:
    """One issuer with one key.

    Args:
        name: Its ``iss``.
        algorithm: RS256, ES256 or EdDSA.
        kid: Id of its key in the JWKS.
        key: Its private key; a new one unless given.
    """

    def __init__(
        self, name: str, *, algorithm: str = "RS256", kid: str = "key-1", key: PrivateKey | None = None
    ) -> None:
        self.name = name
        self.algorithm = algorithm
        self.kid = kid
        self.key = make_key(algorithm) if key is None else key

    def jwk(self) -> dict[str, object]:
        """Return the public key as a JWK (RFC 7517)."""
        public = self.key.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            fields = RSAAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            fields = ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            fields = OKPAlgorithm.to_jwk(public, as_dict=True)
        return {**fields, "kid": self.kid, "use": "sig", "alg": self.algorithm, "key_ops": ["verify"]}

    def private_pem(self) -> bytes:
        """Return the private key for a file that only its owner may read."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_pem(self) -> bytes:
        """Return the public key for verifiers that read no JWKS."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def session(
        self,
        user: str,
        org: str,
        *,
        now: float | None = None,
        lasts_s: int = 3600,
        mfa: bool = True,
        session_id: str | None = None,
        claims: Mapping[str, object] = {},
    ) -> str:
        """Sign a session token.

        Args:
            user: Account ``user:<user>``.
            org: The organization it acts in.
            now: Seconds since the epoch; the clock unless given.
            lasts_s: Until it expires.
            mfa: A second factor was used a minute before.
            session_id: A random one unless given.
            claims: Further claims; they go over those made here, and None takes one away.
        """
        issued = int(time.time() if now is None else now)
        payload: dict[str, object] = {
            "iss": self.name,
            "sub": user,
            "sid": session_id or f"sess_{secrets.token_hex(8)}",
            "iat": issued,
            "nbf": issued,
            "exp": issued + lasts_s,
            "fva": [1, 1 if mfa else -1],
            "o": {"id": org},
            **claims,
        }
        kept = {name: claim for name, claim in payload.items() if claim is not None}
        return jwt.encode(kept, self.key, self.algorithm, headers={"kid": self.kid})


def write_jwks(path: Path, *issuers: Issuer) -> None:
    """Write the public keys of *issuers* as a JWKS file."""
    path.write_text(json.dumps({"keys": [issuer.jwk() for issuer in issuers]}, indent=2) + "\n")
