"""Counting on the data path: plain integers in one list, no look-up by label (spec 7).

All numbers of a process lie in one flat list of *cells*. Who counts on the fast path adds to a cell whose place was
worked out beforehand; everything with names and labels happens when somebody asks (`exposition`). Measured on
CPython 3.11: adding to a cell of a list 23 ns, of a memoryview over shared memory 49 ns, of an array 57 ns; so the
cells are a list, and what other processes are to see is copied (`shared`).
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from sidegate.core.anomaly.watch import AnomalyKind
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.telemetry import catalogue
from sidegate.telemetry.catalogue import (
    AuditDrop,
    Metric,
    MetricKind,
    PresentedKind,
    ProxyHeaderFailure,
    RequestKind,
    Row,
    TlsFailure,
    TlsUse,
    UpstreamFailure,
)
from sidegate.telemetry.clock import process_cpu_ns

ABSENT: Final = -(1 << 63)
"""In the cell of a gauge: there is no such thing here, export nothing."""

BUCKET_CELLS: Final = 64
"""Cells for the buckets of one histogram. A duration of 63 bits of nanoseconds has 54 bits of microseconds, so no
duration needs a test for the last bucket; what lies above the last bound is exported as +Inf."""

BUCKETS: Final = 27
"""Buckets with a bound of their own: 1 us, 2 us, 4 us and so on up to 67 s. Powers of two, because the place of a
duration is then its bit length: 93 ns an observation, 124 ns with a search in a table of bounds."""

_NANOS_PER_MICRO: Final = 1000


def cells_of(metric: Metric) -> int:
    """Return how many cells *metric* has."""
    return BUCKET_CELLS + 1 if metric.kind is MetricKind.HISTOGRAM else len(metric.rows)


def _lay_out() -> dict[str, int]:
    """Give each metric its place: the first of its cells."""
    places: dict[str, int] = {}
    end = 0
    for metric in catalogue.METRICS:
        places[metric.name] = end
        end += cells_of(metric)
    return places


_PLACE: Final = _lay_out()

CELLS: Final = sum(cells_of(metric) for metric in catalogue.METRICS)
"""Number of cells."""

_DESCRIBED: Final = repr([(metric.name, str(metric.kind), metric.rows) for metric in catalogue.METRICS])

LAYOUT: Final = int.from_bytes(hashlib.sha256(_DESCRIBED.encode()).digest()[:7], "big")
"""Tells one layout from another, the same in every process, so that none reads another version's numbers."""


def place_of(metric: Metric) -> int:
    """Return the first cell of *metric*. Its rows follow in order; a histogram has its buckets, then its sum."""
    return _PLACE[metric.name]


IN_FLIGHT: Final = place_of(catalogue.REQUESTS_IN_FLIGHT)
"""Cell of `sidegate_requests_in_flight`: add one, take one."""

CONNECTIONS: Final = place_of(catalogue.CONNECTIONS)
"""Cell of `sidegate_connections`: add one, take one."""

LOAD_FAILURES: Final = place_of(catalogue.SNAPSHOT_LOAD_FAILURES)
"""Cell of `sidegate_snapshot_load_failures_total`."""

LOOP_LAG: Final = place_of(catalogue.LOOP_LAG_SECONDS)
"""Cell of `sidegate_loop_lag_seconds`, in nanoseconds."""

AUTHORITY_PLACE: Final[dict[Authority | None, int]] = {
    **{authority: place for place, authority in enumerate(Authority)},
    None: len(Authority),
}
"""Added to a reason's cell: which authority was asked; None for no authority."""

REASON_CELL: Final[dict[Reason, int]] = {
    reason: place_of(catalogue.DECISIONS) + place * len(AUTHORITY_PLACE) for place, reason in enumerate(Reason)
}
"""First cell of a reason: ``cells[REASON_CELL[reason] + AUTHORITY_PLACE[authority]] += 1``."""

_CODES: Final = catalogue.CODES_END - catalogue.FIRST_CODE + 1  # one for no code at all

REQUEST_CELL: Final[dict[RequestKind, int]] = {
    kind: place_of(catalogue.REQUESTS) + place * _CODES - (catalogue.FIRST_CODE - 1)
    for place, kind in enumerate(RequestKind)
}
"""``cells[REQUEST_CELL[kind] + status] += 1`` for a status from 100 to 599 that was checked before."""

