"""From cells to what a Prometheus server reads: names, labels, sums over processes."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar, assert_never

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from sidegate.telemetry import catalogue
from sidegate.telemetry.catalogue import Across, Metric, MetricKind
from sidegate.telemetry.metrics import ABSENT, BUCKET_CELLS, BUCKETS, cells_of, place_of
from sidegate.telemetry.shared import Reading, Readings

TEXT: Final = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS: Final = openmetrics.CONTENT_TYPE_LATEST

_NANOS_PER_SECOND: Final = 1_000_000_000
_MICROS_PER_SECOND: Final = 1_000_000

_Number = TypeVar("_Number", int, float)

_BOUNDS: Final = (*(str((1 << place) / _MICROS_PER_SECOND) for place in range(BUCKETS)), "+Inf")


def _fold(across: Across, numbers: Sequence[_Number]) -> _Number:
    match across:
        case Across.SUM:
            return sum(numbers[1:], numbers[0])
        case Across.MAX:
            return max(numbers)
        case Across.MIN:
            return min(numbers)
        case _:
            assert_never(across)


def merge(readings: Sequence[Reading]) -> list[int]:
    """Fold several processes into one: counts are summed, gauges as their metric says, of live processes only."""
    if len(readings) == 1 and readings[0].is_live:
        return list(readings[0].cells)
    merged = [sum(column) for column in zip(*(reading.cells for reading in readings), strict=True)]
    live = [reading.cells for reading in readings if reading.is_live]
    for metric in catalogue.METRICS:
        if metric.kind is MetricKind.GAUGE and merged:
            for cell in range(place_of(metric), place_of(metric) + cells_of(metric)):
                known = [cells[cell] for cells in live if cells[cell] != ABSENT]
                merged[cell] = _fold(metric.across, known) if known else ABSENT
    return merged


def _counter(metric: Metric, cells: Sequence[int]) -> Family:
    family = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for row, count in zip(metric.rows, cells, strict=True):
        if count or row in metric.always:
            family.add_metric(row, count / _NANOS_PER_SECOND if metric.nanos else count)
    return family


def _gauge(metric: Metric, cells: Sequence[int]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for row, number in zip(metric.rows, cells, strict=True):
        if number != ABSENT:
            family.add_metric(row, number / _NANOS_PER_SECOND if metric.nanos else number)
    return family


def _histogram(metric: Metric, cells: Sequence[int]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.meaning)
    total = 0
    buckets = []
    for bound, count in zip(_BOUNDS, (*cells[:BUCKETS], sum(cells[BUCKETS:BUCKET_CELLS])), strict=True):
        total += count
        buckets.append((bound, total))
    family.add_metric((), buckets, cells[BUCKET_CELLS] / _NANOS_PER_SECOND)
    return family


_FAMILY: Final = {MetricKind.COUNTER: _counter, MetricKind.GAUGE: _gauge, MetricKind.HISTOGRAM: _histogram}


def families(readings: Sequence[Reading]) -> list[Family]:
    """Return the `sidegate_*` metrics over all *readings*; one that has no sample here still says what it is."""
    merged = merge(readings)
    if not merged:
        return []
    return [
        _FAMILY[metric.kind](metric, merged[place_of(metric) : place_of(metric) + cells_of(metric)])
        for metric in catalogue.METRICS
    ]


# Of one process each; over several, these are the sums, so that open descriptors can be held against the limit.
_OF_SEVERAL: Final = {"process_start_time_seconds": Across.MIN}


def process_families(pids: Iterable[int]) -> list[Family]:
    """Return `process_*` summed over *pids*. Reads /proc; with ten thousand descriptors that takes milliseconds.

    Args:
        pids: The processes. One that is gone by now is left out.
    """
    values: dict[str, list[float]] = {}
    first: dict[str, Family] = {}
    for pid in dict.fromkeys(pids):
        for family in _of_process(pid):
            # CPU time is a cell: here it would fall whenever a worker is replaced.
            if family.type == "gauge":
                first.setdefault(family.name, family)
                values.setdefault(family.name, []).append(family.samples[0].value)
    return [
        GaugeMetricFamily(name, family.documentation, value=_fold(_OF_SEVERAL.get(name, Across.SUM), values[name]))
        for name, family in first.items()
    ]


def _of_process(pid: int) -> Iterable[Family]:
    return ProcessCollector(pid=lambda: pid, registry=None).collect()


class _Collected(Collector):
    """Families that are there already, in the form that the encoders ask for."""

    def __init__(self, found: Sequence[Family]) -> None:
        self._found = found

    def collect(self) -> Iterable[Family]:
        return self._found


def encode(found: Sequence[Family], content_type: str) -> bytes:
    """Write *found* as :data:`TEXT` or :data:`OPENMETRICS`."""
    if content_type == OPENMETRICS:
        written: bytes = openmetrics.generate_latest(_Collected(found), version="1.0.0")  # type: ignore[no-untyped-call]
        return written
    return prometheus_client.generate_latest(_Collected(found))


class Exposition:
    """What `/metrics` answers.

    Args:
        readings: One reading per process.
    """

    __slots__ = ("_readings",)

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def pids(self) -> list[int]:
        """Return the live processes."""
        return [reading.pid for reading in self._readings() if reading.is_live]

    def encode(self, content_type: str, processes: Sequence[Family]) -> bytes:
        """Write everything, *processes* (of :func:`process_families`) behind Sidegate's own."""
        return encode([*families(self._readings()), *processes], content_type)
