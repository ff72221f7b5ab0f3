"""The table for the documentation."""

from sidegate.telemetry.catalogue import METRICS
from sidegate.telemetry.reference import metrics_reference


def test_every_metric_has_a_row_of_the_same_width() -> None:
    """One line each behind the heading, in the order of the catalogue."""
    heading, rule, *rows = metrics_reference().splitlines()
    assert [row.split("|")[1].strip() for row in rows] == [f"`{metric.name}`" for metric in METRICS]
    assert {row.count("|") for row in (heading, rule, *rows)} == {6}


def test_labels_are_listed_with_their_values_or_described() -> None:
    """A reader learns what a query can ask for; five hundred statuses are a range."""
    rows = {row.split("`")[1]: row for row in metrics_reference().splitlines()[2:]}
    assert "`cause`: `unreachable` `timeout` `invalid` `truncated`" in rows["sidegate_upstream_failures_total"]
    assert "`code`: the status, `100` to `599`" in rows["sidegate_requests_total"]
    assert "`outcome`: `allow` `deny`" in rows["sidegate_decisions_total"]
    assert "| none |" in rows["sidegate_redis_up"]
