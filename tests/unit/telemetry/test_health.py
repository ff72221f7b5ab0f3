"""Whether this process is alive and ready."""

import pytest

from sidegate.telemetry.health import CheckResult, Health, workers_check
from sidegate.telemetry.metrics import Metrics
from sidegate.telemetry.shared import Reading


def test_each_check_is_run_anew_and_keeps_its_order() -> None:
    """What is wrong now counts, not what was."""
    wrong: list[str | None] = [None]
    health = Health({"workers": lambda: None}, {"policy": lambda: wrong[0], "audit": lambda: None})
    assert health.live() == (CheckResult("workers", None),)
    assert health.ready() == (CheckResult("policy", None), CheckResult("audit", None))
    wrong[0] = "none loaded"
    assert health.ready()[0] == CheckResult("policy", "none loaded")


def test_what_is_told_beside_readiness_does_not_decide_it() -> None:
    """It comes last, and is told from what is required."""
    health = Health({}, {"policy": lambda: None}, told={"redis": lambda: "away"})
    assert health.ready() == (CheckResult("policy", None), CheckResult("redis", "away", is_required=False))


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        pytest.param([], None, id="none-started"),
        pytest.param([(11, True), (12, True)], None, id="all-live"),
        pytest.param([(11, True), (0, False)], None, id="one-ended"),
        pytest.param([(11, False), (12, True)], "no sign of life from worker process 11; restart it", id="one-stuck"),
        pytest.param([(11, False), (12, False)], "no sign of life from worker process 11, 12; restart it", id="two"),
    ],
)
def test_a_worker_that_has_not_ended_must_publish(workers: list[tuple[int, bool]], expected: str | None) -> None:
    """A worker that ended is the supervisor's to replace; one that is stuck nobody else notices."""
    cells = Metrics().cells
    check = workers_check(lambda: [Reading(pid, 0, cells, is_live) for pid, is_live in workers])
    assert expected == check()
