"""Public keys that tokens are verified with, read from a JWK set (RFC 7517, RFC 7518, RFC 8037)."""

import hmac
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Final, assert_never

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sidegate.core.identity.encoding import decode_base64url, read_object
from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
"""A verification with 8192 bits costs about 16 times one with 2048; nobody signs sessions with more."""
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: at least as long as the hash."""
MAX_KEYS: Final = 100

_MIN_EXPONENT: Final = 65537
_MAX_EXPONENT: Final = 2**32
_COORDINATE_BYTES: Final = 32
_MAX_KID_CHARS: Final = 256
_MAX_BRACKETS: Final = 5 * MAX_KEYS
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class Algorithm(StrEnum):
    """Signature algorithms that may be allowed at all (spec 3.1)."""

    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"
    HS256 = "HS256"


_SHA256: Final = SHA256()
_PKCS1: Final = PKCS1v15()
_ECDSA: Final = ECDSA(_SHA256)


@value
class VerificationKey:
    """One key, bound to one algorithm: what a token's header says never chooses how a key is used.

    Attributes:
        kid: Its id in the set; empty for the shared secret.
        algorithm: The only one it verifies.
        material: The public key, or the secret for HS256.
        thumbprint: SHA-256 over algorithm and key; equal exactly when the key is the same.
    """

    kid: str
    algorithm: Algorithm
    material: PublicKey | bytes
    thumbprint: bytes

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether *signature* is this key's over *message*."""
        # The type decides, not a name: a public key can never end up as an HMAC secret.
        try:
            match self.material:
                case RSAPublicKey():
                    self.material.verify(signature, message, _PKCS1, _SHA256)
                case EllipticCurvePublicKey():
                    # RFC 7518 section 3.4: r and s, 32 bytes each, not the DER of other protocols.
                    if len(signature) != 2 * _COORDINATE_BYTES:
                        return False
                    r, s = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]
                    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
                    self.material.verify(der, message, _ECDSA)
                case Ed25519PublicKey():
                    self.material.verify(signature, message)
                case bytes():
                    return hmac.compare_digest(hmac.digest(self.material, message, "sha256"), signature)
                case _:
                    assert_never(self.material)
        except InvalidSignature:
            return False
        return True


@value
class KeySet:
    """The keys that verify at present.

    Attributes:
        by_kid: Public keys.
        shared: The HS256 secret where one is configured.
        usable_until: The first instant at which none of *by_kid* verifies any more; None for never.
    """

    by_kid: Mapping[str, VerificationKey]
    shared: VerificationKey | None = None
    usable_until: UnixMillis | None = None

    def find(self, algorithm: Algorithm, kid: str | None, now: UnixMillis) -> VerificationKey | None:
        """Return the key for a token's header; None when there is none or it is for another algorithm."""
        if algorithm is Algorithm.HS256:
            return self.shared
        if kid is None or not self.is_usable(now):
            return None
        key = self.by_kid.get(kid)
        return key if key is not None and key.algorithm is algorithm else None

    def is_usable(self, now: UnixMillis) -> bool:
        """Whether the public keys are recent enough to count."""
        return self.usable_until is None or now < self.usable_until

    def still_holds(self, key: VerificationKey, now: UnixMillis) -> bool:
        """Whether *key*, found here or in an earlier set, verifies at present."""
        current = self.find(key.algorithm, key.kid, now)
        return current is not None and current.thumbprint == key.thumbprint


NO_KEYS: Final = KeySet({})


@value
class SkippedKey:
    """A key of the set that is not used.

    Attributes:
        place: Its place in the set, from 0.
        kid: Its id as far as it has one.
        why: What is wrong with it, for the log.
    """

    place: int
    kid: str
    why: str


