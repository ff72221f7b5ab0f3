"""What the injector counts, for Prometheus."""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric as Family

from sidegate.injector.review import ReviewOutcome
from sidegate.telemetry.exposition import Exposition, encode, families
from sidegate.telemetry.metrics import Metrics
from sidegate.telemetry.shared import readings_of

REVIEWS: Final = "sidegate_injector_reviews_total"
SECONDS: Final = "sidegate_injector_review_seconds"
MEANINGS: Final = {
    REVIEWS: "Reviews by what became of them.",
    SECONDS: "Time that an answer took.",
}

# Decoding a pod of the largest size takes some tens of milliseconds; the API server waits for seconds.
_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_OF_TLS: Final = "sidegate_tls_"


class Numbers(Exposition):
    """Reviews by outcome, their time, and what is known of the certificate.

    Args:
        metrics: Where the certificate is watched.
    """

    __slots__ = ("_common", "_registry", "_reviews", "_seconds")

    def __init__(self, metrics: Metrics) -> None:
        self._common = readings_of(metrics)
        super().__init__(self._common)
        self._registry = CollectorRegistry()
        self._reviews = Counter(REVIEWS.removesuffix("_total"), MEANINGS[REVIEWS], ["outcome"], registry=self._registry)
        self._seconds = Histogram(SECONDS, MEANINGS[SECONDS], buckets=_BUCKETS, registry=self._registry)
        for outcome in ReviewOutcome:
            # There from the start, so that an alert on a first one has a value to compare with.
            self._reviews.labels(str(outcome))

    def count(self, outcome: ReviewOutcome, seconds: float) -> None:
        """Count one review that took *seconds*; one that was none took nothing."""
        self._reviews.labels(str(outcome)).inc()
        if outcome is not ReviewOutcome.INVALID:
            self._seconds.observe(seconds)

    def encode(self, content_type: str, processes: Sequence[Family]) -> bytes:
        """Write everything."""
        common = [family for family in families(self._common()) if family.name.startswith(_OF_TLS)]
        return encode([*self._own(), *common, *processes], content_type)

    def _own(self) -> Iterator[Family]:
        for family in self._registry.collect():
            # When a counter began to count is known from the start of the process.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
