"""Counting in cells."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.telemetry import catalogue
from sidegate.telemetry.catalogue import AuditDrop, Metric, MetricKind, PresentedKind, RequestKind, UpstreamFailure
from sidegate.telemetry.metrics import (
    ABSENT,
    AUTHORITY_PLACE,
    BUCKET_CELLS,
    BUCKETS,
    CELLS,
    CONNECTIONS,
    IN_FLIGHT,
    LOOP_LAG,
    REASON_CELL,
    REQUEST_CELL,
    Metrics,
    cells_of,
    place_of,
)


def rows_counted(metrics: Metrics, metric: Metric) -> dict[tuple[str, ...], int]:
    """Return the rows of *metric* that hold something, by their label values."""
    place = place_of(metric)
    return {row: metrics.cells[place + at] for at, row in enumerate(metric.rows) if metrics.cells[place + at]}


def test_each_cell_belongs_to_one_metric() -> None:
    """Metrics lie one behind the other without gap or overlap."""
    ends = [(place_of(metric), place_of(metric) + cells_of(metric)) for metric in catalogue.METRICS]
    assert ends[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    assert ends[-1][1] == CELLS == len(Metrics().cells)


def test_a_fresh_process_has_counted_nothing_and_knows_no_gauge_but_its_own() -> None:
    """Requests and connections are truly zero; what nobody has told is absent."""
    metrics = Metrics()
    kept = (metric for metric in catalogue.METRICS if metric.kind is MetricKind.GAUGE)
    gauges = {place_of(metric) + row for metric in kept for row in range(cells_of(metric))}
    assert {metrics.cells[IN_FLIGHT], metrics.cells[CONNECTIONS]} == {0}
    assert {metrics.cells[place] for place in gauges - {IN_FLIGHT, CONNECTIONS}} == {ABSENT}
    assert not any(cell for place, cell in enumerate(metrics.cells) if place not in gauges)


@pytest.mark.parametrize("authority", [*Authority, None])
@pytest.mark.parametrize("reason", list(Reason))
def test_a_decision_counts_under_its_own_labels(reason: Reason, authority: Authority | None) -> None:
    """By name, or by the places that the data path binds beforehand: the same cell."""
    metrics = Metrics()
    metrics.count_decision(reason, authority)
    metrics.cells[REASON_CELL[reason] + AUTHORITY_PLACE[authority]] += 1
    row = (str(catalogue.outcome_of(reason)), str(reason), str(authority or "none"))
    assert rows_counted(metrics, catalogue.DECISIONS) == {row: 2}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(100, "100", id="first"),
        pytest.param(200, "200", id="ok"),
        pytest.param(599, "599", id="last"),
        pytest.param(99, "none", id="below"),
        pytest.param(600, "none", id="above"),
        pytest.param(-1, "none", id="negative"),
        pytest.param(0, "none", id="zero"),
        pytest.param(10**9, "none", id="huge"),
        pytest.param(None, "none", id="unanswered"),
    ],
)
@pytest.mark.parametrize("kind", list(RequestKind))
def test_a_request_counts_under_its_status_and_kind(kind: RequestKind, status: int | None, code: str) -> None:
    """Whatever is no status counts as none, never in a neighbour's cell."""
    metrics = Metrics()
    metrics.count_request(kind, status)
    assert rows_counted(metrics, catalogue.REQUESTS) == {(code, str(kind)): 1}
    assert sum(cell for cell in metrics.cells if cell != ABSENT) == 1


@pytest.mark.parametrize("status", [100, 204, 599])
def test_a_checked_status_may_be_counted_by_its_place(status: int) -> None:
    """The place that the data path binds beforehand leads to the same cell."""
    metrics = Metrics()
    metrics.cells[REQUEST_CELL[RequestKind.FORWARDED] + status] += 1
    assert rows_counted(metrics, catalogue.REQUESTS) == {(str(status), "forwarded"): 1}


