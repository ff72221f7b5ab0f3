"""Comparing clocks."""

import pytest
from tests.unit.app.examination.conftest import NOW, states

from sidegate.app.examination.check import State
from sidegate.app.examination.clocks import FAR, NEAR, examine_clock
from sidegate.core.model.units import UnixMillis


@pytest.mark.parametrize(
    ("ahead", "state"),
    [
        pytest.param(0, State.OK, id="the-same"),
        pytest.param(NEAR, State.OK, id="near"),
        pytest.param(-NEAR - 1, State.WARNING, id="behind"),
        pytest.param(FAR, State.WARNING, id="within-the-leeway"),
        pytest.param(FAR + 1, State.FAILED, id="beyond-the-leeway"),
        pytest.param(-FAR - 1, State.FAILED, id="far-behind"),
    ],
)
def test_clocks_are_compared_both_ways(ahead: int, state: State) -> None:
    """Beyond the leeway of tokens it is a failure."""
    found = states(examine_clock(NOW, ahead, UnixMillis(NOW + ahead)))
    assert (found["clock-as-redis"], found["clock-as-upstream"]) == (state, state)


def test_nobody_told_the_time() -> None:
    """Then there is nothing to compare; the kernel is asked all the same."""
    found = states(examine_clock(NOW, None, None))
    assert (found["clock-as-redis"], found["clock-as-upstream"]) == (State.SKIPPED, State.SKIPPED)
    assert found["clock-synchronized"] is not State.FAILED
