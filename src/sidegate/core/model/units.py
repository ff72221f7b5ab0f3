"""Units that mypy keeps apart, and the written form of an instant."""

from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import NewType

Millis = NewType("Millis", int)
"""A duration in whole milliseconds."""

UnixMillis = NewType("UnixMillis", int)
"""An instant: whole milliseconds since 1970-01-01T00:00:00Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = UnixMillis(-62_135_596_800_000)
_LAST = UnixMillis(253_402_300_799_999)
"""The first and the last millisecond, in UTC, of the years 1 to 9999: others have no written form."""


def parse_instant(text: str) -> UnixMillis:
    """Read an RFC 3339 instant, e.g. ``2026-12-01T00:00:00Z``.

    Raises:
        ValueError: Not an instant, or one that is not of the years 1 to 9999 in UTC; or one without an offset: a local
            time would mean something else on every machine.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is not an instant; write it like 2026-12-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"`{text}` has no offset; write it like 2026-12-01T00:00:00Z")
    instant = UnixMillis((moment - _EPOCH) // timedelta(milliseconds=1))
    if not _FIRST <= instant <= _LAST:
        raise ValueError(f"`{text}` is not an instant of the years 1 to 9999 in UTC; leave it out if it means never")
    return instant


def format_instant(instant: UnixMillis) -> str:
    """Write *instant* as RFC 3339 with milliseconds in UTC, e.g. ``2026-12-01T00:00:00.000Z``."""
    moment = _EPOCH + timedelta(milliseconds=instant)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def year_after(instant: UnixMillis) -> UnixMillis:
    """Return the same day and time of the next year, the first of March after a leap day; never later than can be
    written."""
    moment = _EPOCH + timedelta(milliseconds=instant)
    if moment.year == MAXYEAR:
        return _LAST
    try:
        later = moment.replace(year=moment.year + 1)
    except ValueError:
        later = moment.replace(year=moment.year + 1, month=3, day=1)
    return UnixMillis((later - _EPOCH) // timedelta(milliseconds=1))
