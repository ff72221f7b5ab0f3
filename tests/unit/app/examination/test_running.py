"""Looking at a sidecar that runs."""

import pytest
from tests.unit.app.examination.conftest import states

from sidegate.app.examination.check import State
from sidegate.app.examination.running import Running, examine_running
from sidegate.telemetry.scrape import read_samples


def _running(text: str = "", failing: dict[str, str] | None = None) -> Running:
    return Running("127.0.0.1:9090", failing or {}, read_samples(text))


def test_all_is_well() -> None:
    """Nothing to say."""
    assert set(states(examine_running(_running())).values()) == {State.OK}


def test_nobody_there() -> None:
    """It may be meant so: the checks are for before a start, too."""
    assert set(states(examine_running(None)).values()) == {State.SKIPPED}


@pytest.mark.parametrize(
    ("text", "check", "state"),
    [
        pytest.param("sidegate_snapshot_revision_lag 1\n", "sidecar-current", State.WARNING, id="behind"),
        pytest.param("sidegate_snapshot_load_failures_total 1\n", "sidecar-current", State.WARNING, id="unusable"),
        pytest.param(
            "sidegate_audit_oldest_unshipped_seconds 301\n", "sidecar-shipping", State.WARNING, id="unshipped"
        ),
        pytest.param('sidegate_audit_dropped_total{cause="x"} 1\n', "sidecar-recording", State.FAILED, id="lost"),
        pytest.param("sidegate_loop_lag_seconds 0.006\n", "sidecar-prompt", State.WARNING, id="late"),
    ],
)
def test_metrics(text: str, check: str, state: State) -> None:
    """Only a lost record is a failure: nothing brings it back."""
    assert states(examine_running(_running(text)))[check] is state


def test_not_ready() -> None:
    """With what keeps it from being so."""
    found = list(examine_running(_running(failing={"policy": "none loaded"})))
    assert (found[0].state, found[0].detail) == (State.FAILED, "policy: none loaded")
