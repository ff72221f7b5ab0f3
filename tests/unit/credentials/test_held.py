"""What is held of facts, and what each thing that is heard does to it."""

import pytest

from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind, SessionSeen
from sidegate.credentials.held import HeldFacts, KnownFact
from sidegate.credentials.ports import Fact
from sidegate.credentials.remembered import UsedUp
from sidegate.credentials.table import SessionRecord
from sidegate.telemetry.clock import ManualClock

T = UnixMillis(1_800_000_000_000)
SESSION = (RevokedKind.SESSION, "s1")
KEY = (RevokedKind.KEY, "acme/k1")
REVOKED = Revoked(RevokedKind.SESSION, "s1", T)
SINGLE_USE = VerifiedCredential(
    CredentialKind.API_KEY, "k1", "service:ci", "acme", issued_at=T, single_use=True, expires_at=UnixMillis(T + 9)
)


class Noted:
    """Notes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def fact_changed(self, fact: Fact) -> None:
        """Note it."""
        self.told.append(fact)

    def revoked(self, event: Revoked) -> None:
        """Note it."""
        self.told.append(event)

    def used_up(self, used: UsedUp) -> None:
        """Note it."""
        self.told.append(used)

    def all_forgotten(self) -> None:
        """Note it."""
        self.told.append("forgotten")


class Holding:
    """Held facts with a clock and a count of how often credentials have to be looked at again."""

    def __init__(self) -> None:
        self.outdated = 0
        self.clock = ManualClock(T)
        self.held = HeldFacts(self.clock, self._outdate)
        self.noted = Noted()
        self.held.notes = self.noted

    def _outdate(self) -> None:
        self.outdated += 1


@pytest.fixture
def holding() -> Holding:
    """Return one that holds nothing."""
    return Holding()


def test_a_revocation_outlives_what_is_fetched(holding: Holding) -> None:
    """What Redis says without it, because it lost it or was asked before, does not bring anything to life."""
    holding.held.revoke(REVOKED)
    holding.held.learn(SESSION, KnownFact(None))
    assert holding.held.is_revoked(RevokedKind.SESSION, "s1", None)
    holding.held.forget()
    assert not holding.held.is_held(SESSION)
    holding.held.learn(SESSION, KnownFact(None))
    assert holding.held.is_revoked(RevokedKind.SESSION, "s1", None)


def test_a_revocation_that_came_meanwhile(holding: Holding) -> None:
    """Counts, though the answer does not have it; the later instant of several does."""
    holding.held.learn((RevokedKind.ACCOUNT, "user:ana"), KnownFact(T), UnixMillis(T + 3))
    assert holding.held.is_revoked(RevokedKind.ACCOUNT, "user:ana", UnixMillis(T + 3))
    assert not holding.held.is_revoked(RevokedKind.ACCOUNT, "user:ana", UnixMillis(T + 4))


def test_a_use_outlives_what_is_fetched(holding: Holding) -> None:
    """A key that was used up here stays so, whatever Redis has forgotten."""
    holding.held.learn(KEY, KnownFact(None))
    assert not holding.held.is_consumed("acme/k1")
    holding.held.use_up(SINGLE_USE, T)
    assert holding.held.is_consumed("acme/k1")
    holding.held.forget()
    holding.held.learn(KEY, KnownFact(None))
    assert holding.held.is_consumed("acme/k1")
    assert UsedUp("acme/k1", T, UnixMillis(T + 9)) in holding.noted.told


@pytest.mark.parametrize(
    ("known", "noted"),
    [
        pytest.param(KnownFact(T), Revoked(RevokedKind.KEY, "acme/k1", T), id="revoked"),
        pytest.param(KnownFact(None, consumed=True), UsedUp("acme/k1", T), id="used"),
    ],
)
def test_what_others_did_is_remembered(holding: Holding, known: KnownFact, noted: object) -> None:
    """So that it can be written again by whoever only read it."""
    holding.held.learn(KEY, known)
    assert noted in holding.noted.told


def test_what_can_refuse_is_told(holding: Holding) -> None:
    """Credentials are looked at again after whatever may refuse them, and after nothing else."""
    holding.held.learn(SESSION, KnownFact(None, session=SessionRecord("s1", "user:ana", "acme", "web", T, T)))
    assert holding.outdated == 0
    holding.held.see(SessionSeen("s1", "user:ana", "acme", "web", T, UnixMillis(T + 1)))
    assert holding.outdated == 0
    holding.held.see_recorded("s1", UnixMillis(T - 1), UnixMillis(T + 2))
    assert holding.outdated == 1
    holding.held.revoke(REVOKED)
    assert holding.outdated == 2
    holding.held.revoke(REVOKED)
    assert holding.outdated == 2
    holding.held.forget()
    assert holding.outdated == 3


def test_a_session_that_is_not_there(holding: Holding) -> None:
    """Is none for a moment, then is asked for again; a revocation of it counts meanwhile."""
    holding.held.learn(SESSION, KnownFact(None))
    assert holding.held.is_held(SESSION)
    assert not holding.held.is_revoked(RevokedKind.SESSION, "s1", None)
    holding.held.revoke(REVOKED)
    assert holding.held.is_revoked(RevokedKind.SESSION, "s1", None)
    holding.held.learn((RevokedKind.SESSION, "s2"), KnownFact(None))
    holding.clock.advance(Millis(2000))
    assert not holding.held.is_held((RevokedKind.SESSION, "s2"))


def test_what_is_not_held_is_revoked(holding: Holding) -> None:
    """Nobody may be judged by what was not fetched; if it happens it fails closed."""
    assert holding.held.is_revoked(RevokedKind.ACCOUNT, "user:ana", T)
    assert holding.held.is_consumed("acme/k1")


def test_a_session_that_ended_in_redis(holding: Holding) -> None:
    """Has to be fetched again, and whoever rests on it looks."""
    holding.held.learn(SESSION, KnownFact(None, session=SessionRecord("s1", "user:ana", "acme", "web", T, T)))
    holding.held.end("s1")
    assert (holding.held.is_held(SESSION), holding.outdated) == (False, 1)


def test_everything_is_noted(holding: Holding) -> None:
    """Whoever keeps it is told each thing, news once."""
    holding.held.learn(KEY, KnownFact(None))
    for _ in range(2):
        holding.held.revoke(REVOKED)
    holding.held.forget()
    assert holding.noted.told == [KEY, REVOKED, "forgotten"]
