"""What two scrapes say."""

from sidegate.cli.vitals import Denial, Quantiles, Vitals, read_vitals
from sidegate.telemetry.scrape import read_samples

BEFORE = """\
sidegate_requests_total{code="200",kind="forwarded"} 10
sidegate_decisions_total{authority="read",outcome="allow",reason="granted"} 10
sidegate_decisions_total{authority="read",outcome="deny",reason="no_grant"} 4
sidegate_decisions_total{authority="read",outcome="deny",reason="above_ceiling"} 9
process_cpu_seconds_total 1.0
"""
AFTER = """\
sidegate_requests_total{code="200",kind="forwarded"} 30
sidegate_requests_total{code="502",kind="failed"} 4
sidegate_decisions_total{authority="read",outcome="allow",reason="granted"} 34
sidegate_decisions_total{authority="read",outcome="deny",reason="no_grant"} 6
sidegate_decisions_total{authority="write",outcome="deny",reason="no_grant"} 2
sidegate_decisions_total{authority="read",outcome="deny",reason="above_ceiling"} 9
sidegate_decisions_total{authority="read",outcome="deny",reason="surface"} 0
sidegate_decision_seconds_bucket{le="1"} 2
sidegate_decision_seconds_bucket{le="+Inf"} 2
sidegate_upstream_failures_total{cause="timeout"} 4
sidegate_upstream_failures_total{cause="invalid"} 0
sidegate_redis_up 0
process_cpu_seconds_total 1.5
process_start_time_seconds 1000
"""


def _vitals(failing: dict[str, str] | None = None) -> Vitals:
    return read_vitals(read_samples(BEFORE), read_samples(AFTER), 2.0, 1060.0, failing or {})


def test_rates_are_those_of_the_interval() -> None:
    """Per second."""
    vitals = _vitals()
    assert (vitals.requests, vitals.allowed, vitals.denied, vitals.failed) == (12, 12, 2, 2)
    assert vitals.cpu_share == 0.25
    assert vitals.uptime_s == 60


def test_denials_come_by_how_frequent_they_are_now() -> None:
    """Then those of before; a reason that never occurred is left out."""
    assert _vitals().denials == (Denial("no_grant", 2.0, 8), Denial("above_ceiling", 0.0, 9))


def test_only_failures_that_occur_are_named() -> None:
    """Per second, by cause."""
    assert _vitals().upstream_failures == {"timeout": 2.0}


def test_what_is_not_measured_is_none() -> None:
    """And not nought: there is no Redis, or it is down, are two things."""
    vitals = _vitals()
    assert vitals.redis_up is False
    assert (vitals.jwks_age_s, vitals.policy_age_s) == (None, None)
    assert vitals.upstream_s == Quantiles(None, None)
    assert vitals.decision_s == Quantiles(0.5, 0.99)
