"""What is over is remembered, the last of it at least, and never taken back."""

from sidegate.core.model.units import UnixMillis
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.remembered import Remembered, UsedUp

T = UnixMillis(1_800_000_000_000)


def revoked(number: int, offset: int = 0) -> Revoked:
    """Return a session's revocation."""
    return Revoked(RevokedKind.SESSION, f"s{number}", UnixMillis(T + offset))


def test_only_what_is_later_is_news() -> None:
    """The same again, or an earlier instant, changes nothing."""
    remembered = Remembered()
    assert [remembered.revoke(revoked(1, offset)) for offset in (0, 0, -1, 1)] == [True, False, False, True]
    assert remembered.revoked_at((RevokedKind.SESSION, "s1")) == T + 1
    assert remembered.revoked_at((RevokedKind.ACCOUNT, "s1")) is None
    assert [remembered.consume(UsedUp("acme/k", T)) for _ in range(2)] == [True, False]


def test_only_keys_are_used_up() -> None:
    """A session that is called like a key is not."""
    remembered = Remembered()
    remembered.consume(UsedUp("acme/k", T))
    assert remembered.is_consumed((RevokedKind.KEY, "acme/k"))
    assert not remembered.is_consumed((RevokedKind.SESSION, "acme/k"))


def test_the_oldest_go_first() -> None:
    """There is room for so many; what was heard of again counts as young."""
    remembered = Remembered(capacity=2)
    for event in (revoked(1), revoked(2), revoked(1, 5), revoked(3)):
        remembered.revoke(event)
    assert list(remembered.revocations()) == [revoked(3), revoked(1, 5)]
    for number in range(4):
        remembered.consume(UsedUp(f"k{number}", T))
    assert [used.id for used in remembered.uses()] == ["k3", "k2"]


def test_since() -> None:
    """Only those of an instant on, the last first."""
    remembered = Remembered()
    for number in range(4):
        remembered.revoke(revoked(number, number))
        remembered.consume(UsedUp(f"k{number}", UnixMillis(T + number)))
    since = UnixMillis(T + 2)
    assert [event.id for event in remembered.revocations(since)] == ["s3", "s2"]
    assert [used.id for used in remembered.uses(since)] == ["k3", "k2"]
