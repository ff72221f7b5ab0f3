"""How long things are remembered."""

import pytest

from sidegate.core.identity.session import SessionState
from sidegate.core.model.units import UnixMillis
from sidegate.credentials.events import Event, KeyConsumed, Revoked, RevokedKind, SessionSeen
from sidegate.credentials.table import REVOCATION_RETENTION, SESSION_RETENTION, StateTable

T = UnixMillis(1_800_000_000_000)
SEEN = SessionSeen("s1", "user:ana", "acme", "web", T, T)


@pytest.mark.parametrize(
    ("event", "last"),
    [
        pytest.param(SEEN, SESSION_RETENTION, id="session"),
        pytest.param(Revoked(RevokedKind.SESSION, "s1", T), REVOCATION_RETENTION, id="revoked-session"),
        pytest.param(Revoked(RevokedKind.LINK, "ag_1", T), REVOCATION_RETENTION, id="revoked-link"),
        pytest.param(Revoked(RevokedKind.KEY, "acme/k1", T), None, id="revoked-key-for-good"),
        pytest.param(Revoked(RevokedKind.ACCOUNT, "user:ana", T), None, id="revoked-account-for-good"),
        pytest.param(Revoked(RevokedKind.ORGANIZATION, "acme", T), None, id="revoked-organization-for-good"),
        pytest.param(KeyConsumed("acme/k1", T), None, id="consumed-key-for-good"),
    ],
)
@pytest.mark.parametrize("how", ["written", "pruned"])
def test_retention(event: Event, last: int | None, how: str) -> None:
    """The retention is the first millisecond at which a thing is forgotten."""
    for passed, kept in ((10**13, last is None), *(() if last is None else ((last - 1, True), (last, False)))):
        table = StateTable()
        table.apply(event)
        now = UnixMillis(T + passed)
        if how == "pruned":
            table.prune(now)
            now = T
        assert kept == (event in set(table.events(now)))


@pytest.mark.parametrize(
    ("revoked", "kept"),
    [
        pytest.param(Revoked(RevokedKind.ACCOUNT, "user:ana", T), True, id="fell-with-its-account"),
        pytest.param(Revoked(RevokedKind.ORGANIZATION, "acme", T), True, id="fell-with-its-organization"),
        pytest.param(Revoked(RevokedKind.ACCOUNT, "user:ana", UnixMillis(T - 1)), False, id="begun-after-that"),
        pytest.param(Revoked(RevokedKind.ACCOUNT, "user:bo", T), False, id="another-account"),
    ],
)
def test_fallen_session_stays_refused(revoked: Revoked, kept: bool) -> None:
    """When the record of a session that fell with its account goes, a revocation of its own takes its place."""
    table = StateTable()
    table.apply(SEEN)
    table.apply(revoked)
    now = UnixMillis(T + SESSION_RETENTION)
    table.prune(now)
    assert table.sessions == {}
    assert kept == (Revoked(RevokedKind.SESSION, "s1", now) in set(table.events(now)))


def test_revoked_session_keeps_its_instant() -> None:
    """A session that was revoked itself is not revoked anew when its record goes."""
    table = StateTable()
    for event in (SEEN, Revoked(RevokedKind.ACCOUNT, "user:ana", T), Revoked(RevokedKind.SESSION, "s1", T)):
        table.apply(event)
    table.prune(UnixMillis(T + SESSION_RETENTION))
    assert table.is_revoked(RevokedKind.SESSION, "s1")
    assert Revoked(RevokedKind.SESSION, "s1", T) in set(table.events(T))


def test_state_of_a_record() -> None:
    """What a record says to the rules of spec 3.1: its start and its last activity; revocation is told apart."""
    table = StateTable()
    table.apply(SEEN)
    table.apply(SessionSeen("s1", "user:ana", "acme", "web", UnixMillis(T - 5), UnixMillis(T + 7)))
    assert table.sessions["s1"].state() == SessionState(UnixMillis(T - 5), UnixMillis(T + 7))
