"""Bounds of the embedded state; how it behaves otherwise is in the conformance tests."""

import pytest

from sidegate.core.model.units import UnixMillis
from sidegate.credentials import state
from sidegate.credentials.events import SessionSeen
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.state import FollowedState

T = UnixMillis(1_800_000_000_000)


def seen(session_id: str, offset: int) -> SessionSeen:
    """Return activity."""
    return SessionSeen(session_id, "user:ana", "acme", "web", T, UnixMillis(T + offset))


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
