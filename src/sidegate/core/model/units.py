"""Units that mypy keeps apart, and the written form of an instant."""

from datetime import UTC, datetime, timedelta
from typing import NewType

Millis = NewType("Millis", int)
"""A duration in whole milliseconds."""

UnixMillis = NewType("UnixMillis", int)
"""An instant: whole milliseconds since 1970-01-01T00:00:00Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_instant(text: str) -> UnixMillis:
    """Read an RFC 3339 instant, e.g. ``2026-12-01T00:00:00Z``.

    Raises:
        ValueError: Not an instant, or one without an offset: a local time would mean
            something else on every machine.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is not an instant; write it like 2026-12-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"`{text}` has no offset; write it like 2026-12-01T00:00:00Z")
    return UnixMillis((moment - _EPOCH) // timedelta(milliseconds=1))


def format_instant(instant: UnixMillis) -> str:
    """Write *instant* as RFC 3339 with milliseconds in UTC, e.g. ``2026-12-01T00:00:00.000Z``."""
    moment = _EPOCH + timedelta(milliseconds=instant)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant % 1000:03d}Z"