@pytest.mark.parametrize("cause", list(UpstreamFailure))
def test_an_upstream_failure_counts_under_its_cause(cause: UpstreamFailure) -> None:
    """One cell per cause."""
    metrics = Metrics()
    metrics.count_upstream_failure(cause)
    assert rows_counted(metrics, catalogue.UPSTREAM_FAILURES) == {(str(cause),): 1}


@pytest.mark.parametrize("refused", [None, *catalogue.CREDENTIAL_REASONS])
@pytest.mark.parametrize("kind", list(PresentedKind))
def test_a_credential_counts_under_kind_and_what_was_found(kind: PresentedKind, refused: Reason | None) -> None:
    """Verified, or the reason of the refusal."""
    metrics = Metrics()
    metrics.count_credential(kind, refused)
    assert rows_counted(metrics, catalogue.CREDENTIALS) == {(str(kind), str(refused or "verified")): 1}


def test_a_credential_is_not_refused_for_a_reason_of_policy() -> None:
    """A wrong reason is a mistake of the caller, not a number in some other row."""
    metrics = Metrics()
    with pytest.raises(KeyError):
        metrics.count_credential(PresentedKind.SESSION, Reason.NO_GRANT)
    assert rows_counted(metrics, catalogue.CREDENTIALS) == {}


@pytest.mark.parametrize("cause", list(AuditDrop))
def test_dropped_records_count_under_their_cause(cause: AuditDrop) -> None:
    """Many at once."""
    metrics = Metrics()
    metrics.count_audit_drops(cause, 7)
    assert rows_counted(metrics, catalogue.AUDIT_DROPPED) == {(str(cause),): 7}


@pytest.mark.parametrize("candidate", list(Outcome))
@pytest.mark.parametrize("enforced", list(Outcome))
def test_a_divergence_counts_from_and_to(enforced: Outcome, candidate: Outcome) -> None:
    """From the enforced outcome to the candidate's."""
    metrics = Metrics()
    metrics.count_divergence(enforced, candidate)
    assert rows_counted(metrics, catalogue.SHADOW_DIVERGENCE) == {(str(enforced), str(candidate)): 1}


def test_a_load_failure_counts() -> None:
    """The counter has no labels."""
    metrics = Metrics()
    metrics.count_load_failure()
    assert rows_counted(metrics, catalogue.SNAPSHOT_LOAD_FAILURES) == {(): 1}


def bucket_of(duration: int) -> int:
    """Return the bucket that *duration* is counted in."""
    metrics = Metrics()
    metrics.decision_seconds.observe_ns(duration)
    place = place_of(catalogue.DECISION_SECONDS)
    assert metrics.cells[place + BUCKET_CELLS] == duration
    (bucket,) = [at for at, count in enumerate(metrics.cells[place : place + BUCKET_CELLS]) if count]
    return bucket


@pytest.mark.parametrize(
    ("duration", "bucket"),
    [
        pytest.param(0, 0, id="nothing"),
        pytest.param(1, 0, id="one-nanosecond"),
        pytest.param(1_000, 0, id="at-first-bound"),
        pytest.param(1_001, 1, id="above-first-bound"),
        pytest.param(2_000, 1, id="at-second-bound"),
        pytest.param(2_001, 2, id="above-second-bound"),
        pytest.param(4_000, 2, id="at-third-bound"),
        pytest.param(67_108_864_000, BUCKETS - 1, id="at-last-bound"),
        pytest.param(67_108_864_001, BUCKETS, id="above-last-bound"),
        pytest.param((1 << 63) - 1, 54, id="longest"),
    ],
)
def test_a_duration_is_counted_in_the_lowest_bucket_that_holds_it(duration: int, bucket: int) -> None:
    """A bound belongs to its bucket."""
    assert bucket == bucket_of(duration)


