"""What the audit trail asks of the parts around it."""

from collections.abc import Sequence
from typing import Final, Protocol

from sidegate.audit.spool import Found, Segment
from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.core.model.value import value


class Waiter(Protocol):
    """Who may go on once a record is in the spool. Called from the event loop, in the order of submission."""

    def recorded(self) -> None:
        """The record is as durable as configured: the request may be forwarded, the refusal answered."""

    def unrecorded(self) -> None:
        """The record could not be kept: refuse with 503 ``audit_unavailable``, forward nothing."""


class _Nobody:
    """Waits for nothing."""

    __slots__ = ()

    def recorded(self) -> None:
        """Nothing waits for the record."""

    def unrecorded(self) -> None:
        """Nothing waits for the record; the trail counts what it could not keep."""


NOBODY: Waiter = _Nobody()
"""For records after the fact, which nothing can wait for: completions."""


@value
class Position:
    """A place in a spool: all before byte *offset* of segment *segment*. The start of everything is ``(0, 0)``."""

    segment: int
    offset: int


START: Final = Position(0, 0)


@value
class Batch:
    """Lines of one sidecar, in order and without gaps, on their way to a sink.

    Attributes:
        sidecar: Whose they are.
        first_seq: Of the first record in it; 0 if it holds checkpoints only.
        last_seq: Of the last record in it; 0 if it holds checkpoints only.
        records: How many records it holds, checkpoints not counted.
        data: Whole lines, each with its line feed, byte for byte as spooled. Empty to ask only whether the sink still
            has everything before *begin*; only a sink that may lose what it has is asked.
        begin: Where the batch before it ended.
        end: Where this one ends.
        is_oldest: Nothing before it is left in the spool: a sink that lacks what came before has to do without.
    """

    sidecar: str
    first_seq: int
    last_seq: int
    records: int
    data: bytes
    begin: Position = START
    end: Position = START
    is_oldest: bool = False


class BehindError(DependencyError):
    """A sink lacks what came before a batch: it was restored from an older state, or emptied.

    Attributes:
        position: Up to where it has everything; None if it has nothing.
    """

    def __init__(self, doing: str, position: Position | None) -> None:
        super().__init__(Dependency.SINK, f"{doing}: it lost what it had after {position}")
        self.position = position


class Sink(Protocol):
    """Where spooled batches go. At least once: after a crash a batch, or a part of it, comes again."""

    @property
    def name(self) -> str:
        """Short and stable, ``[a-z0-9-]``: the cursor file is named after it."""

    @property
    def settle_s(self) -> float:
        """For so long after a batch was acknowledged the sink may still lose it, so the spool keeps it; 0 for never."""

    async def send(self, batch: Batch) -> None:
        """Keep *batch* for good; returning acknowledges it.

        Raises:
            DependencyError: Not kept, or not known to be. The same batch is sent again later.
            BehindError: Not kept, as what came before it is missing; that is sent again first.
        """

    async def close(self) -> None:
        """Let go of what is held open."""


class Store(Protocol):
    """Where a chain is written to: :class:`~sidegate.audit.spool.Spool`, or memory."""

    @property
    def sidecar(self) -> str:
        """Whose chain."""

    @property
    def segments(self) -> Sequence[Segment]:
        """What is there, oldest first."""

    @property
    def total_bytes(self) -> int:
        """Size of all segments."""

    @property
    def begins_segment(self) -> bool:
        """Whether the next batch is the first of a segment."""

    def open(self) -> Found:
        """Take it and read where the chain stands."""

    def prepare(self, next_seq: int) -> None:
        """See to it that there is a segment to write to."""

    def make_room(self, size: int) -> list[Segment]:
        """See to it that *size* more bytes fit; tell what was dropped for it."""

    def append(self, data: bytes) -> None:
        """Write *data*, whole or not at all."""

    def remove_oldest(self) -> None:
        """Remove the oldest segment."""

    def sync(self) -> None:
        """Bring all that was written to the disk."""

    def close(self) -> None:
        """Let go of it."""
