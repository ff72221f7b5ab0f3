"""Tests of what a check of a chain says."""

import pytest

from sidegate.core.trail.finding import ChainReport, Finding, FindingKind, Place


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        pytest.param(Place("a/1.ndjson", 7), "a/1.ndjson:7: changed: so it is", id="with-a-place"),
        pytest.param(None, "changed: so it is", id="without"),
    ],
)
def test_finding_reads_like_a_compiler_message(place: Place | None, expected: str) -> None:
    """Place first, so that a person can go there."""
    assert expected == str(Finding(FindingKind.CHANGED, "h", place, 1, 1, "so it is"))


@pytest.mark.parametrize(
    ("first", "last", "signed", "expected"),
    [
        pytest.param(1, 9, 9, 0, id="all-signed"),
        pytest.param(1, 9, 4, 5, id="some"),
        pytest.param(1, 9, 0, 9, id="none"),
        pytest.param(5, 9, 0, 5, id="none-of-those-that-are-left"),
        pytest.param(5, 4, 4, 0, id="no-record"),
        pytest.param(0, 0, 0, 0, id="nothing"),
    ],
)
def test_unsigned_records_are_those_after_the_last_signature(first: int, last: int, signed: int, expected: int) -> None:
    """Of the records that are there."""
    report = ChainReport("h", last - first + 1, 1, first, last, signed, (), 0)
    assert expected == report.unsigned_records