def shared_secret(secret: bytes) -> VerificationKey:
    """Make the key of HS256.

    Raises:
        ValueError: Shorter than 32 bytes (RFC 7518 section 3.2), or a public key by its look: whoever knows that
            could sign.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"the shared secret has {len(secret)} bytes; use at least {MIN_SECRET_BYTES} random ones")
    if b"-----BEGIN" in secret or secret.lstrip().startswith((b"ssh-", b"{")):
        raise ValueError("the shared secret is a key file; use at least 32 random bytes that nobody else knows")
    return VerificationKey("", Algorithm.HS256, secret, sha256(b"HS256\0" + secret).digest())


def parse_jwks(
    document: bytes, algorithms: frozenset[Algorithm], usable_until: UnixMillis | None = None
) -> tuple[KeySet, tuple[SkippedKey, ...]]:
    """Read a JWK set.

    A key that is not meant for signatures, of another algorithm than allowed, too weak, private or malformed is
    skipped: issuers publish sets for many readers.

    Args:
        document: JSON as fetched.
        algorithms: Those that may be used.
        usable_until: Passed on to the set.

    Returns:
        The usable keys, and those left out.

    Raises:
        DependencyError: Not a JWK set, more than 100 keys, or a ``kid`` twice: then it cannot be known which is meant.
    """
    members = read_object(document, _MAX_BRACKETS)
    listed = members.get("keys") if members is not None else None
    if not isinstance(listed, list):
        raise _broken("is not a JSON object with a list `keys`")
    if len(listed) > MAX_KEYS:
        raise _broken(f"has {len(listed)} keys, more than {MAX_KEYS}")
    found: dict[str, VerificationKey] = {}
    skipped: list[SkippedKey] = []
    seen: set[str] = set()
    for place, jwk in enumerate(listed):
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        name = kid if isinstance(kid, str) else ""
        if name in seen:
            raise _broken(f"names kid {name[:_MAX_KID_CHARS]!r} twice")
        if name:
            seen.add(name)
        key = _read_jwk(jwk, algorithms)
        if isinstance(key, str):
            # Escaped: it goes into a log line, and a lone surrogate cannot be written as UTF-8.
            shown = name[:_MAX_KID_CHARS].encode("ascii", "backslashreplace").decode()
            skipped.append(SkippedKey(place, shown, key))
        else:
            found[key.kid] = key
    return KeySet(found, usable_until=usable_until), tuple(skipped)


def _broken(what: str) -> DependencyError:
    return DependencyError(Dependency.JWKS, f"reading the key set, which {what}; the issuer must publish a plain one")


def _read_jwk(jwk: object, algorithms: frozenset[Algorithm]) -> VerificationKey | str:
    """Read one key, or say why it is skipped."""
    if not isinstance(jwk, dict):
        return "is not an object"
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= _MAX_KID_CHARS:
        return "has no usable `kid`"
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        return "holds a private or symmetric key"
    if jwk.get("use", "sig") != "sig":
        return "is not for signatures (`use`)"
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return "is not for verifying (`key_ops`)"
    kind = jwk.get("kty")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        return "is of an unknown type (`kty`)"
    algorithm, reader = read
    if algorithm not in algorithms or jwk.get("alg", algorithm) != algorithm:
        return "is for an algorithm that is not allowed"
    try:
        material = reader(jwk)
    except (ValueError, UnsupportedAlgorithm) as error:  # the latter e.g. for Ed25519 on a machine in FIPS mode
        return f"is malformed: {error}"
    if isinstance(material, str):
        return material
    encoded = material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return VerificationKey(kid, algorithm, material, sha256(algorithm.encode() + b"\0" + encoded).digest())


def _read_rsa(jwk: dict[str, object]) -> PublicKey | str:
    modulus, exponent = (int.from_bytes(_require_bytes(jwk, name), "big") for name in ("n", "e"))
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        return f"has {modulus.bit_length()} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are used"
    if not (_MIN_EXPONENT <= exponent < _MAX_EXPONENT and exponent % 2):
        return "has an exponent that is not used"
    return RSAPublicNumbers(exponent, modulus).public_key()


def _read_ec(jwk: dict[str, object]) -> PublicKey | str:
    if jwk.get("crv") != "P-256":
        return "is on another curve than P-256"
    x, y = (_require_bytes(jwk, name) for name in ("x", "y"))
    if len(x) != _COORDINATE_BYTES or len(y) != _COORDINATE_BYTES:
        return "has coordinates that are not 32 bytes"
    # public_key() checks that the point lies on the curve.
    return EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1()).public_key()


def _read_okp(jwk: dict[str, object]) -> PublicKey | str:
    if jwk.get("crv") != "Ed25519":
        return "is on another curve than Ed25519"
    return Ed25519PublicKey.from_public_bytes(_require_bytes(jwk, "x"))


def _require_bytes(jwk: dict[str, object], name: str) -> bytes:
    text = jwk.get(name)
    raw = decode_base64url(text.encode()) if isinstance(text, str) else None
    if not raw:
        raise ValueError(f"`{name}` is not base64url")
    return raw


_READERS: Final = {
    "RSA": (Algorithm.RS256, _read_rsa),
    "EC": (Algorithm.ES256, _read_ec),
    "OKP": (Algorithm.EDDSA, _read_okp),
}
