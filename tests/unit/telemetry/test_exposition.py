"""What a Prometheus server reads."""

import os
import time
from collections.abc import Iterable

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.telemetry import catalogue
from sidegate.telemetry.catalogue import METRICS, Metric, MetricKind, RequestKind
from sidegate.telemetry.exposition import (
    OPENMETRICS,
    TEXT,
    Exposition,
    families,
    merge,
    process_families,
)
from sidegate.telemetry.metrics import ABSENT, BUCKETS, CELLS, CONNECTIONS, Metrics, place_of
from sidegate.telemetry.shared import Reading, readings_of


def reading_of(metrics: Metrics, *, is_live: bool = True) -> Reading:
    """Return what *metrics* would publish."""
    return Reading(1, 0, metrics.read(), is_live)


def samples_of(found: Iterable[Family]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in found
        for sample in family.samples
    }


def busy() -> Metrics:
    """Return some of everything."""
    metrics = Metrics(lambda: 4_000_000_000)
    for metric in METRICS:
        if metric.kind is MetricKind.GAUGE:
            metrics.set_gauge(metric, 3)
        elif metric.kind is MetricKind.COUNTER:
            metrics.cells[place_of(metric) + len(metric.rows) - 1] = 4
    metrics.decision_seconds.observe_ns(1_500)
    metrics.decision_seconds.observe_ns(3_000)
    metrics.decision_seconds.observe_ns(1 << 62)
    return metrics


