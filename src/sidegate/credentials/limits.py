"""The limits that a session has in the end: of its surface, its organization and its own (spec 3.1)."""

from collections.abc import Mapping
from typing import Final

from sidegate.core.identity.session import SessionLimits, limits_on, strictest
from sidegate.core.policy.document import SessionLimits as Tightening
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.table import SessionRecord

_UNTOUCHED: Final[Mapping[str, Tightening]] = {}


def effective_limits(
    surface: str, org: str, record: SessionRecord | None, surfaces: Mapping[str, SessionLimits], snapshot: Snapshot
) -> SessionLimits:
    """Return the limits of a session of *org* on *surface*.

    Args:
        surface: From the credential.
        org: The organization it acts in.
        record: What is known of the session; an opaque one has limits of its own.
        surfaces: As configured, at least one.
        snapshot: Holds what the organization tightens.
    """
    organization = snapshot.organizations.get(org)
    limits = limits_on(surface, surfaces, organization.sessions if organization is not None else _UNTOUCHED)
    if record is None or record.limits is None:
        return limits
    return strictest((limits, record.limits))
