"""The form of a cache on disk: one line that says what it is and how old, and content of which every bit is checked.

A file is a first line of :data:`LINE_BYTES`, then entries, each behind its length::

    sidegate-cache 1 policy 4fb1c8... 1795326096808 48211 9c2e...  (blanks)
    <4 bytes: length> <entry> <4 bytes: length> <entry> ...

The line names the format, the kind of content, a digest of where the content came from, the instant at which it was
last known to be current, how many bytes of content count, and a SHA-256 over all of that and those bytes. Content that
is appended behind them does not count until a new line says so: whoever is killed in the middle of writing leaves the
state of before. Anything else that is not what was written is refused whole.
"""

import re
import struct
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value

if TYPE_CHECKING:
    from hashlib import _Hash

FORMAT: Final = 1
LINE_BYTES: Final = 256
"""Of the first line. It is overwritten in place, in one write within one page."""

FUTURE: Final = Millis(5000)
"""How far ahead of the clock a file may be: clocks are corrected. It counts as written now."""

_DOMAIN: Final = b"sidegate cache v1"
_LENGTH: Final = struct.Struct(">I")
_LINE: Final = re.compile(
    rb"sidegate-cache ([0-9]{1,4}) ([a-z]{1,32}) ([0-9a-f]{64}) ([0-9]{1,16}) ([0-9]{1,16}) ([0-9a-f]{64}) *\n"
)


@value
class CacheLabel:
    """What a cache is of.

    Attributes:
        kind: Small letters, e.g. ``policy``.
        source: Where the content came from, e.g. the address of a Redis without credentials; never shown.
    """

    kind: str
    source: str

    @property
    def source_digest(self) -> str:
        """SHA-256 of the source, in hex."""
        return sha256(self.source.encode()).hexdigest()


@value
class Kept:
    """A cache that was read and is what was written.

    Attributes:
        at: When it was last known to be current; never later than the clock.
        entries: In the order in which they were written.
    """

    at: UnixMillis
    entries: tuple[bytes, ...]


class Seal:
    """The digest of content that grows at its end.

    Args:
        label: What it is of.

    Attributes:
        length: Bytes of content so far.
    """

    __slots__ = ("_hash", "_label", "length")

    def __init__(self, label: CacheLabel) -> None:
        self._label = label
        self._hash: _Hash = sha256(b"\0".join((_DOMAIN, label.kind.encode(), label.source_digest.encode(), b"")))
        self.length = 0

    def add(self, content: bytes | memoryview) -> None:
        """Count *content*, frames included, as written behind what was there."""
        self._hash.update(content)
        self.length += len(content)

    def line(self, at: UnixMillis) -> bytes:
        """Return the first line of a file that holds what was added and was current at *at*."""
        hashed = self._hash.copy()
        hashed.update(f"\0{at}\0{self.length}".encode())
        said = f"sidegate-cache {FORMAT} {self._label.kind} {self._label.source_digest} {at} {self.length}"
        return f"{said} {hashed.hexdigest()}".encode().ljust(LINE_BYTES - 1) + b"\n"


def frame(entry: bytes) -> bytes:
    """Return *entry* as it stands among others."""
    return _LENGTH.pack(len(entry)) + entry


def open_sealed(label: CacheLabel, content: bytes, now: UnixMillis, max_age: Millis) -> Kept:
    """Check a whole file.

    Args:
        label: What it must be of.
        content: All its bytes.
        now: Wall clock.
        max_age: Oldest that may be used, milliseconds.

    Raises:
        IntegrityError: It is of another format, kind or source, not what was written, or too old; says which.
    """
    found = _LINE.fullmatch(content, 0, LINE_BYTES)
    if found is None:
        raise IntegrityError("it is no cache of sidegate")
    if int(found[1]) != FORMAT:
        raise IntegrityError(f"it has format {int(found[1])}, known is {FORMAT}")
    if found[2].decode() != label.kind or found[3].decode() != label.source_digest:
        raise IntegrityError("it was kept of another source")
    at, length = UnixMillis(int(found[4])), int(found[5])
    body = memoryview(content)[LINE_BYTES : LINE_BYTES + length]
    seal = Seal(label)
    seal.add(body)
    if len(body) != length or not compare_digest(seal.line(at), content[:LINE_BYTES]):
        raise IntegrityError("it is not what was written")
    if at > now + FUTURE:
        raise IntegrityError(f"it is from {at - now} ms in the future; look whether the clock was set back")
    if now - at > max_age:
        raise IntegrityError(f"it is {now - at} ms old, allowed are {max_age}")
    return Kept(UnixMillis(min(at, now)), tuple(_entries(body)))


def _entries(body: memoryview) -> Iterable[bytes]:
    place, end = 0, len(body)
    while place < end:
        if place + _LENGTH.size > end:
            raise IntegrityError("its last entry is cut off")
        size: int = _LENGTH.unpack_from(body, place)[0]
        place += _LENGTH.size
        if place + size > end:
            raise IntegrityError("its last entry is cut off")
        yield bytes(body[place : place + size])
        place += size