@settings(deadline=None)
@given(st.integers(0, (1 << 63) - 1))
def test_every_duration_lies_between_the_bounds_of_its_bucket(duration: int) -> None:
    """At most 2^k microseconds, and more than the bound below."""
    bucket = bucket_of(duration)
    assert duration <= 1000 << bucket
    assert bucket == 0 or duration > 1000 << (bucket - 1)


def test_the_histograms_do_not_share_cells() -> None:
    """Each has its buckets and its sum."""
    metrics = Metrics()
    metrics.decision_seconds.observe_ns(1)
    metrics.overhead_seconds.observe_ns(10)
    metrics.upstream_seconds.observe_ns(100)
    sums = [
        metrics.cells[place_of(metric) + BUCKET_CELLS]
        for metric in (catalogue.DECISION_SECONDS, catalogue.OVERHEAD_SECONDS, catalogue.UPSTREAM_SECONDS)
    ]
    assert sums == [1, 10, 100]


def test_a_gauge_is_set_or_absent() -> None:
    """None says that there is no such thing here."""
    metrics = Metrics()
    place = place_of(catalogue.REDIS_UP)
    metrics.set_gauge(catalogue.REDIS_UP, 1)
    assert metrics.cells[place] == 1
    metrics.set_gauge(catalogue.REDIS_UP, None)
    assert metrics.cells[place] == ABSENT


def test_a_watched_gauge_is_asked_for_at_each_reading() -> None:
    """The source that was named last says the value; None makes the gauge absent again."""
    metrics = Metrics()
    place = place_of(catalogue.SUBJECTS_CACHED)
    answers: list[int | None] = [12, None]
    metrics.watch(catalogue.SUBJECTS_CACHED, lambda: 99)
    metrics.watch(catalogue.SUBJECTS_CACHED, lambda: answers.pop(0))
    assert [metrics.read()[place], metrics.read()[place]] == [12, ABSENT]


@pytest.mark.parametrize("resumes_late", [False, True])
def test_a_counter_that_somebody_else_keeps_goes_on_from_its_predecessor(resumes_late: bool) -> None:
    """The source counts this process only; what the last worker counted is added once, whichever came first."""
    row = ("oldest_dropped",)
    before, after = Metrics(), Metrics()
    before.count_audit_drops(AuditDrop.OLDEST_DROPPED, 5)
    if not resumes_late:
        after.resume(before.cells)
    after.watch(catalogue.AUDIT_DROPPED, lambda: 2, row)
    if resumes_late:
        after.resume(before.cells)
    after.read()
    after.read()
    assert rows_counted(after, catalogue.AUDIT_DROPPED) == {row: 7}


def test_a_row_that_does_not_exist_cannot_be_watched() -> None:
    """Labels come from the closed set only."""
    with pytest.raises(ValueError, match="not in tuple"):
        Metrics().watch(catalogue.AUDIT_DROPPED, lambda: 1, ("lost",))


def test_the_cells_stay_the_same_list() -> None:
    """Who bound them beforehand counts on, also after a resumption."""
    metrics = Metrics()
    bound = metrics.cells
    metrics.resume(Metrics().cells)
    assert metrics.read() is bound is metrics.cells


def test_a_successor_takes_over_counts_and_no_gauges() -> None:
    """Counters and histograms go on; connections of a dead process are gone."""
    before = Metrics()
    before.count_decision(Reason.GRANTED, Authority.READ)
    before.overhead_seconds.observe_ns(5)
    before.cells[CONNECTIONS] = 3
    before.cells[LOOP_LAG] = 4
    after = Metrics()
    after.resume(before.cells)
    assert rows_counted(after, catalogue.DECISIONS) == {("allow", "granted", "read"): 1}
    assert after.cells[place_of(catalogue.OVERHEAD_SECONDS) + BUCKET_CELLS] == 5
    assert (after.cells[CONNECTIONS], after.cells[LOOP_LAG]) == (0, ABSENT)
