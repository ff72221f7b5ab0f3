"""Conditions in the form that is evaluated: what is unmet, and which unmet condition is told (spec 1.5)."""

from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import Address, Query
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.document import Conditions, Network

UNMET_MFA: Final = 1
UNMET_SURFACE: Final = 2
UNMET_SOURCE: Final = 4

# Fewest unmet conditions first, ties by the order mfa, surface, source (spec 1.5).
_PREFERENCE: Final = (
    UNMET_MFA,
    UNMET_SURFACE,
    UNMET_SOURCE,
    UNMET_MFA | UNMET_SURFACE,
    UNMET_MFA | UNMET_SOURCE,
    UNMET_SURFACE | UNMET_SOURCE,
    UNMET_MFA | UNMET_SURFACE | UNMET_SOURCE,
)
RANK: Final = {unmet: rank for rank, unmet in enumerate(_PREFERENCE)}
"""The lowest rank is the one that is told."""


@value
class Requirement:
    """Everything that must be met at once: a binding's own conditions and its role's.

    Attributes:
        mfa: A second factor is needed.
        surfaces: The surface must be one of these; None for any.
        sources: The address must lie in one network of each list.
    """

    mfa: bool
    surfaces: frozenset[str] | None
    sources: tuple[tuple[Network, ...], ...]


def requirement_of(*conditions: Conditions, implied_mfa: bool = False) -> Requirement | None:
    """Fold *conditions* into one requirement; None when nothing is required."""
    mfa = implied_mfa
    surfaces: frozenset[str] | None = None
    sources: list[tuple[Network, ...]] = []
    for condition in conditions:
        mfa = mfa or condition.mfa is True
        if condition.surfaces is not None:
            named = frozenset(condition.surfaces)
            surfaces = named if surfaces is None else surfaces & named
        if condition.sources is not None:
            sources.append(condition.sources)
    if not mfa and surfaces is None and not sources:
        return None
    return Requirement(mfa, surfaces, tuple(sources))


def unmet_by(requirement: Requirement, query: Query, now: UnixMillis, mfa_max_age: Millis) -> int:
    """Return which conditions *query* does not meet at *now*, as ``UNMET_*`` bits; 0 when all are met.

    A second factor that the clock of another machine puts ahead of *now* counts as just used.
    """
    unmet = 0
    credential = query.credential
    if requirement.mfa:
        used = credential.second_factor_at
        if used is None or now - used > mfa_max_age:
            unmet = UNMET_MFA
    if requirement.surfaces is not None and credential.surface not in requirement.surfaces:
        unmet |= UNMET_SURFACE
    if requirement.sources and not _is_inside_each(query.source, requirement.sources):
        unmet |= UNMET_SOURCE
    return unmet


def reason_of(unmet: int) -> Reason:
    """Return the reason that tells of *unmet*, which is not 0."""
    if unmet & UNMET_MFA:
        return Reason.MFA_REQUIRED
    if unmet & UNMET_SURFACE:
        return Reason.SURFACE
    return Reason.SOURCE_ADDRESS


def _is_inside_each(address: Address | None, lists: tuple[tuple[Network, ...], ...]) -> bool:
    if address is None:
        return False
    # A dual-stack listener shows an IPv4 client as ::ffff:a.b.c.d; it is the same address (RFC 4291 section 2.5.5.2).
    mapped = address.ipv4_mapped if address.version == 6 else None  # noqa: PLR2004  (IP version)
    plain = mapped or address
    return all(any(plain in network or address in network for network in networks) for networks in lists)