NO_STATUS: Final = catalogue.FIRST_CODE - 1
"""In the place of a status: there was no answer."""

UPSTREAM_FAILURE_CELL: Final[dict[UpstreamFailure, int]] = {
    cause: place_of(catalogue.UPSTREAM_FAILURES) + place for place, cause in enumerate(UpstreamFailure)
}

AUDIT_DROP_CELL: Final[dict[AuditDrop, int]] = {
    cause: place_of(catalogue.AUDIT_DROPPED) + place for place, cause in enumerate(AuditDrop)
}

ANOMALY_CELL: Final[dict[AnomalyKind, int]] = {
    kind: place_of(catalogue.ANOMALIES) + place for place, kind in enumerate(AnomalyKind)
}

TLS_FAILURE_CELL: Final[dict[TlsFailure, int]] = {
    cause: place_of(catalogue.TLS_HANDSHAKE_FAILURES) + place for place, cause in enumerate(TlsFailure)
}

TLS_RELOAD_FAILURE_CELL: Final[dict[TlsUse, int]] = {
    use: place_of(catalogue.TLS_RELOAD_FAILURES) + place for place, use in enumerate(TlsUse)
}

PROXY_HEADER_FAILURE_CELL: Final[dict[ProxyHeaderFailure, int]] = {
    cause: place_of(catalogue.PROXY_HEADER_FAILURES) + place for place, cause in enumerate(ProxyHeaderFailure)
}

KEY_EXPIRY_WARNINGS: Final = place_of(catalogue.KEY_EXPIRY_WARNINGS)
"""Cell of `sidegate_key_expiry_warnings_total`."""

WORKER_STARTS: Final = place_of(catalogue.WORKER_STARTS)
"""Cell of `sidegate_worker_starts_total`."""

_CREDENTIAL_OUTCOMES: Final = 1 + len(catalogue.CREDENTIAL_REASONS)

CREDENTIAL_CELL: Final[dict[PresentedKind, int]] = {
    kind: place_of(catalogue.CREDENTIALS) + place * _CREDENTIAL_OUTCOMES for place, kind in enumerate(PresentedKind)
}
"""Cell of a verified credential of that kind."""

CREDENTIAL_REASON_PLACE: Final[dict[Reason, int]] = {
    reason: place for place, reason in enumerate(catalogue.CREDENTIAL_REASONS, start=1)
}
"""Added to the cell of the kind: why it was refused."""

SHADOW_CELL: Final[dict[tuple[Outcome, Outcome], int]] = {
    (enforced, candidate): place_of(catalogue.SHADOW_DIVERGENCE) + row * len(Outcome) + column
    for row, enforced in enumerate(Outcome)
    for column, candidate in enumerate(Outcome)
}