@pytest.mark.parametrize(("form", "parse"), [(TEXT, parse_text), (OPENMETRICS, parse_openmetrics)], ids=["text", "om"])
def test_both_forms_can_be_parsed_and_say_the_same(form: str, parse: object) -> None:
    """Every metric of the catalogue is there with its kind and its meaning."""
    assert callable(parse)
    metrics = busy()
    written = Exposition(readings_of(metrics)).encode(form, []).decode()
    found = {family.name: family for family in parse(written)}
    assert {name.removesuffix("_total") for name in (metric.name for metric in METRICS)} == set(found)
    for metric in METRICS:
        family = found[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (str(metric.kind), metric.meaning)
    assert samples_of(found.values()) == samples_of(families([reading_of(metrics)]))


def test_a_decision_has_its_three_labels() -> None:
    """By name, in the text that is sent."""
    metrics = Metrics()
    metrics.count_decision(Reason.NO_GRANT, Authority.WRITE)
    written = Exposition(readings_of(metrics)).encode(TEXT, []).decode()
    assert 'sidegate_decisions_total{authority="write",outcome="deny",reason="no_grant"} 1.0\n' in written


def test_a_fresh_process_exports_zeros_for_alerts_and_nothing_it_does_not_know() -> None:
    """Rows of `always` are there; absent gauges and rows that never occurred are not."""
    found = samples_of(families([reading_of(Metrics(lambda: 0))]))
    names = {name for name, _ in found}
    assert found["sidegate_upstream_failures_total", (("cause", "timeout"),)] == 0
    assert found["sidegate_connections", ()] == 0
    assert not names & {
        "sidegate_redis_up",
        "sidegate_snapshot_age_seconds",
        "sidegate_approvals_pending",
        "sidegate_requests_total",
    }
    assert set(found.values()) == {0}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_what_has_no_sample_here_still_says_what_it_is(metric: Metric) -> None:
    """Nobody has to guess whether a metric is missing or has another name."""
    text = Exposition(lambda: [reading_of(Metrics())]).encode(TEXT, []).decode()
    assert f"# TYPE {metric.name} {metric.kind}\n" in text
    assert f"# HELP {metric.name} " in text


def test_a_histogram_is_cumulative_in_seconds() -> None:
    """Bounds from 1 us; what is above the last one counts under +Inf only; sum and count belong to it."""
    found = samples_of(families([reading_of(busy())]))
    at = {labels[0][1]: count for (name, labels), count in found.items() if name == "sidegate_decision_seconds_bucket"}
    assert list(at) == sorted(at, key=float)
    assert (len(at), at["1e-06"], at["2e-06"], at["4e-06"], at["67.108864"], at["+Inf"]) == (BUCKETS + 1, 0, 1, 2, 2, 3)
    assert found["sidegate_decision_seconds_count", ()] == 3
    assert found["sidegate_decision_seconds_sum", ()] == pytest.approx(((1 << 62) + 4_500) / 1e9)


def test_gauges_of_time_are_in_seconds() -> None:
    """Cells hold nanoseconds."""
    metrics = Metrics()
    metrics.set_gauge(catalogue.SNAPSHOT_AGE_SECONDS, 1_500_000_000)
    metrics.set_gauge(catalogue.SUBJECTS_CACHED, 1_500)
    found = samples_of(families([reading_of(metrics)]))
    assert (found["sidegate_snapshot_age_seconds", ()], found["sidegate_subjects_cached", ()]) == (1.5, 1500)


@pytest.mark.parametrize(
    ("metric", "numbers", "expected"),
    [
        pytest.param(catalogue.CONNECTIONS, [2, 3], 5, id="connections-sum"),
        pytest.param(catalogue.SUBJECTS_CACHED, [2, None], 2, id="one-knows"),
        pytest.param(catalogue.SNAPSHOT_AGE_SECONDS, [2, 3], 3, id="oldest-counts"),
        pytest.param(catalogue.SNAPSHOT_REVISION_LAG, [0, 3], 3, id="furthest-behind-counts"),
        pytest.param(catalogue.REDIS_UP, [1, 0], 0, id="one-down-is-down"),
        pytest.param(catalogue.REDIS_UP, [None, None], None, id="nobody-knows"),
    ],
)
def test_gauges_of_workers_become_one(metric: Metric, numbers: list[int | None], expected: int | None) -> None:
    """Sum, maximum or minimum as the metric says; who does not know has no say."""
    readings = []
    for number in numbers:
        metrics = Metrics()
        metrics.set_gauge(metric, number)
        readings.append(reading_of(metrics))
    assert merge(readings)[place_of(metric)] == (ABSENT if expected is None else expected)


def test_counts_of_workers_are_summed_also_of_those_that_ended() -> None:
    """A counter must not fall; a gauge of a process that is gone says nothing."""
    workers = [busy(), busy(), busy()]
    readings = [reading_of(worker, is_live=place != 1) for place, worker in enumerate(workers)]
    merged = merge(readings)
    assert len(merged) == CELLS
    assert merged[place_of(catalogue.SNAPSHOT_LOAD_FAILURES)] == 12
    assert merged[CONNECTIONS] == 6


def test_a_single_worker_that_ended_has_no_gauges() -> None:
    """Also when there is nobody to sum with."""
    merged = merge([reading_of(busy(), is_live=False)])
    assert (merged[place_of(catalogue.SNAPSHOT_LOAD_FAILURES)], merged[CONNECTIONS]) == (4, ABSENT)


def test_merging_leaves_the_cells_alone() -> None:
    """The data path goes on counting in them."""
    metrics = busy()
    before = list(metrics.read())
    merge([reading_of(metrics)])[CONNECTIONS] = 77
    assert metrics.cells == before


def test_nobody_to_ask_is_an_empty_answer() -> None:
    """Before the first worker has published: valid, and without a number."""
    assert families([]) == []
    assert Exposition(list).encode(OPENMETRICS, []) == b"# EOF\n"
    assert Exposition(list).encode(TEXT, []) == b""


def test_processes_are_summed() -> None:
    """Memory, descriptors and their limit of all, once each; the start is that of the first."""
    one = samples_of(process_families([os.getpid()]))
    two = samples_of(process_families([os.getpid(), os.getpid(), os.getppid()]))
    assert {name for name, _ in one} == {
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
        "process_max_fds",
    }
    assert two["process_resident_memory_bytes", ()] > one["process_resident_memory_bytes", ()]
    assert two["process_start_time_seconds", ()] <= one["process_start_time_seconds", ()]
    assert two["process_max_fds", ()] > one["process_max_fds", ()]


def test_a_process_that_is_gone_is_left_out() -> None:
    """It ended between its last publication and the scrape."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert process_families([child]) == []
    assert process_families([]) == []


def test_cpu_time_of_ended_workers_stays_in_the_sum() -> None:
    """The counter must not fall when a worker is replaced: its successor goes on from it."""
    ended, successor = Metrics(lambda: 7_500_000_000), Metrics(lambda: 250_000_000)
    successor.resume(ended.read())
    found = samples_of(families([reading_of(successor)]))
    assert found["process_cpu_seconds_total", ()] == 7.75


def test_cpu_time_is_that_of_this_process() -> None:
    """The clock of the process, unless somebody says otherwise."""
    found = samples_of(families([reading_of(Metrics())]))
    assert 0 < found["process_cpu_seconds_total", ()] <= time.process_time()


def test_the_pids_are_those_of_live_processes() -> None:
    """What /proc is asked about."""
    readings = [Reading(11, 0, Metrics().cells, is_live=True), Reading(12, 0, Metrics().cells, is_live=False)]
    assert Exposition(lambda: readings).pids() == [11]


def test_labels_hold_nothing_but_the_closed_sets() -> None:
    """No account, path, organization, key or address can become a label: every exported row is in the catalogue."""
    metrics = busy()
    metrics.count_request(RequestKind.ABORTED, None)
    rows = {metric.name: {frozenset(zip(metric.labels, row, strict=True)) for row in metric.rows} for metric in METRICS}
    for family in families([reading_of(metrics)]):
        for sample in family.samples:
            if sample.name in rows:
                assert frozenset(sample.labels.items()) in rows[sample.name]
            else:
                assert set(sample.labels) <= {"le"}
