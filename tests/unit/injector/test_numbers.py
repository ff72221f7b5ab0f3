"""What the injector counts."""

from sidegate.injector.numbers import MEANINGS, REVIEWS, SECONDS, Numbers
from sidegate.injector.review import ReviewOutcome
from sidegate.telemetry.exposition import OPENMETRICS, TEXT
from sidegate.telemetry.metrics import Metrics


def test_every_outcome_is_there_from_the_start() -> None:
    """An alert on the first denial has a nought to compare it with; nothing of a sidecar's own is exported."""
    text = Numbers(Metrics()).encode(TEXT, []).decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert {f'{REVIEWS}{{outcome="{outcome}"}}': "0.0" for outcome in ReviewOutcome}.items() <= values.items()
    assert not [name for name in values if name.startswith("sidegate_decisions")]
    assert not [name for name in values if "_created" in name]


def test_reviews_are_counted_with_their_time() -> None:
    """What was no review has no time."""
    numbers = Numbers(Metrics())
    numbers.count(ReviewOutcome.INJECTED, 0.002)
    numbers.count(ReviewOutcome.INVALID, 0.0)
    text = numbers.encode(TEXT, []).decode()
    assert f'{REVIEWS}{{outcome="injected"}} 1.0' in text
    assert f'{REVIEWS}{{outcome="invalid"}} 1.0' in text
    assert f"{SECONDS}_count 1.0" in text
    assert f"{SECONDS}_sum 0.002" in text
    assert numbers.encode(OPENMETRICS, []).endswith(b"# EOF\n")


def test_two_injectors_count_apart() -> None:
    """Each has a registry of its own."""
    first, second = Numbers(Metrics()), Numbers(Metrics())
    first.count(ReviewOutcome.DENIED, 0.1)
    assert f'{REVIEWS}{{outcome="denied"}} 0.0' in second.encode(TEXT, []).decode()
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())