class Histogram:
    """Durations by bucket.

    Args:
        cells: The cells of the process.
        metric: Which histogram of the catalogue.
    """

    __slots__ = ("_cells", "_place", "_sum")

    def __init__(self, cells: list[int], metric: Metric) -> None:
        self._cells = cells
        self._place = place_of(metric)
        self._sum = self._place + BUCKET_CELLS

    def observe_ns(self, duration: int) -> None:
        """Count one *duration*, in nanoseconds, not negative. Bucket k holds what is at most 2^k microseconds."""
        cells = self._cells
        # Rounding up to whole microseconds and taking one away, in one division; nothing but 0 stays 0.
        cells[self._place + ((duration and duration - 1) // _NANOS_PER_MICRO).bit_length()] += 1
        cells[self._sum] += duration


Source = Callable[[], int | None]
"""Reads a number when it is asked for: whole units, or nanoseconds for a metric in seconds; None for "not here"."""


class Metrics:
    """What one process has counted.

    Args:
        cpu_ns: The CPU time that this process has spent, in nanoseconds.

    Attributes:
        cells: The numbers. The list stays the same object for good, so it may be bound beforehand.
        decision_seconds: Time that decisions took.
        overhead_seconds: Time added to requests.
        upstream_seconds: Time that the upstream took.
    """

    __slots__ = ("_before", "_sources", "cells", "decision_seconds", "overhead_seconds", "upstream_seconds")

    def __init__(self, cpu_ns: Source = process_cpu_ns) -> None:
        self.cells: list[int] = [0] * CELLS
        for metric in catalogue.METRICS:
            if metric.kind is MetricKind.GAUGE:
                place = place_of(metric)
                self.cells[place : place + cells_of(metric)] = [ABSENT] * cells_of(metric)
        self.cells[IN_FLIGHT] = self.cells[CONNECTIONS] = 0
        self.decision_seconds = Histogram(self.cells, catalogue.DECISION_SECONDS)
        self.overhead_seconds = Histogram(self.cells, catalogue.OVERHEAD_SECONDS)
        self.upstream_seconds = Histogram(self.cells, catalogue.UPSTREAM_SECONDS)
        self._sources: dict[int, Source] = {}
        self._before: dict[int, int] = {}  # what a predecessor had counted, where a source counts from zero
        self.watch(catalogue.PROCESS_CPU_SECONDS, cpu_ns)

    def count_decision(self, reason: Reason, authority: Authority | None) -> None:
        """Count one decision; the outcome follows from *reason*."""
        self.cells[REASON_CELL[reason] + AUTHORITY_PLACE[authority]] += 1

    def count_request(self, kind: RequestKind, status: int | None) -> None:
        """Count one finished request. A *status* that is no status counts as none: never raises on the data path."""
        known = status is not None and catalogue.FIRST_CODE <= status < catalogue.CODES_END
        self.cells[REQUEST_CELL[kind] + (status if known and status is not None else NO_STATUS)] += 1

    def count_upstream_failure(self, cause: UpstreamFailure) -> None:
        """Count one request that failed at the upstream."""
        self.cells[UPSTREAM_FAILURE_CELL[cause]] += 1

    def count_credential(self, kind: PresentedKind, refused: Reason | None) -> None:
        """Count one verification: *refused* is None for a good credential.

        Raises:
            KeyError: *refused* is no reason for which a credential is refused.
        """
        self.cells[CREDENTIAL_CELL[kind] + (0 if refused is None else CREDENTIAL_REASON_PLACE[refused])] += 1

    def count_audit_drops(self, cause: AuditDrop, records: int) -> None:
        """Count audit *records* that are not in the spool."""
        self.cells[AUDIT_DROP_CELL[cause]] += records

    def count_divergence(self, enforced: Outcome, candidate: Outcome) -> None:
        """Count one request that the candidate policy would have decided differently."""
        self.cells[SHADOW_CELL[enforced, candidate]] += 1

    def count_load_failure(self) -> None:
        """Count one policy that could not be used."""
        self.cells[LOAD_FAILURES] += 1

    def set_gauge(self, metric: Metric, number: int | None) -> None:
        """Set an unlabelled gauge: whole units, or nanoseconds for a metric in seconds; None for "not here"."""
        self.cells[place_of(metric)] = ABSENT if number is None else number

    def watch(self, metric: Metric, source: Source, row: Row = ()) -> None:
        """Let *source* say the value of *metric* whenever it is read; replaces an earlier source. It must not raise.

        Args:
            metric: A gauge; or a counter that somebody else keeps, whose source then says what this process counted.
            source: Cheap; called a few times a second where there are workers.
            row: Values of the labels.

        Raises:
            ValueError: *metric* has no such row.
        """
        cell = place_of(metric) + metric.rows.index(row)
        self._sources[cell] = source
        if metric.kind is MetricKind.COUNTER:
            self._before[cell] = self.cells[cell]

    def resume(self, before: Sequence[int]) -> None:
        """Go on counting from *before*, the cells of a process whose place this one takes; gauges start anew."""
        for metric in catalogue.METRICS:
            if metric.kind is not MetricKind.GAUGE:
                place = place_of(metric)
                end = place + cells_of(metric)
                self.cells[place:end] = before[place:end]
        for cell in self._before:
            self._before[cell] = before[cell]

    def read(self) -> list[int]:
        """Ask the sources and return the cells, the list itself."""
        cells = self.cells
        for cell, source in self._sources.items():
            number = source()
            cells[cell] = ABSENT if number is None else number + self._before.get(cell, 0)
        return cells
