"""What `sidegate top` shows, as numbers: two scrapes of a running sidecar and the time between them."""

from typing import Final

from sidegate.core.model.value import value
from sidegate.telemetry.scrape import Samples, added, quantile

_MEDIAN: Final = 0.5
_TAIL: Final = 0.99


@value
class Quantiles:
    """Of the observations of one interval, in seconds; None without any."""

    p50: float | None
    p99: float | None


@value
class Denial:
    """How often one reason occurs.

    Attributes:
        reason: Why.
        per_second: In the interval.
        total: Since the start.
    """

    reason: str
    per_second: float
    total: float


@value
class Vitals:
    """How a sidecar is and what it does. Rates are per second and of the interval, the rest is as it is now.

    Attributes:
        failing: The checks of ``/readyz`` that fail, with why.
        denials: By reason; the most frequent now first, then those of before.
        upstream_failures: By cause, in the interval.
        policy_age_s: None before the first policy.
        redis_up: None where no Redis is configured.
        jwks_age_s: None where no identity provider is configured.
        cpu_share: Of one core.
    """

    failing: dict[str, str]
    uptime_s: float
    requests: float
    allowed: float
    denied: float
    failed: float
    in_flight: float
    connections: float
    connections_limit: float
    decision_s: Quantiles
    overhead_s: Quantiles
    upstream_s: Quantiles
    denials: tuple[Denial, ...]
    upstream_failures: dict[str, float]
    policy_age_s: float | None
    revision_lag: float
    load_failures: float
    subjects: float
    divergences: float
    approvals_pending: float | None
    spooled_bytes: float
    spool_limit_bytes: float
    oldest_unshipped_s: float
    dropped: float
    redis_up: bool | None
    jwks_age_s: float | None
    anomalies: float
    loop_lag_s: float
    cpu_share: float
    resident_bytes: float
    descriptors: float
    descriptors_limit: float


def read_vitals(before: Samples, after: Samples, seconds: float, now_s: float, failing: dict[str, str]) -> Vitals:
    """Work them out.

    Args:
        before: The earlier scrape.
        after: The later one.
        seconds: Between the two.
        now_s: Wall clock at the later one, in seconds since 1970.
        failing: The checks that fail now, with why.
    """
    grown = added(before, after)

    def rate(name: str, **labels: str) -> float:
        return grown.total(name, **labels) / seconds

    def quantiles(name: str) -> Quantiles:
        buckets = grown.buckets(name)
        return Quantiles(quantile(buckets, _MEDIAN), quantile(buckets, _TAIL))

    def if_there(name: str) -> float | None:
        return after.total(name) if after.has(name) else None

    redis = if_there("sidegate_redis_up")
    causes = grown.by("sidegate_upstream_failures_total", "cause")
    return Vitals(
        failing=failing,
        uptime_s=max(0.0, now_s - after.total("process_start_time_seconds")),
        requests=rate("sidegate_requests_total"),
        allowed=rate("sidegate_decisions_total", outcome="allow"),
        denied=rate("sidegate_decisions_total", outcome="deny"),
        failed=rate("sidegate_requests_total", kind="failed"),
        in_flight=after.total("sidegate_requests_in_flight"),
        connections=after.total("sidegate_connections"),
        connections_limit=after.total("sidegate_connections_limit"),
        decision_s=quantiles("sidegate_decision_seconds"),
        overhead_s=quantiles("sidegate_overhead_seconds"),
        upstream_s=quantiles("sidegate_upstream_seconds"),
        denials=_denials(after, grown, seconds),
        upstream_failures={cause: count / seconds for cause, count in sorted(causes.items()) if count},
        policy_age_s=if_there("sidegate_snapshot_age_seconds"),
        revision_lag=after.total("sidegate_snapshot_revision_lag"),
        load_failures=after.total("sidegate_snapshot_load_failures_total"),
        subjects=after.total("sidegate_subjects_cached"),
        divergences=rate("sidegate_shadow_divergence_total"),
        approvals_pending=if_there("sidegate_approvals_pending"),
        spooled_bytes=after.total("sidegate_audit_spooled_bytes"),
        spool_limit_bytes=after.total("sidegate_audit_spool_limit_bytes"),
        oldest_unshipped_s=after.total("sidegate_audit_oldest_unshipped_seconds"),
        dropped=after.total("sidegate_audit_dropped_total"),
        redis_up=None if redis is None else redis > 0,
        jwks_age_s=if_there("sidegate_jwks_age_seconds"),
        anomalies=after.total("sidegate_anomalies_total"),
        loop_lag_s=after.total("sidegate_loop_lag_seconds"),
        cpu_share=rate("process_cpu_seconds_total"),
        resident_bytes=after.total("process_resident_memory_bytes"),
        descriptors=after.total("process_open_fds"),
        descriptors_limit=after.total("process_max_fds"),
    )


def _denials(after: Samples, grown: Samples, seconds: float) -> tuple[Denial, ...]:
    totals = after.by("sidegate_decisions_total", "reason", outcome="deny")
    now = grown.by("sidegate_decisions_total", "reason", outcome="deny")
    denials = [Denial(reason, now.get(reason, 0.0) / seconds, total) for reason, total in totals.items() if total]
    return tuple(sorted(denials, key=lambda denial: (-denial.per_second, -denial.total, denial.reason)))
