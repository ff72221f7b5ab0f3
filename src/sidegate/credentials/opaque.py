"""Opaque sessions: made, listed and ended (spec 3.1)."""

from hashlib import sha256
from typing import Final

from sidegate.core.identity.encoding import decode_base64url, encode_base64url
from sidegate.core.identity.names import is_safe_id, is_surface
from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.target import require_name
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.credentials.events import Revoked, RevokedKind, SessionCreated
from sidegate.credentials.ports import Registry
from sidegate.credentials.table import SessionRecord

SESSION_BYTES: Final = 32
SESSION_CHARS: Final = 43
"""32 bytes in unpadded base64url."""


@value
class NewSession:
    """What is to be created.

    Attributes:
        account: ``user:ID`` or ``service:ID``.
        org: The organization it acts in.
        limits: Its own; the surface's and the organization's hold as well, the strictest counts.
        surface: ``web``, ``mobile``, ``admin``.
        second_factor_at: When a second factor was used; None for never.
    """

    account: str
    org: str
    limits: SessionLimits
    surface: str = "web"
    second_factor_at: UnixMillis | None = None


def digest_session(cookie: bytes) -> str | None:
    """Return the id of the session whose cookie value is *cookie*: its SHA-256 in hexadecimal.

    Returns:
        None when it is not 256 bits in canonical base64url, so that nothing needs to be looked up.
    """
    if len(cookie) != SESSION_CHARS or decode_base64url(cookie) is None:
        return None
    return sha256(cookie).hexdigest()


def create_session(registry: Registry, new: NewSession, random_bytes: bytes, now: UnixMillis) -> bytes:
    """Create a session.

    Args:
        registry: Where it is recorded.
        new: Whose it is.
        random_bytes: 32 bytes from the system's random source.
        now: Wall clock.

    Returns:
        The cookie's value. It is stored nowhere and cannot be shown again.

    Raises:
        ValueError: *new* holds something that no credential may hold, or the bytes are not 32.
        DependencyError: It could not be recorded.
    """
    if len(random_bytes) != SESSION_BYTES:
        raise ValueError(f"a session needs {SESSION_BYTES} random bytes, not {len(random_bytes)}")
    kind, colon, name = new.account.partition(":")
    if not (colon and kind in {"user", "service"} and is_safe_id(name)):
        raise ValueError(f"account `{new.account}` is not written like user:ana or service:ci")
    require_name(new.org, "organization")
    if not is_surface(new.surface):
        raise ValueError(f"surface `{new.surface}` is not a name; use web, mobile or admin")
    if new.limits.idle <= 0 or new.limits.absolute <= 0:
        raise ValueError("a session's limits must be at least 1 ms; it would be over at once")
    cookie = encode_base64url(random_bytes)
    registry.create_session(
        SessionCreated(
            sha256(cookie).hexdigest(),
            new.account,
            new.org,
            new.surface,
            new.limits,
            new.second_factor_at,
            now,
        )
    )
    return cookie


def list_sessions(registry: Registry, account: str | None = None, org: str | None = None) -> tuple[SessionRecord, ...]:
    """Return the remembered sessions, signed and opaque, of *account* and *org* where given, oldest first.

    Also those that are over; :func:`judge_session` and :meth:`Registry.refusal_of` tell.
    """
    return tuple(sorted(registry.list_sessions(account, org), key=lambda record: (record.started, record.id)))


def revoke_session(registry: Registry, session_id: str, now: UnixMillis) -> None:
    """End a session for good, whether it is remembered or not: its token may be seen later.

    Raises:
        ValueError: *session_id* cannot be one.
        DependencyError: It could not be recorded.
    """
    _revoke(registry, RevokedKind.SESSION, session_id, now)


def revoke_account(registry: Registry, account: str, now: UnixMillis) -> None:
    """End every session of *account* that was issued until *now*: password change, suspension, leaver.

    Raises:
        ValueError: *account* cannot be one.
        DependencyError: It could not be recorded.
    """
    _revoke(registry, RevokedKind.ACCOUNT, account, now)


def _revoke(registry: Registry, kind: RevokedKind, revoked_id: str, now: UnixMillis) -> None:
    if not is_safe_id(revoked_id.partition(":")[2] if kind is RevokedKind.ACCOUNT else revoked_id):
        raise ValueError(f"`{revoked_id}` cannot be the id of a {kind}; take it as `session list` shows it")
    registry.revoke(Revoked(kind, revoked_id, now))
