"""What happens to sessions and keys, as events that every worker applies, and their written form.

Applying an event twice, or two events in the other order, gives the same state: a follower may read a stretch again.
"""

from enum import StrEnum
from typing import Any, Final, assert_never
from zlib import crc32

import orjson

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value

_CHECK_CHARS: Final = 8


class RevokedKind(StrEnum):
    """What can be invalidated (spec 3.1)."""

    SESSION = "session"
    ACCOUNT = "account"
    KEY = "key"
    LINK = "link"
    ORGANIZATION = "organization"


@value
class SessionCreated:
    """An opaque session began.

    Attributes:
        id: SHA-256 of the cookie's value, hexadecimal; the value itself is stored nowhere.
        account: Whose it is.
        org: The organization it acts in.
        surface: ``web``, ``mobile``, ``admin``.
        limits: Its own limits.
        second_factor_at: When a second factor was used; None for never.
        at: When it was created.
    """

    id: str
    account: str
    org: str
    surface: str
    limits: SessionLimits
    second_factor_at: UnixMillis | None
    at: UnixMillis


@value
class SessionSeen:
    """A session was used; recorded at most once per tenth of its idle limit.

    Attributes:
        id: Session id.
        account: Whose it is.
        org: The organization it acts in.
        surface: As the credential says.
        started: When it began as far as is known.
        at: When it was used.
    """

    id: str
    account: str
    org: str
    surface: str
    started: UnixMillis
    at: UnixMillis


@value
class Revoked:
    """Something was invalidated.

    Attributes:
        kind: What.
        id: Its id; an account as ``user:ID``, a key as :func:`key_name` says.
        at: When. For an account and an organization: what was issued then or before is over, later things are not.
    """

    kind: RevokedKind
    id: str
    at: UnixMillis


@value
class KeyConsumed:
    """A single-use key was used.

    Attributes:
        id: As :func:`key_name` says.
        at: When.
    """

    id: str
    at: UnixMillis


@value
class KeySeen:
    """An API key was used; recorded once an hour at most, for people.

    Attributes:
        id: As :func:`key_name` says.
        at: When.
    """

    id: str
    at: UnixMillis


Event = SessionCreated | SessionSeen | Revoked | KeyConsumed | KeySeen


def key_name(org: str, key_id: str) -> str:
    """Return what a key is called in events, e.g. ``acme/4fQz0123456789AB``.

    Key ids are public and chosen by each organization: one that takes another's must not end that one's key.
    """
    return f"{org}/{key_id}"


def encode_event(event: Event) -> bytes:
    """Write *event* as one line: CRC-32 of the rest in hexadecimal, a space, JSON, a newline."""
    return seal(_members_of(event))


def decode_event(line: bytes) -> Event:
    """Read one line without its newline.

    Raises:
        IntegrityError: It is not what was written, or was written by a later version.
    """
    members = unseal(line)
    try:
        return _event_of(members)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"a line of the state journal says {members.get('e')!r}, which this version does not understand; "
            "run the version that wrote it"
        ) from error


def seal(members: dict[str, Any]) -> bytes:
    """Write *members* as a checked line."""
    body = orjson.dumps(members)
    return b"%08x %s\n" % (crc32(body), body)


def unseal(line: bytes) -> dict[str, Any]:
    """Read a checked line without its newline.

    Raises:
        IntegrityError: It is not what was written.
    """
    body = line[_CHECK_CHARS + 1 :]
    if line[: _CHECK_CHARS + 1] == b"%08x " % crc32(body):
        members = orjson.loads(body)
        if isinstance(members, dict):
            return members
    raise IntegrityError(
        "a line of the state journal is not what was written; restore the file, or move it away knowing "
        "that revocations and used-up keys in it are forgotten"
    )


def _members_of(event: Event) -> dict[str, Any]:
    match event:
        case SessionCreated():
            return {
                "e": "session_created",
                "id": event.id,
                "account": event.account,
                "org": event.org,
                "surface": event.surface,
                "idle": event.limits.idle,
                "absolute": event.limits.absolute,
                "second_factor_at": event.second_factor_at,
                "at": event.at,
            }
        case SessionSeen():
            return {
                "e": "session_seen",
                "id": event.id,
                "account": event.account,
                "org": event.org,
                "surface": event.surface,
                "started": event.started,
                "at": event.at,
            }
        case Revoked():
            return {"e": "revoked", "kind": event.kind, "id": event.id, "at": event.at}
        case KeyConsumed():
            return {"e": "key_consumed", "id": event.id, "at": event.at}
        case KeySeen():
            return {"e": "key_seen", "id": event.id, "at": event.at}
        case _:
            assert_never(event)


def _event_of(members: dict[str, Any]) -> Event:
    match members["e"]:
        case "session_created":
            return SessionCreated(
                members["id"],
                members["account"],
                members["org"],
                members["surface"],
                SessionLimits(Millis(members["idle"]), Millis(members["absolute"])),
                members["second_factor_at"],
                members["at"],
            )
        case "session_seen":
            return SessionSeen(
                members["id"],
                members["account"],
                members["org"],
                members["surface"],
                members["started"],
                members["at"],
            )
        case "revoked":
            return Revoked(RevokedKind(members["kind"]), members["id"], members["at"])
        case "key_consumed":
            return KeyConsumed(members["id"], members["at"])
        case "key_seen":
            return KeySeen(members["id"], members["at"])
        case other:
            raise ValueError(f"unknown event {other!r}")
