"""Reads what ``/metrics`` answers: the other side of :mod:`sidegate.telemetry.exposition`."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from sidegate.core.model.value import value

_BUCKET: Final = "_bucket"
_BOUND: Final = "le"

Labels = frozenset[tuple[str, str]]


@value
class Samples:
    """The samples of one scrape.

    Attributes:
        numbers: By name and labels.
    """

    numbers: Mapping[tuple[str, Labels], float]

    def has(self, name: str) -> bool:
        """Whether there is any sample called *name*."""
        return any(found == name for found, _ in self.numbers)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples called *name* that carry *labels*; 0 if there are none."""
        wanted = labels.items()
        return sum(number for carried, number in self.called(name) if wanted <= set(carried))

    def called(self, name: str) -> Iterator[tuple[Labels, float]]:
        """Return the samples called *name* with their labels."""
        return ((labels, number) for (found, labels), number in self.numbers.items() if found == name)

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return the samples called *name* that carry *labels*, added up by the value of *label*."""
        sums: dict[str, float] = {}
        for carried, number in self.called(name):
            if labels.items() <= set(carried):
                member = dict(carried).get(label, "")
                sums[member] = sums.get(member, 0.0) + number
        return sums

    def buckets(self, name: str) -> list[tuple[float, float]]:
        """Return the buckets of histogram *name*: upper bound and count of all up to it, by bound."""
        found = ((float(dict(labels)[_BOUND]), number) for labels, number in self.called(f"{name}{_BUCKET}"))
        return sorted(found)


def read_samples(text: str) -> Samples:
    """Read the Prometheus text format.

    Raises:
        ValueError: It is none.
    """
    numbers = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            numbers[sample.name, frozenset(sample.labels.items())] = float(sample.value)
    return Samples(numbers)


def added(before: Samples, after: Samples) -> Samples:
    """Return by how much each counter grew; one that began anew counts from nothing, as its process did."""
    grown = {}
    for key, number in after.numbers.items():
        earlier = before.numbers.get(key, 0.0)
        grown[key] = number - earlier if number >= earlier else number
    return Samples(grown)


def quantile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """Return the value below which *share* of the observations are, as Prometheus's ``histogram_quantile`` does.

    Args:
        buckets: Upper bound and count of all observations up to it, by bound; the last bound is infinite.
        share: From 0 to 1.

    Returns:
        None without any observation; the greatest finite bound if it lies beyond.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = share * buckets[-1][1]
    lower = below = 0.0
    for bound, count in buckets:
        if count >= rank:
            if bound == float("inf"):
                return lower
            inside = count - below
            return lower + (bound - lower) * ((rank - below) / inside if inside > 0 else 1.0)
        lower, below = bound, count
    return lower
