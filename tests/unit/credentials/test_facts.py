"""What is known of facts, in bounded memory."""

from sidegate.core.model.units import UnixMillis
from sidegate.credentials.events import RevokedKind
from sidegate.credentials.facts import FactTable

T = UnixMillis(1_800_000_000_000)


def test_unknown() -> None:
    """Nothing is known of a fact that nobody held."""
    assert FactTable().find((RevokedKind.ACCOUNT, "user:ana")) is None


def test_kinds_are_apart() -> None:
    """An account and a session of the same name are two facts."""
    facts = FactTable()
    facts.hold((RevokedKind.ACCOUNT, "a")).revoke(T)
    assert facts.hold((RevokedKind.SESSION, "a")).revoked_at is None


def test_a_revocation_is_never_taken_back() -> None:
    """An earlier instant is no news."""
    held = FactTable().hold((RevokedKind.SESSION, "s"))
    assert [held.revoke(UnixMillis(T + offset)) for offset in (0, -1, 0, 1)] == [True, False, False, True]
    assert held.revoked_at == T + 1


def test_bounded_and_what_is_used_stays() -> None:
    """Of two generations the elder is forgotten, but for what was asked for meanwhile; whoever remembers is told."""
    facts = FactTable(capacity=10)
    kept = facts.hold((RevokedKind.SESSION, "kept"))
    for number in range(100):
        facts.hold((RevokedKind.SESSION, f"s{number}"))
        assert facts.find((RevokedKind.SESSION, "kept")) is kept
        assert len(facts) <= 20
    assert facts.find((RevokedKind.SESSION, "s0")) is None
    assert facts.forgotten > 5


def test_clear() -> None:
    """Everything is forgotten, in both generations, and that is told."""
    facts = FactTable(capacity=1)
    facts.hold((RevokedKind.SESSION, "a"))
    facts.hold((RevokedKind.SESSION, "b"))
    before = facts.forgotten
    facts.clear()
    assert (len(facts), facts.forgotten) == (0, before + 1)
