"""Instants as text, many of them within one second."""

from sidegate.core.model.units import UnixMillis, format_instant

_FRACTION_CHARS = len("000Z")


class InstantText:
    """Writes instants like ``2026-12-01T00:00:00.000Z``, remembering the last: 0.2 µs instead of 2, or nothing."""

    __slots__ = ("_instant", "_prefix", "_second", "_text")

    def __init__(self) -> None:
        self._second: int | None = None
        self._prefix = b""
        self._instant: int | None = None
        self._text = b""

    def write(self, instant: UnixMillis) -> bytes:
        """Return what :func:`format_instant` returns, as ASCII."""
        if instant == self._instant:
            return self._text
        second, millis = divmod(instant, 1000)
        if second != self._second:
            self._prefix = format_instant(instant).encode()[:-_FRACTION_CHARS]
            self._second = second
        self._instant = instant
        self._text = b"%b%03dZ" % (self._prefix, millis)
        return self._text
