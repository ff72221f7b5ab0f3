"""Instants as text, many of them within one second."""

from sidegate.core.model.units import UnixMillis, format_instant

_FRACTION_CHARS = len("000Z")


class InstantText:
    """Writes instants like ``2026-12-01T00:00:00.000Z``, remembering the second: 0.2 µs instead of 2."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second: int | None = None
        self._prefix = b""

    def write(self, instant: UnixMillis) -> bytes:
        """Return what :func:`format_instant` returns, as ASCII."""
        second, millis = divmod(instant, 1000)
        if second != self._second:
            self._prefix = format_instant(instant).encode()[:-_FRACTION_CHARS]
            self._second = second
        return b"%b%03dZ" % (self._prefix, millis)
