"""A spool without files, for tests and for measuring what the files cost."""

from collections import deque
from typing import Final

from sidegate.audit.spool import Found, Segment
from sidegate.core.trail.chain import genesis

_KEPT_BATCHES: Final = 1024


class MemorySpool:
    """Keeps the last batches. Nothing survives the process.

    Attributes:
        batches: What was written last, oldest first.
    """

    __slots__ = ("batches", "segments", "sidecar", "total_bytes")

    def __init__(self, sidecar: str) -> None:
        self.sidecar = sidecar
        self.segments: list[Segment] = []
        self.total_bytes = 0
        self.batches: deque[bytes] = deque(maxlen=_KEPT_BATCHES)

    @property
    def begins_segment(self) -> bool:
        """Whether the next batch is the first."""
        return self.total_bytes == 0

    def open(self) -> Found:
        """Begin the chain."""
        return Found(head=genesis(self.sidecar), base=1, unsigned=0, cut=0, is_damaged=False)

    def prepare(self, next_seq: int) -> None:
        """Nothing has to be prepared."""

    def make_room(self, size: int) -> list[Segment]:
        """Nothing has to be dropped."""
        return []

    def append(self, data: bytes) -> None:
        """Keep *data*."""
        self.batches.append(data)
        self.total_bytes += len(data)

    def remove_oldest(self) -> None:
        """There are no segments."""

    def sync(self) -> None:
        """There is no disk."""

    def close(self) -> None:
        """Nothing is held."""
