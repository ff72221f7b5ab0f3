"""Ids of records: UUID version 7, rising within one sidecar (RFC 9562 section 5.7)."""

import re
from collections.abc import Callable
from typing import Final

from sidegate.core.model.units import UnixMillis

_RANDOM_BYTES: Final = 10  # rand_a (12 bits), rand_b (62 bits), and 6 bits left over
_TEXT: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MILLIS_MASK: Final = (1 << 48) - 1
# The last 48 bits count up within one millisecond (RFC 9562 section 6.2, method 2: a random start, its top bit clear).
# With that bit clear a start is at least 2**47 below the end: nobody makes that many ids before the clock moves.
_LAST_BYTE: Final = 0xFF
_HEX: Final = tuple(b"%02x" % byte for byte in range(256))
_COUNTER_START_MASK: Final = (1 << 47) - 1


class Uuid7:
    """Makes ids that sort by the order they were made in, also when the clock is set back.

    Args:
        random_bytes: Source of that many random bytes, e.g. ``os.urandom``. Asked once per millisecond, not per id:
            the ids of one millisecond are neighbours. They are unique, not secret.
    """

    __slots__ = ("_counter", "_millis", "_prefix", "_random_bytes", "_stem")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._millis = -1
        self._prefix = b""
        self._counter = 0
        # All but the last byte of the text, which alone changes from one id to the next, 255 times of 256.
        self._stem = b""

    def next(self, now: UnixMillis) -> bytes:
        """Return the next id in its text form, 36 ASCII bytes. *now* may stand still or run back."""
        if now > self._millis:
            self._restart(now)
        else:
            self._counter += 1
            if not self._counter & _LAST_BYTE:
                self._set_stem()
        return self._stem + _HEX[self._counter & _LAST_BYTE]

    def _set_stem(self) -> None:
        self._stem = b"%b%010x" % (self._prefix, self._counter >> 8)

    def _restart(self, now: UnixMillis) -> None:
        bits = int.from_bytes(self._random_bytes(_RANDOM_BYTES))
        millis = now & _MILLIS_MASK
        self._millis = now
        self._counter = bits & _COUNTER_START_MASK
        self._prefix = b"%08x-%04x-7%03x-%04x-" % (
            millis >> 16,
            millis & 0xFFFF,
            bits >> 68,
            0x8000 | (bits >> 48 & 0x3FFF),
        )
        self._set_stem()


def millis_of(identifier: str) -> UnixMillis | None:
    """Return the instant in a version 7 UUID, or None if *identifier* is not the text of one."""
    found = _TEXT.fullmatch(identifier)
    return None if found is None else UnixMillis(int(found[1] + found[2], 16))
