"""When a session is over (spec 3.1)."""

import pytest

from sidegate.core.identity.session import (
    SessionLimits,
    SessionState,
    SessionVerdict,
    activity_due,
    judge_session,
    limits_on,
    reason_of,
)
from sidegate.core.model.decision import Reason
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.document import SessionLimits as Tightening

LIMITS = SessionLimits(idle=Millis(10), absolute=Millis(100))


def limits(idle: int, absolute: int) -> SessionLimits:
    """Shorten the spelling."""
    return SessionLimits(Millis(idle), Millis(absolute))


def own(idle: int | None, absolute: int | None) -> Tightening:
    """Shorten the spelling."""
    return Tightening(None if idle is None else Millis(idle), None if absolute is None else Millis(absolute))


@pytest.mark.parametrize(
    ("started", "last_seen", "revoked", "now", "verdict"),
    [
        pytest.param(0, 0, None, 9, SessionVerdict.LIVE, id="last-idle-millisecond"),
        pytest.param(0, 0, None, 10, SessionVerdict.IDLE_TIMEOUT, id="at-idle-limit"),
        pytest.param(0, 95, None, 99, SessionVerdict.LIVE, id="last-absolute-millisecond"),
        pytest.param(0, 99, None, 100, SessionVerdict.ABSOLUTE_TIMEOUT, id="at-absolute-limit"),
        pytest.param(0, 0, None, 100, SessionVerdict.ABSOLUTE_TIMEOUT, id="absolute-before-idle"),
        pytest.param(0, 99, 98, 100, SessionVerdict.REVOKED, id="revoked-before-absolute"),
        pytest.param(0, 20, 20, 20, SessionVerdict.REVOKED, id="at-revocation"),
        pytest.param(0, 20, 21, 20, SessionVerdict.LIVE, id="before-revocation"),
        pytest.param(0, 50, None, 45, SessionVerdict.LIVE, id="seen-by-a-clock-ahead"),
        pytest.param(50, 50, None, 45, SessionVerdict.LIVE, id="started-by-a-clock-ahead"),
    ],
)
def test_judge_session(started: int, last_seen: int, revoked: int | None, now: int, verdict: SessionVerdict) -> None:
    """A limit is the first millisecond at which the session is over; revocation counts before either timeout."""
    state = SessionState(UnixMillis(started), UnixMillis(last_seen), None if revoked is None else UnixMillis(revoked))
    assert verdict == judge_session(state, LIMITS, UnixMillis(now))


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (SessionVerdict.LIVE, None),
        (SessionVerdict.REVOKED, Reason.SESSION_REVOKED),
        (SessionVerdict.ABSOLUTE_TIMEOUT, Reason.SESSION_EXPIRED),
        (SessionVerdict.IDLE_TIMEOUT, Reason.SESSION_IDLE),
    ],
)
def test_reason_of(verdict: SessionVerdict, reason: Reason | None) -> None:
    """Each verdict has its reason (spec 6.5)."""
    assert reason == reason_of(verdict)


@pytest.mark.parametrize(("idle", "due"), [(1_800_000, 180_000), (10, 1), (9, 0)])
def test_activity_due(idle: int, due: int) -> None:
    """Activity is recorded at most once per tenth of the idle limit (spec 3.1)."""
    assert due == activity_due(limits(idle, 1))


CONFIGURED = {"web": limits(30, 300), "admin": limits(10, 400), "mobile": limits(60, 200)}


@pytest.mark.parametrize(
    ("surface", "tightened", "expected"),
    [
        pytest.param("web", {}, limits(30, 300), id="as-configured"),
        pytest.param("web", {"web": own(20, 200)}, limits(20, 200), id="tightened"),
        pytest.param("web", {"web": own(40, 400)}, limits(30, 300), id="never-loosened"),
        pytest.param("web", {"web": own(20, None)}, limits(20, 300), id="only-idle"),
        pytest.param("web", {"web": own(None, 20)}, limits(30, 20), id="only-absolute"),
        pytest.param("web", {"admin": own(1, 1)}, limits(30, 300), id="of-another-surface"),
        pytest.param("kiosk", {}, limits(10, 200), id="unknown-surface-gets-the-strictest"),
        pytest.param("kiosk", {"web": own(5, None), "admin": own(7, 50)}, limits(5, 50), id="unknown-and-tightened"),
        pytest.param("kiosk", {"kiosk": own(3, 400)}, limits(3, 200), id="tightened-by-its-own-name"),
    ],
)
def test_limits_on(surface: str, tightened: dict[str, Tightening], expected: SessionLimits) -> None:
    """Per surface, tightened per organization and never loosened; an unknown surface gets the strictest (spec 3.1)."""
    assert expected == limits_on(surface, CONFIGURED, tightened)


def test_limits_on_nothing() -> None:
    """Without limits no session could end; that is refused."""
    with pytest.raises(ValueError, match="no session limits are configured"):
        limits_on("web", {})
