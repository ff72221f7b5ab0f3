"""From the payload of a token whose signature holds to a verified credential (spec 3.1)."""

from typing import Final, NewType, cast

from sidegate.core.identity.lineage import MAX_SECONDS, read_chain
from sidegate.core.identity.names import is_safe_id, is_surface
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import NamingError
from sidegate.core.model.principal import CredentialKind, RefusedCredential, VerifiedCredential
from sidegate.core.model.target import require_name
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value

DEFAULT_LEEWAY: Final = Millis(5000)
DEFAULT_SURFACE: Final = "web"

ClaimPath = NewType("ClaimPath", tuple[str, ...])
"""Where a claim stands: member names from the outside in."""

_V2_ORGANIZATION: Final = ClaimPath(("o", "id"))
_V1_ORGANIZATION: Final = ClaimPath(("org_id",))
_FVA_ENTRIES: Final = 2
_MINUTE_MS: Final = 60_000
_MISSING: Final = object()


@value
class ClaimRules:
    """What the claims must say.

    Attributes:
        issuer: ``iss`` must equal it, byte for byte.
        audiences: ``aud`` must hold one of them; when empty, a token with ``aud`` is refused (RFC 7519 section 4.1.3).
        authorized_parties: ``azp`` must be one of them; when empty it is not looked at.
        organization: Where the organization stands; None for ``o.id`` and ``org_id``.
        surface: Where the surface stands; None for ``web`` always.
        leeway: How far the issuer's clock may be off, for ``exp``, ``nbf`` and ``iat``.
    """

    issuer: str
    audiences: frozenset[str] = frozenset()
    authorized_parties: frozenset[str] = frozenset()
    organization: ClaimPath | None = None
    surface: ClaimPath | None = None
    leeway: Millis = DEFAULT_LEEWAY


def parse_claim_path(text: str) -> ClaimPath:
    """Read the configured place of a claim: ``o.slg`` is member ``slg`` of ``o``; a URL is one member's name.

    Raises:
        ValueError: It is empty or has an empty part.
    """
    parts = (text,) if "://" in text else tuple(text.split("."))
    if "" in parts:
        raise ValueError(f"`{text}` names no claim; write it like org_slug or o.slg")
    return ClaimPath(parts)


def read_claims(
    payload: dict[str, object], rules: ClaimRules, now: UnixMillis
) -> VerifiedCredential | RefusedCredential | Reason:
    """Turn claims into a credential.

    Args:
        payload: Of a token whose signature was verified.
        rules: What it must say.
        now: Wall clock.

    Returns:
        The credential, whose ``expires_at`` includes the leeway; the same, refused, when only the time is wrong:
        ``session_expired``, or ``invalid_credential`` for a token from the future; ``invalid_credential`` alone for all
        else. Nothing is repaired or guessed.
    """
    if not _is_meant_for_us(payload, rules):
        return Reason.INVALID_CREDENTIAL
    expires, starts, issued = (_read_seconds(payload.get(name, _MISSING)) for name in ("exp", "nbf", "iat"))
    if type(expires) is not int or starts is None or issued is None:
        return Reason.INVALID_CREDENTIAL
    issued_at = UnixMillis(0) if issued is _MISSING else UnixMillis(cast("int", issued))
    subject, session = payload.get("sub"), payload.get("sid")
    organization = _read_organization(payload, rules.organization)
    surface = _find(payload, rules.surface) if rules.surface is not None else _MISSING
    surface = DEFAULT_SURFACE if surface is _MISSING else surface
    factor = _read_second_factor(payload.get("fva", _MISSING), issued_at)
    chain = read_chain(payload.get("chain"))
    if (
        not (is_safe_id(subject) and is_safe_id(session) and is_surface(surface))
        or organization is None
        or factor is _MISSING
        or chain is None
    ):
        return Reason.INVALID_CREDENTIAL
    credential = VerifiedCredential(
        kind=CredentialKind.SESSION,
        id=cast("str", session),
        account=f"user:{subject}",
        org=organization,
        chain=chain,
        second_factor_at=cast("UnixMillis | None", factor),
        surface=cast("str", surface),
        issued_at=issued_at,
        expires_at=UnixMillis(expires + rules.leeway),
    )
    if now >= expires + rules.leeway:
        return RefusedCredential(credential, Reason.SESSION_EXPIRED)
    if (type(starts) is int and starts > now + rules.leeway) or issued_at > now + rules.leeway:
        return RefusedCredential(credential, Reason.INVALID_CREDENTIAL)
    return credential


def _is_meant_for_us(payload: dict[str, object], rules: ClaimRules) -> bool:
    if payload.get("iss") != rules.issuer:
        return False
    # A configured list that the token does not answer refuses it: an absent claim proves nothing.
    party = payload.get("azp")
    if rules.authorized_parties and not (isinstance(party, str) and party in rules.authorized_parties):
        return False
    audience = payload.get("aud", _MISSING)
    if audience is _MISSING:
        return not rules.audiences
    named = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(name, str) for name in named):
        return False
    return not rules.audiences.isdisjoint(cast("list[str]", named))


def _read_seconds(claim: object) -> UnixMillis | object | None:
    """Read a NumericDate as milliseconds; the marker stays when it is absent, None when it is not whole seconds.

    RFC 7519 would allow fractions; no issuer in use writes them, and a float has many spellings and no exactness.
    """
    if claim is _MISSING:
        return _MISSING
    if type(claim) is not int or not 0 <= claim <= MAX_SECONDS:  # `type`: True is an int to isinstance
        return None
    return UnixMillis(claim * 1000)


def _read_organization(payload: dict[str, object], path: ClaimPath | None) -> str | None:
    if path is not None:
        named = {_find(payload, path)}
    else:
        # Both versions of the claim in one token must agree; which of them another reader takes is not known.
        named = {_find(payload, _V2_ORGANIZATION), _find(payload, _V1_ORGANIZATION)} - {_MISSING}
    if len(named) != 1:
        return None
    name = named.pop()
    if not isinstance(name, str):
        return None
    try:
        return require_name(name, "organization")
    except NamingError:
        return None


def _read_second_factor(claim: object, issued_at: UnixMillis) -> UnixMillis | object | None:
    """Read ``fva``: minutes since the first and the second factor when the token was issued, -1 for none.

    Returns:
        When the second factor was used, None for never, the missing marker when the claim cannot be read.
    """
    if claim is _MISSING:
        return None
    if not isinstance(claim, list) or len(claim) != _FVA_ENTRIES or any(type(age) is not int for age in claim):
        return _MISSING
    age = claim[1]
    if age == -1:
        return None
    used_at = issued_at - age * _MINUTE_MS
    return UnixMillis(used_at) if age >= 0 and used_at > 0 else _MISSING


def _find(payload: dict[str, object], path: ClaimPath) -> object:
    """Return what stands at *path*, the missing marker when nothing does; never an unhashable value."""
    found: object = payload
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return _MISSING
        found = found[name]
    return found if isinstance(found, str) else None
