"""Opaque sessions: made, listed and ended (spec 3.1)."""

from hashlib import sha256
from typing import Final

from sidegate.core.identity.api_key import ID_CHARS
from sidegate.core.identity.encoding import decode_base64url, encode_base64url
from sidegate.core.identity.names import is_safe_id, is_surface
from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.errors import NamingError
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


def revoke(registry: Registry, kind: RevokedKind, name: str, now: UnixMillis) -> None:
    """Invalidate something for good, whether it is remembered or not: its token may be seen later (spec 3.1).

    Args:
        registry: Where it is recorded.
        kind: What *name* names. A session: logout. An account: password change, suspension, leaver; all its sessions
            that began until *now*. A key, as :func:`sidegate.credentials.events.key_name` says: exposure. A link: it
            and everything below it. An organization: all its sessions that began and keys that were made until *now*.
        name: Of it.
        now: Wall clock.

    Raises:
        ValueError: *name* cannot be one.
        DependencyError: It could not be recorded.
    """
    if not _CAN_BE[kind](name):
        raise ValueError(f"`{name}` cannot be the id of {_ONE[kind]}; {_WRITTEN_LIKE[kind]}")
    registry.revoke(Revoked(kind, name, now))


def revoke_session(registry: Registry, session_id: str, now: UnixMillis) -> None:
    """End a session; see :func:`revoke`."""
    revoke(registry, RevokedKind.SESSION, session_id, now)


def revoke_account(registry: Registry, account: str, now: UnixMillis) -> None:
    """End every session of *account* that began until *now*; see :func:`revoke`."""
    revoke(registry, RevokedKind.ACCOUNT, account, now)


def _is_account(name: str) -> bool:
    kind, _, local = name.partition(":")
    return kind in {"user", "service"} and is_safe_id(local)


def _is_org(name: str) -> bool:
    try:
        require_name(name, "organization")
    except NamingError:
        return False
    return True


def _is_key(name: str) -> bool:
    org, _, key_id = name.rpartition("/")
    return _is_org(org) and len(key_id) == ID_CHARS and key_id.isascii() and key_id.isalnum()


_CAN_BE: Final = {
    RevokedKind.SESSION: is_safe_id,
    RevokedKind.ACCOUNT: _is_account,
    RevokedKind.KEY: _is_key,
    RevokedKind.LINK: is_safe_id,
    RevokedKind.ORGANIZATION: _is_org,
}
_ONE: Final = {
    RevokedKind.SESSION: "a session",
    RevokedKind.ACCOUNT: "an account",
    RevokedKind.KEY: "a key",
    RevokedKind.LINK: "a link",
    RevokedKind.ORGANIZATION: "an organization",
}
_WRITTEN_LIKE: Final = {
    RevokedKind.SESSION: "take it as `session list` shows it",
    RevokedKind.ACCOUNT: "write user:ana or service:ci",
    RevokedKind.KEY: "write the organization, a slash and the 16 letters and digits of the key's id",
    RevokedKind.LINK: "take it from the actor's chain in an audit record",
    RevokedKind.ORGANIZATION: "write its name as the policy has it",
}
