"""The hash chain that every line of one sidecar hangs in (spec 5.7).

A record's line ends in ``,"sidecar":S,"seq":N,"hash":H}`` where H is the SHA-256 (hex) of the previous hash followed by
the line's bytes before ``,"hash"``. So each line commits to all before it, from the same sidecar on: the first one
hangs on a hash made from the sidecar's name. A checkpoint (:mod:`sidegate.core.trail.checkpoint`) is a line of the
chain too. Nothing commits to what comes later: a torn last line can be cut, and the chain goes on.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from sidegate.core.model.value import hot_value, value
from sidegate.core.trail.record import OpenRecord

_GENESIS: Final = b"sidegate audit trail v1\0"
_SIDECAR: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_TAIL: Final = re.compile(rb',"sidecar":"([A-Za-z0-9._-]{1,128})","seq":([1-9][0-9]{0,17}),"hash":"([0-9a-f]{64})"\}\n')
_TAIL_BYTES_MAX: Final = 256
"""No tail is longer: 128 for the name, 18 for the number, 64 for the hash, 34 for the rest."""


@hot_value
class Head:
    """Where a chain stands.

    Attributes:
        seq: Of the last record; 0 before the first.
        hash: Of the last line, 64 hex digits as ASCII.
    """

    seq: int
    hash: bytes


@value
class LineTail:
    """What the chain added to a record's line.

    Attributes:
        sidecar: Whose record it is.
        seq: Its number.
        hash: As written, 64 hex digits as ASCII.
        body: What the hash covers, beside the previous hash.
    """

    sidecar: str
    seq: int
    hash: bytes
    body: bytes


def is_sidecar_name(text: str) -> bool:
    """Whether *text* may name a sidecar: it is a folder's name, and goes into lines as it is."""
    return _SIDECAR.fullmatch(text) is not None


def genesis(sidecar: str) -> Head:
    """Return where the chain of *sidecar* begins. Chains of two sidecars have nothing in common from there on."""
    return Head(0, sha256(_GENESIS + sidecar.encode()).hexdigest().encode())


def follow_hash(previous: bytes, body: bytes) -> bytes:
    """Return the hash of a line with *body* that follows a line with hash *previous*."""
    return sha256(previous + body).hexdigest().encode()


class Linker:
    """Closes records of one sidecar into lines."""

    __slots__ = ("_middle", "sidecar")

    def __init__(self, sidecar: str) -> None:
        self.sidecar = sidecar
        self._middle = b',"sidecar":"%b","seq":' % sidecar.encode()

    def link(self, records: Sequence[OpenRecord], head: Head) -> tuple[list[bytes], Head]:
        """Close *records* in their order.

        Args:
            records: Open records.
            head: Where the chain stands.

        Returns:
            Their lines, each with its line feed, and where the chain stands after them. Nothing is kept here: if the
            lines cannot be written, the old head still holds.
        """
        seq, previous, middle = head.seq, head.hash, self._middle
        lines = []
        for record in records:
            seq += 1
            body = b"".join((record, middle, b"%d" % seq))
            previous = sha256(previous + body).hexdigest().encode()
            lines.append(b"".join((body, b',"hash":"', previous, b'"}\n')))
        return lines, Head(seq, previous)


def read_tail(line: bytes) -> LineTail | None:
    """Read the end of a record's *line*, line feed included; None if it has no such end.

    Only the end is looked at. It cannot lie inside a string, where its quotation marks would be escaped; whether the
    line as a whole is JSON is for the reader to see.
    """
    start = max(0, len(line) - _TAIL_BYTES_MAX)
    found = _TAIL.search(line, start)
    if found is None or found.end() != len(line):
        return None
    sidecar, seq, digest = found.groups()
    return LineTail(sidecar.decode(), int(seq), digest, line[: found.start(3) - len(b',"hash":"')])
