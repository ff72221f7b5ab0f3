"""Who asks, as verified, and what is put to the engine (spec 1.4, 1.5, 1.7)."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from sidegate.core.model.authority import Authority, Mask
from sidegate.core.model.decision import Reason
from sidegate.core.model.target import Scope, Target
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import hot_value, value

MAX_LINKS: Final = 8
"""Links of a delegation chain (spec 1.7)."""

Address = IPv4Address | IPv6Address


class AccountState(StrEnum):
    """State of an account (spec 1.4)."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEPROVISIONED = "deprovisioned"


class CredentialKind(StrEnum):
    """What was presented."""

    SESSION = "session"
    API_KEY = "api_key"


@value
class LinkDeny:
    """Authorities that a link withholds on a scope."""

    authorities: Mask
    on: Scope


@value
class Link:
    """One agent of a delegation chain with its own restrictions (spec 1.7).

    Attributes:
        id: Id of the link; a policy names it ``agent:ID``.
        allow: Authorities it may use; None for all.
        scopes: Scopes it may use; None for all.
        deny: What it may not do.
        expires_at: The first instant at which it is over; None for never.
    """

    id: str
    allow: Mask | None = None
    scopes: tuple[Scope, ...] | None = None
    deny: tuple[LinkDeny, ...] = ()
    expires_at: UnixMillis | None = None


@value
class VerifiedCredential:
    """What verification proved. Everything later reads this and nothing else of the request (spec 3).

    Attributes:
        kind: Session or API key.
        id: Session id or key id.
        account: ``user:ID`` or ``service:ID``.
        org: The organization it acts in.
        authorities: The credential's own allow-list; None for no restriction.
        scopes: The credential's own scopes; None for no restriction.
        chain: Delegation chain, outermost link first.
        second_factor_at: When a second factor was last used in this session; None for never.
        surface: ``web``, ``mobile``, ``admin``; never from a header that the client sets.
        issued_at: When it was issued, for revocation of all that is older.
        expires_at: The first instant at which it is over; None for never.
        single_use: It must be consumed after the decision and before anything is forwarded (spec 3.2).
        key_digest: SHA-256 of an API key, by which its record is found again; None for a session.
    """

    kind: CredentialKind
    id: str
    account: str
    org: str
    authorities: Mask | None = None
    scopes: tuple[Scope, ...] | None = None
    chain: tuple[Link, ...] = ()
    second_factor_at: UnixMillis | None = None
    surface: str = "web"
    issued_at: UnixMillis = UnixMillis(0)
    expires_at: UnixMillis | None = None
    single_use: bool = False
    key_digest: bytes | None = None


@hot_value
class RefusedCredential:
    """A credential that is known and was proved, and may not be used: expired, idle, revoked, from elsewhere.

    Attributes:
        credential: Whose it is, so that the record of the refusal can say so. Nothing is decided by it.
        reason: Why it may not be used.
    """

    credential: VerifiedCredential
    reason: Reason


@hot_value
class Query:
    """One question to the engine: may this credential's holder exercise *authority* on *target*?

    Attributes:
        credential: Who asks, as verified.
        authority: What is to be exercised.
        target: On what.
        source: The client's address; None when unknown (it is then in no network).
        approved: The request carries a valid approval for exactly this (spec 4.1).
    """

    credential: VerifiedCredential
    authority: Authority
    target: Target
    source: Address | None = None
    approved: bool = False
