"""A signed assertion to the upstream about one decision (spec 6.5; RFC 7515, RFC 7519, RFC 8725).

It says what the identity headers say, so that an upstream can tell them from headers that somebody else wrote.
"""

import json
from enum import StrEnum
from hashlib import sha256
from typing import Final, assert_never

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sidegate.core.identity.encoding import encode_base64url
from sidegate.core.identity.jwk import MAX_RSA_BITS, MIN_RSA_BITS
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import hot_value

LIFETIME_S: Final = 60
"""Spec 6.5: at most 60 seconds, from the second in which the request was decided."""

_MILLIS_PER_SECOND: Final = 1000
_P256_BYTES: Final = 32

SigningKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey


class _Algorithm(StrEnum):
    EDDSA = "EdDSA"
    ES256 = "ES256"
    RS256 = "RS256"


@hot_value
class Statement:
    """What is asserted, in the texts of the identity headers.

    Attributes:
        account: Who asked.
        organization: In which it acted.
        authority: Decided about; several of one operation are divided by ``, ``.
        target: The same.
        revision: Of the policy that decided.
        chain: Ids of the links of the delegation chain, outermost first.
        method: Of the request.
        path: Canonical, without the query; None for ``OPTIONS *``.
        decision_id: Of the decision; the assertion's own id too, so an upstream can take each only once.
    """

    account: str
    organization: str
    authority: str
    target: str
    revision: int
    chain: tuple[str, ...]
    method: str
    path: str | None
    decision_id: str


class AssertionSigner:
    """Signs statements with one key.

    Args:
        key: Ed25519 (EdDSA), EC on P-256 (ES256) or RSA of 2048 to 8192 bits (RS256).
        issuer: ``iss``.
        audience: ``aud``: the upstream.

    Raises:
        ValueError: Another kind of key; says which there may be.
    """

    __slots__ = ("_algorithm", "_audience", "_header", "_issuer", "_key", "key_id")

    def __init__(self, key: object, issuer: str, audience: str) -> None:
        self._key, self._algorithm = _take_key(key)
        self._issuer = issuer
        self._audience = audience
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = sha256(public).hexdigest()[:16]
        self._header = _encode({"alg": self._algorithm.value, "typ": "JWT", "kid": self.key_id})

    def sign(self, statement: Statement, now: UnixMillis) -> bytes:
        """Return the JWT in its compact form."""
        issued = now // _MILLIS_PER_SECOND
        claims: dict[str, object] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": statement.account,
            "iat": issued,
            "exp": issued + LIFETIME_S,
            "jti": statement.decision_id,
            "organization": statement.organization,
            "authority": statement.authority,
            "target": statement.target,
            "decision": statement.decision_id,
            "revision": statement.revision,
            "chain": list(statement.chain),
            "method": statement.method,
            "path": statement.path,
        }
        signed = b"%b.%b" % (self._header, _encode(claims))
        return b"%b.%b" % (signed, encode_base64url(self._signature(signed)))

    def _signature(self, message: bytes) -> bytes:
        match self._key:
            case Ed25519PrivateKey():
                return self._key.sign(message)
            case EllipticCurvePrivateKey():
                # RFC 7518 section 3.4: both numbers at their full length, not in ASN.1.
                r, s = decode_dss_signature(self._key.sign(message, ECDSA(SHA256())))
                return r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)
            case RSAPrivateKey():
                return self._key.sign(message, PKCS1v15(), SHA256())
            case _:
                assert_never(self._key)


def _take_key(key: object) -> tuple[SigningKey, _Algorithm]:
    if isinstance(key, Ed25519PrivateKey):
        return key, _Algorithm.EDDSA
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key, _Algorithm.ES256
    if isinstance(key, RSAPrivateKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return key, _Algorithm.RS256
    raise ValueError("is neither Ed25519, nor EC on P-256, nor RSA of 2048 to 8192 bits")


def _encode(members: dict[str, object]) -> bytes:
    return encode_base64url(json.dumps(members, separators=(",", ":")).encode("ascii"))
