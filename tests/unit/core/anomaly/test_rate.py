"""Counts that forget, held to their arithmetic."""

from math import exp, isclose

import pytest

from sidegate.core.anomaly.rate import DecayedCount, UsualRate
from sidegate.core.model.units import Millis, UnixMillis

WINDOW = Millis(1000)
T = UnixMillis(1_800_000_000_000)


def at(offset: int) -> UnixMillis:
    """Return an instant near T."""
    return UnixMillis(T + offset)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        pytest.param(0, 1.0, id="at-once"),
        pytest.param(1000, exp(-1), id="after-a-window"),
        pytest.param(5000, exp(-5), id="after-five"),
        pytest.param(-1000, 1.0, id="clock-set-back"),
    ],
)
def test_a_count_fades(later: int, expected: float) -> None:
    """After one window 1/e is left; time never runs backwards."""
    count = DecayedCount(WINDOW, T)
    count.add(T)
    assert isclose(expected, count.read(at(later)))


def test_a_steady_stream_counts_its_rate() -> None:
    """With ten events per window the count comes to about ten."""
    count = DecayedCount(WINDOW, T)
    for moment in range(0, 20_000, 100):
        count.add(at(moment))
    assert 9.5 < count.read(at(19_950)) < 10.5


def test_a_clock_set_back_does_not_bring_a_count_back() -> None:
    """What was added in the past of the clock is there from its latest reading on, not from the earlier one."""
    count = DecayedCount(WINDOW, T)
    count.add(at(1000))
    count.add(T)
    assert isclose(2.0, count.read(at(1000)))


def test_a_count_fades_on_after_the_clock_was_wrong() -> None:
    """A clock that ran far ahead and is set right does not keep a count from fading until then."""
    count = DecayedCount(WINDOW, T)
    count.add(at(1_000_000))
    count.add(T)
    assert isclose(2.0, count.read(T))
    assert isclose(2.0 * exp(-5), count.read(at(5000)))


def test_the_usual_rate_after_the_clock_was_wrong() -> None:
    """What began while the clock ran ahead has begun when it is set right: it has an age, and a usual rate."""
    usual = UsualRate(Millis(60_000), at(10_000_000))
    for moment in range(0, 120_000, 100):
        usual.add(at(moment))
    assert usual.age(at(120_000)) == 120_000
    assert 9.0 < usual.per(WINDOW, at(120_000)) < 11.0


@pytest.mark.parametrize("age", [pytest.param(2_000, id="young"), pytest.param(500_000, id="old")])
def test_the_usual_rate_is_right_from_the_beginning(age: int) -> None:
    """A young count is not full yet, and is not taken for a low rate."""
    usual = UsualRate(Millis(60_000), T)
    for moment in range(0, age, 100):
        usual.add(at(moment))
    assert 9.0 < usual.per(WINDOW, at(age)) < 11.0
    assert age == usual.age(at(age))


def test_nothing_is_usual_at_first() -> None:
    """Before any time has passed there is no rate, and nothing is divided by zero."""
    usual = UsualRate(Millis(60_000), T)
    usual.add(T)
    assert (usual.per(WINDOW, T), usual.age(at(-5))) == (0.0, 0)
