"""What the catalogue promises about every metric."""

import re

import pytest

from sidegate.core.model.decision import Outcome, Reason, Remedy, remedy_of
from sidegate.telemetry.catalogue import METRICS, Metric, MetricKind, outcome_of

SPEC_NAMES = [
    "sidegate_decisions_total{outcome,reason,authority}",
    "sidegate_decision_seconds",
    "sidegate_overhead_seconds",
    "sidegate_requests_total{code,kind}",
    "sidegate_requests_in_flight",
    "sidegate_connections",
    "sidegate_upstream_seconds",
    "sidegate_upstream_failures_total{cause}",
    "sidegate_credentials_total{kind,outcome}",
    "sidegate_snapshot_revision_lag",
    "sidegate_snapshot_age_seconds",
    "sidegate_snapshot_load_failures_total",
    "sidegate_subjects_cached",
    "sidegate_audit_spooled_bytes",
    "sidegate_audit_oldest_unshipped_seconds",
    "sidegate_audit_dropped_total{cause}",
    "sidegate_shadow_divergence_total{from,to}",
    "sidegate_approvals_pending",
    "sidegate_anomalies_total{kind}",
    "sidegate_loop_lag_seconds",
    "sidegate_redis_up",
]

OWN_NAMES = [
    "sidegate_snapshot_fingerprint",
    "sidegate_snapshot_age_limit_seconds",
    "sidegate_jwks_age_seconds",
    "sidegate_jwks_age_limit_seconds",
    "sidegate_audit_spool_limit_bytes",
    "sidegate_connections_limit",
    "sidegate_worker_starts_total",
    "sidegate_tls_handshake_failures_total{cause}",
    "sidegate_tls_reload_failures_total{use}",
    "sidegate_tls_certificate_remaining_seconds{certificate}",
    "sidegate_proxy_header_failures_total{cause}",
]

EACH = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def test_the_names_and_labels_are_those_of_the_specification() -> None:
    """Spec 6.7, in its order, the one of spec 3.2, and ours; dashboards and alerts hold on to them."""
    written = [metric.name + (f"{{{','.join(metric.labels)}}}" if metric.labels else "") for metric in METRICS]
    assert written == [*SPEC_NAMES, "sidegate_key_expiry_warnings_total", *OWN_NAMES, "process_cpu_seconds_total"]


@EACH
def test_a_name_says_unit_and_kind(metric: Metric) -> None:
    """Counters end in `_total`; what is kept in nanoseconds is exported as seconds."""
    assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
    assert metric.name.removesuffix("_total").endswith("_seconds") == metric.nanos


@EACH
def test_rows_are_a_closed_set(metric: Metric) -> None:
    """Each row has one value per label and occurs once; label values are short plain words or statuses."""
    assert len(set(metric.rows)) == len(metric.rows)
    assert {len(row) for row in metric.rows} == {len(metric.labels)}
    assert all(re.fullmatch(r"[a-z_]+|[1-5][0-9]{2}", text) for row in metric.rows for text in row)


@EACH
def test_rows_that_are_always_exported_exist(metric: Metric) -> None:
    """An alert looks at a row that something can count."""
    assert metric.always <= set(metric.rows)


@EACH
def test_the_meaning_is_one_sentence(metric: Metric) -> None:
    """It becomes the HELP line: one line that ends in a full stop."""
    assert metric.meaning.endswith(".")
    assert "\n" not in metric.meaning


@pytest.mark.parametrize("reason", list(Reason))
def test_the_outcome_follows_from_the_reason(reason: Reason) -> None:
    """Two reasons go with allow; whatever else has a reason is a deny, and a deny that has a remedy is none of them."""
    expected = Outcome.ALLOW if reason in {Reason.GRANTED, Reason.PUBLIC_ROUTE} else Outcome.DENY
    assert expected == outcome_of(reason)
    assert not (outcome_of(reason) is Outcome.ALLOW and remedy_of(reason) is not Remedy.NONE)
