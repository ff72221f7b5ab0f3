"""An issuer of session tokens that signs whatever it is told to, right or wrong."""

import base64
import hmac
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sidegate.core.identity.claims import ClaimRules
from sidegate.core.identity.jwk import Algorithm, KeySet, parse_jwks, shared_secret
from sidegate.core.identity.jwt import TokenRules
from sidegate.core.model.units import UnixMillis

NOW = UnixMillis(1_800_000_000_000)
NOW_S = NOW // 1000
ISSUER = "https://clerk.example"
SECRET = b"0123456789abcdef0123456789abcdef"
ALL = frozenset(Algorithm)


def b64(raw: bytes) -> bytes:
    """Encode as unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def number(value: int, size: int) -> str:
    """Encode a number as a JWK member."""
    return b64(value.to_bytes(size, "big")).decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Return claims that hold at NOW, with *changes*; a change to ``...`` leaves the claim out."""
    usual: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "ana",
        "sid": "sess_1",
        "iat": NOW_S - 10,
        "nbf": NOW_S - 10,
        "exp": NOW_S + 60,
        "org_id": "acme",
    }
    return {name: claim for name, claim in (usual | changes).items() if claim is not ...}


@dataclass
class Issuer:
    """One key of each kind, made once per test run."""

    rsa_key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    ec_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    ed_key: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)

    def jwk(self, kid: str) -> dict[str, Any]:
        """Return the public key called ``rsa``, ``ec`` or ``ed``."""
        if kid == "rsa":
            numbers = self.rsa_key.public_key().public_numbers()
            return {"kty": "RSA", "kid": kid, "n": number(numbers.n, 256), "e": "AQAB", "alg": "RS256", "use": "sig"}
        if kid == "ec":
            point = self.ec_key.public_key().public_numbers()
            return {"kty": "EC", "kid": kid, "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
        raw = self.ed_key.public_key().public_bytes_raw()
        return {"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(raw).decode()}

    def jwks(self, *kids: str) -> bytes:
        """Return the set of the named keys, of all by default."""
        return json.dumps({"keys": [self.jwk(kid) for kid in kids or ("rsa", "ec", "ed")]}).encode()

    def keys(self, algorithms: frozenset[Algorithm] = ALL) -> KeySet:
        """Return the set as it is used, with the shared secret."""
        found, _ = parse_jwks(self.jwks(), algorithms)
        return KeySet(found.by_kid, shared_secret(SECRET))

    def sign_bytes(self, alg: str, message: bytes) -> bytes:
        """Sign with the key that belongs to *alg*."""
        match alg:
            case "RS256":
                return self.rsa_key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case "ES256":
                r, s = decode_dss_signature(self.ec_key.sign(message, ec.ECDSA(hashes.SHA256())))
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")
            case "EdDSA":
                return self.ed_key.sign(message)
            case _:
                return hmac.digest(SECRET, message, "sha256")

    def seal(self, header: bytes, payload: bytes, alg: str = "RS256") -> bytes:
        """Sign raw parts."""
        message = b64(header) + b"." + b64(payload)
        return message + b"." + b64(self.sign_bytes(alg, message))

    def token(self, alg: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> bytes:
        """Sign usual claims with *changes*; *header* is laid over the usual one."""
        kids = {"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}
        usual: dict[str, Any] = {"alg": alg, "typ": "JWT"}
        if alg in kids:
            usual["kid"] = kids[alg]
        full = {name: entry for name, entry in (usual | (header or {})).items() if entry is not ...}
        return self.seal(json.dumps(full).encode(), json.dumps(claims(**changes)).encode(), alg)


def rules(**changes: Any) -> TokenRules:
    """Return rules that allow every algorithm, with *changes* to the claims' rules."""
    return TokenRules(ALL, ClaimRules(issuer=ISSUER, **changes))


def digest_of(key: bytes) -> bytes:
    """Return what a policy stores of an API key."""
    return sha256(key).digest()
