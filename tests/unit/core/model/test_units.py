"""Instants and their written form."""

import pytest

from sidegate.core.model.units import UnixMillis, format_instant, parse_instant, year_after


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        pytest.param("1970-01-01T00:00:00Z", 0, id="epoch"),
        pytest.param("1970-01-01T00:00:00.001Z", 1, id="one-millisecond"),
        pytest.param("1970-01-01T01:00:00+01:00", 0, id="offset"),
        pytest.param("2026-12-01T00:00:00Z", 1_796_083_200_000, id="spec-example"),
        pytest.param("1969-12-31T23:59:59.999Z", -1, id="before-epoch"),
        pytest.param("1970-01-01T00:00:00.001999Z", 1, id="microseconds-are-cut"),
    ],
)
def test_reading_instants(text: str, instant: int) -> None:
    """RFC 3339 to whole milliseconds."""
    assert instant == parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        *("soon", "", "2026-13-01T00:00:00Z"),
        pytest.param("9999-12-31T23:59:59-00:01", id="in-the-year-10000-in-utc"),
        pytest.param("0001-01-01T00:00:00+00:01", id="before-the-year-1-in-utc"),
    ],
)
def test_what_is_no_instant(text: str) -> None:
    """The message shows how to write one."""
    with pytest.raises(ValueError, match="is not an instant"):
        parse_instant(text)


def test_a_local_time_is_refused() -> None:
    """It would mean something else on every machine."""
    with pytest.raises(ValueError, match="has no offset"):
        parse_instant("2026-12-01T00:00:00")


@pytest.mark.parametrize(
    "instant", [0, 1, 999, 1_796_083_200_000, -1, -62_135_596_800_000, -30_610_224_000_001, 253_402_300_799_999]
)
def test_writing_and_reading_are_inverse(instant: int) -> None:
    """Always UTC with milliseconds."""
    assert instant == parse_instant(format_instant(UnixMillis(instant)))


def test_written_form() -> None:
    """One width, so that it sorts as text."""
    assert format_instant(UnixMillis(1_796_083_200_007)) == "2026-12-01T00:00:00.007Z"


@pytest.mark.parametrize(
    ("begun", "over"),
    [
        pytest.param("2026-11-22T10:00:00.123Z", "2027-11-22T10:00:00.123Z", id="365-days"),
        pytest.param("2027-11-22T10:00:00.000Z", "2028-11-22T10:00:00.000Z", id="366-days"),
        pytest.param("2028-02-28T23:59:59.999Z", "2029-02-28T23:59:59.999Z", id="before-a-leap-day"),
        pytest.param("2028-02-29T00:00:00.000Z", "2029-03-01T00:00:00.000Z", id="leap-day"),
        pytest.param("9999-06-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", id="last-year"),
    ],
)
def test_a_year(begun: str, over: str) -> None:
    """A year is a year of the calendar."""
    assert format_instant(year_after(parse_instant(begun))) == over
