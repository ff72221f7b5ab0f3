"""Bounds of the embedded state; how it behaves otherwise is in the conformance tests."""

import pytest

from sidegate.core.model.errors import InvariantError
from sidegate.core.model.units import UnixMillis
from sidegate.credentials import state
from sidegate.credentials.events import Revoked, RevokedKind, SessionSeen
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.state import FollowedState

T = UnixMillis(1_800_000_000_000)


def seen(session_id: str, offset: int) -> SessionSeen:
    """Return activity."""
    return SessionSeen(session_id, "user:ana", "acme", "web", T, UnixMillis(T + offset))


def test_an_event_that_cannot_be_taken_in() -> None:
    """Whatever breaks while revocations are taken in, the rest of them is lost: nothing is relied on from then on."""
    hub = MemoryHub()
    worker, other = FollowedState(hub.open()), FollowedState(hub.open())

    def break_down(_event: Revoked) -> None:
        raise InvariantError("a listener broke")

    worker.subscribe(break_down)
    for number in range(2):
        other.revoke(Revoked(RevokedKind.SESSION, f"s{number}", T))
    before = worker.version
    with pytest.raises(InvariantError):
        worker.poll()
    assert worker.failure is not None
    assert "restart sidegate" in worker.failure
    assert worker.version > before
    worker.poll()
    assert worker.failure is not None


def test_activity_that_cannot_be_written_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written, no more than so many sessions wait; then activity does not count, and a session
    that is new is known all the same."""
    monkeypatch.setattr(state, "MAX_PENDING", 1)
    hub = MemoryHub()
    worker = FollowedState(hub.open())
    hub.held = True
    times = [
        worker.record_activity(each).last_seen - T
        for each in (seen("s1", 0), seen("s1", 5), seen("s2", 6), seen("s2", 7))
    ]
    assert times == [0, 0, 6, 6]
    hub.held = False
    worker.poll()
    assert [seen("s1", 0), seen("s2", 6)] == hub.events
