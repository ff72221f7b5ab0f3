"""That there is nothing is believed for a moment, in a bounded place."""

from sidegate.core.model.units import Millis
from sidegate.distribution.redis_absence import ABSENT_FOR, MAX_ABSENT, Absences
from sidegate.telemetry.clock import ManualClock


def test_for_a_moment() -> None:
    """Up to a limit of time, or until an event says otherwise."""
    clock = ManualClock()
    absent = Absences(clock)
    assert not absent.holds("acme")
    absent.note("acme")
    clock.advance(Millis(ABSENT_FOR - 1))
    assert absent.holds("acme")
    clock.advance(Millis(1))
    assert not absent.holds("acme")
    assert len(absent) == 0


def test_forgotten() -> None:
    """One name, or all of them."""
    absent = Absences(ManualClock())
    for name in ("a", "b", "c"):
        absent.note(name)
    absent.forget("a")
    absent.forget("never noted")
    assert [absent.holds(name) for name in "abc"] == [False, True, True]
    absent.clear()
    assert len(absent) == 0


def test_bounded() -> None:
    """Whoever invents names drives out the oldest ones; a name that is noted again is not old."""
    absent = Absences(ManualClock())
    for number in range(MAX_ABSENT):
        absent.note(str(number))
    absent.note("0")
    absent.note("one more")
    assert len(absent) == MAX_ABSENT
    assert (absent.holds("0"), absent.holds("1"), absent.holds("one more")) == (True, False, True)
