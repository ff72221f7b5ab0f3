"""Reading what `/metrics` answers."""

import math

import pytest

from sidegate.telemetry.scrape import Samples, added, quantile, read_samples

TEXT = """\
# TYPE sidegate_decisions_total counter
sidegate_decisions_total{authority="read",outcome="allow",reason="granted"} 5.0
sidegate_decisions_total{authority="read",outcome="deny",reason="no_grant"} 2.0
sidegate_decisions_total{authority="write",outcome="deny",reason="no_grant"} 1.0
# TYPE sidegate_decision_seconds histogram
sidegate_decision_seconds_bucket{le="2e-06"} 4.0
sidegate_decision_seconds_bucket{le="1e-06"} 1.0
sidegate_decision_seconds_bucket{le="+Inf"} 8.0
sidegate_decision_seconds_count 8.0
sidegate_decision_seconds_sum 0.1
# TYPE sidegate_connections gauge
sidegate_connections 3.0
"""


@pytest.fixture
def samples() -> Samples:
    """Those of the text above."""
    return read_samples(TEXT)


def test_samples_are_added_up(samples: Samples) -> None:
    """Over all labels that are not asked for; what is not there is 0, and known not to be there."""
    assert samples.total("sidegate_decisions_total") == 8
    assert samples.total("sidegate_decisions_total", outcome="deny") == 3
    assert samples.total("sidegate_redis_up") == 0
    assert (samples.has("sidegate_connections"), samples.has("sidegate_redis_up")) == (True, False)


def test_samples_are_grouped_by_a_label(samples: Samples) -> None:
    """Within those that carry the others."""
    assert samples.by("sidegate_decisions_total", "authority", outcome="deny") == {"read": 2, "write": 1}


def test_buckets_are_in_the_order_of_bounds(samples: Samples) -> None:
    """As numbers, not as texts."""
    assert samples.buckets("sidegate_decision_seconds") == [(1e-6, 1), (2e-6, 4), (math.inf, 8)]


def test_counter_that_began_anew_counts_from_nothing(samples: Samples) -> None:
    """A process that was restarted must not show negative rates."""
    later = read_samples('# TYPE a counter\na_total{b="1"} 7\na_total{b="2"} 1\na_total{b="3"} 4\n')
    before = read_samples('# TYPE a counter\na_total{b="1"} 5\na_total{b="2"} 9\n')
    assert added(before, later).by("a_total", "b") == {"1": 2, "2": 1, "3": 4}


def test_what_is_no_exposition_is_refused() -> None:
    """With a ValueError, whatever it is."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the library's
        read_samples("<html>")


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        pytest.param([], 0.5, None, id="no-buckets"),
        pytest.param([(1.0, 0.0), (math.inf, 0.0)], 0.5, None, id="no-observations"),
        pytest.param([(1.0, 4.0), (2.0, 8.0), (math.inf, 8.0)], 0.25, 0.5, id="within-the-first"),
        pytest.param([(1.0, 4.0), (2.0, 8.0), (math.inf, 8.0)], 0.5, 1.0, id="at-a-bound"),
        pytest.param([(1.0, 4.0), (2.0, 8.0), (math.inf, 8.0)], 0.75, 1.5, id="within-the-second"),
        pytest.param([(1.0, 0.0), (2.0, 8.0), (math.inf, 8.0)], 0.5, 1.5, id="behind-an-empty-one"),
        pytest.param([(1.0, 4.0), (math.inf, 8.0)], 0.99, 1.0, id="beyond-all-bounds"),
        pytest.param([(1.0, 0.0), (math.inf, 8.0)], 0.0, 1.0, id="share-of-nothing"),
    ],
)
def test_quantile(buckets: list[tuple[float, float]], share: float, expected: float | None) -> None:
    """Linear within a bucket, as Prometheus does; never beyond what was measured."""
    assert quantile(buckets, share) == expected
