"""Written forms of the values of options."""

from ipaddress import ip_address

import pytest

from sidegate.cli.arguments import (
    instant_of,
    parse_address,
    parse_age,
    parse_duration,
    parse_headers,
    parse_list,
    read_value,
)
from sidegate.cli.exit_codes import UsageError
from sidegate.core.model.units import Millis, UnixMillis


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        pytest.param("500ms", 500, id="milliseconds"),
        pytest.param("45s", 45_000, id="seconds"),
        pytest.param("30m", 1_800_000, id="minutes"),
        pytest.param("12h", 43_200_000, id="hours"),
        pytest.param("90d", 7_776_000_000, id="days"),
        pytest.param("2w", 1_209_600_000, id="weeks"),
        pytest.param("0s", 0, id="nothing"),
        pytest.param("0", 0, id="nothing-in-any-unit"),
    ],
)
def test_durations(text: str, millis: int) -> None:
    """A whole number and a unit."""
    assert parse_duration(text) == Millis(millis)


@pytest.mark.parametrize("text", ["", "5", "d", "1.5h", "-1d", "1 d", "1y", "9999999999d", "٣d"])
def test_what_is_no_duration(text: str) -> None:
    """Anything else is refused with what to write."""
    with pytest.raises(ValueError, match="write it like 90d, 12h, 30m or 45s"):
        parse_duration(text)


def test_ages() -> None:
    """An age may also be whole seconds, as the lines of decide have them."""
    assert [parse_age(text) for text in ("60", "60s", "1m")] == [Millis(60_000)] * 3


def test_lists() -> None:
    """Commas divide; blanks around do not count; nothing stays nothing."""
    assert parse_list("read, write") == ["read", "write"]
    assert parse_list(None) is None
    assert parse_list("") == [""]


def test_addresses() -> None:
    """Both families; anything else is refused."""
    assert parse_address("2001:db8::1") == ip_address("2001:db8::1")
    with pytest.raises(ValueError, match=r"`10\.0\.0` is no address; write it like 10\.0\.0\.9 or 2001:db8::1"):
        parse_address("10.0.0")


def test_headers() -> None:
    """By name in lower case, blanks around taken off."""
    assert parse_headers(["X-A: 1 ", "b:c:d"]) == {"x-a": "1", "b": "c:d"}
    assert parse_headers(None) == {}


def test_instants() -> None:
    """As given, else now."""
    assert instant_of(None, UnixMillis(5)) == UnixMillis(5)
    assert instant_of("1970-01-01T00:00:01Z", UnixMillis(5)) == UnixMillis(1000)


@pytest.mark.parametrize("text", ["soon", "2026-01-01"])
def test_errors_name_the_option(text: str) -> None:
    """What cannot be read is told with the option's name before it."""
    with pytest.raises(UsageError, match=r"^--time: "):
        instant_of(text, UnixMillis(0))
    with pytest.raises(UsageError, match=r"^--x: no$"):
        read_value("--x", text, _refuse)


def _refuse(_: str) -> None:
    raise ValueError("no")
