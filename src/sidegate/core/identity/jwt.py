"""Signed session tokens, strictly: one spelling, one key, one algorithm (spec 3.1; RFC 7515, 7519, 8725)."""

from functools import lru_cache
from typing import Final

from sidegate.core.identity.claims import ClaimRules, read_claims
from sidegate.core.identity.encoding import decode_base64url, read_object
from sidegate.core.identity.jwk import Algorithm, KeySet, VerificationKey
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import RefusedCredential, VerifiedCredential
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import hot_value, value

DEFAULT_MAX_TOKEN_BYTES: Final = 8192
"""Browsers keep 4 KiB per cookie; as a bearer token with a full delegation chain it may be longer."""

_PARTS: Final = 3
_REMEMBERED_HEADERS: Final = 64
"""An issuer's tokens of one key begin with the same bytes. Of 8 KiB at most, by the limit on tokens."""
_MAX_KID_CHARS: Final = 256
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})

# A key or a place to fetch one from, chosen by whoever made the token (RFC 8725 section 3.10); extensions that must
# be understood and none of which is (RFC 7515 section 4.1.11); another meaning of the payload.
_REFUSED_MEMBERS: Final = frozenset({"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc", "cty"})


@value
class TokenRules:
    """How tokens are verified.

    Attributes:
        algorithms: The allow-list.
        claims: What the claims must say.
        max_bytes: Longer tokens are refused unread.
    """

    algorithms: frozenset[Algorithm]
    claims: ClaimRules
    max_bytes: int = DEFAULT_MAX_TOKEN_BYTES


@hot_value
class VerifiedToken:
    """A token that holds.

    Attributes:
        credential: What it proves.
        key: The key that verified it; when that key goes, so does the token.
        cacheable_until: Its own expiry without leeway: never cached past that.
    """

    credential: VerifiedCredential
    key: VerificationKey
    cacheable_until: UnixMillis


@hot_value
class UnknownKid:
    """The token is well formed, but no key of that id is known; a refresh of the set may find it.

    Attributes:
        kid: As the header says, unverified.
    """

    kid: str


def verify_token(
    token: bytes, keys: KeySet, rules: TokenRules, now: UnixMillis
) -> VerifiedToken | RefusedCredential | Reason | UnknownKid:
    """Verify a signed token. Nothing of the payload is read before the signature holds.

    Args:
        token: As presented, exact bytes.
        keys: Keys that verify at present.
        rules: Allow-list and claims.
        now: Wall clock.

    Returns:
        The verified token; what it proves, refused, when only the time is wrong (:func:`read_claims`);
        ``invalid_credential`` for all else; or an unknown key id.
    """
    if len(token) > rules.max_bytes:
        return Reason.INVALID_CREDENTIAL
    parts = token.split(b".", _PARTS)
    if len(parts) != _PARTS:
        return Reason.INVALID_CREDENTIAL
    chosen = _read_header(parts[0], rules.algorithms)
    signature = decode_base64url(parts[2])
    if chosen is None or not signature:
        return Reason.INVALID_CREDENTIAL
    algorithm, kid = chosen
    key = keys.find(algorithm, kid, now)
    if key is None:
        # A known id with another algorithm is an attack or a fault, and no refresh makes it right.
        if kid is None or algorithm is Algorithm.HS256 or (kid in keys.by_kid and keys.is_usable(now)):
            return Reason.INVALID_CREDENTIAL
        return UnknownKid(kid)
    # The bytes as presented. All parts must be canonical, so that there is no other spelling that verifies.
    if not key.verifies(token[: -len(parts[2]) - 1], signature):
        return Reason.INVALID_CREDENTIAL
    raw_payload = decode_base64url(parts[1])
    payload = None if raw_payload is None else read_object(raw_payload)
    credential = read_claims(payload, rules.claims, now) if payload is not None else Reason.INVALID_CREDENTIAL
    if not isinstance(credential, VerifiedCredential):
        return credential
    if credential.expires_at is None:
        return Reason.INVALID_CREDENTIAL
    return VerifiedToken(credential, key, UnixMillis(credential.expires_at - rules.claims.leeway))


def looks_signed(token: bytes) -> bool:
    """Whether *token* has the three parts of a compact JWS, so that it is read as one and as nothing else."""
    return token.count(b".") == _PARTS - 1


@lru_cache(_REMEMBERED_HEADERS)
def _read_header(part: bytes, algorithms: frozenset[Algorithm]) -> tuple[Algorithm, str | None] | None:
    """Return algorithm and key id of an acceptable header."""
    raw = decode_base64url(part)
    header = None if raw is None else read_object(raw)
    if header is None or not _REFUSED_MEMBERS.isdisjoint(header):
        return None
    named, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    # Exact spelling: `none`, `None` and `hs256` are in no list.
    algorithm = next((allowed for allowed in algorithms if allowed == named), None)
    if algorithm is None or not isinstance(kind, str) or kind.lower() not in _TYPES:
        return None
    if "kid" not in header:
        return algorithm, None
    return (algorithm, kid) if isinstance(kid, str) and 1 <= len(kid) <= _MAX_KID_CHARS else None
