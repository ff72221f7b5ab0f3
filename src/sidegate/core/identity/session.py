"""When a session is over: absolute, idle, revoked (spec 3.1)."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, assert_never

from sidegate.core.model.decision import Reason
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import hot_value, value
from sidegate.core.policy.document import SessionLimits as Tightening

_ACTIVITY_SHARE: Final = 10
"""Activity is recorded at most once per tenth of the idle limit per session (spec 3.1)."""

_UNTOUCHED: Final[Mapping[str, Tightening]] = {}


@value
class SessionLimits:
    """How long a session may last.

    Attributes:
        idle: Time without recorded activity after which it is over.
        absolute: Time since its start after which it is over, whatever was done with it.
    """

    idle: Millis
    absolute: Millis


@hot_value
class SessionState:
    """What is known of a session, as stored by the server.

    Attributes:
        started: When it was created; for a signed session never later than the token that was seen first.
        last_seen: Last recorded activity of any sidecar.
        revoked: The first instant at which it is invalid; None for never.
    """

    started: UnixMillis
    last_seen: UnixMillis
    revoked: UnixMillis | None = None


class SessionVerdict(StrEnum):
    """Whether a session may still be used."""

    LIVE = "live"
    REVOKED = "revoked"
    ABSOLUTE_TIMEOUT = "absolute_timeout"
    IDLE_TIMEOUT = "idle_timeout"


def judge_session(state: SessionState, limits: SessionLimits, now: UnixMillis) -> SessionVerdict:
    """
    Decide whether a session may still be used at *now*.

    Args:
        state: As stored on the server; the cookie's own times are not trusted.
        limits: A limit is the first millisecond at which the session is over.
        now: Wall clock. May run behind ``last_seen`` by the skew between machines; that counts as no idle time.

    Returns:
        The first verdict that applies, revocation before either timeout.
    """
    if state.revoked is not None and state.revoked <= now:
        return SessionVerdict.REVOKED
    if now - state.started >= limits.absolute:
        return SessionVerdict.ABSOLUTE_TIMEOUT
    if now - state.last_seen >= limits.idle:
        return SessionVerdict.IDLE_TIMEOUT
    return SessionVerdict.LIVE


def reason_of(verdict: SessionVerdict) -> Reason | None:
    """Return why a session with *verdict* is refused; None for a live one."""
    match verdict:
        case SessionVerdict.LIVE:
            return None
        case SessionVerdict.REVOKED:
            return Reason.SESSION_REVOKED
        case SessionVerdict.ABSOLUTE_TIMEOUT:
            return Reason.SESSION_EXPIRED
        case SessionVerdict.IDLE_TIMEOUT:
            return Reason.SESSION_IDLE
        case _:
            assert_never(verdict)


def activity_due(limits: SessionLimits) -> Millis:
    """Return the time after the last recorded activity from which the next is worth recording."""
    return Millis(limits.idle // _ACTIVITY_SHARE)


def limits_on(
    surface: str, configured: Mapping[str, SessionLimits], tightened: Mapping[str, Tightening] = _UNTOUCHED
) -> SessionLimits:
    """Return the limits of a session on *surface*.

    Args:
        surface: From the credential. One that nobody configured gets the strictest limits there are.
        configured: At least one.
        tightened: The organization's own, by surface. They can shorten a limit, never lengthen it (spec 3.1).

    Raises:
        ValueError: *configured* is empty: then nothing would ever end a session.
    """
    if not configured:
        raise ValueError("no session limits are configured; give at least those of surface `web`")
    limits = configured.get(surface)
    own = tightened.get(surface)
    if limits is None:
        limits = strictest(configured.values())
        own = own if own is not None else strictest_tightening(tightened.values())
    if own is None:
        return limits
    return SessionLimits(
        limits.idle if own.idle is None else min(limits.idle, own.idle),
        limits.absolute if own.absolute is None else min(limits.absolute, own.absolute),
    )


def strictest(limits: Iterable[SessionLimits]) -> SessionLimits:
    """Return the shortest of each limit of at least one."""
    idle, absolute = zip(*((each.idle, each.absolute) for each in limits), strict=True)
    return SessionLimits(min(idle), min(absolute))


def strictest_tightening(limits: Iterable[Tightening]) -> Tightening:
    """Return the shortest of each limit, None where none is given."""
    given = tuple(limits)
    return Tightening(
        min((each.idle for each in given if each.idle is not None), default=None),
        min((each.absolute for each in given if each.absolute is not None), default=None),
    )
