"""What a check of a chain says (spec 5.7)."""

from enum import StrEnum

from sidegate.core.model.value import value


class FindingKind(StrEnum):
    """What is wrong."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    UNSIGNED = "unsigned"
    """Checkpoints that should be there are not, or nobody known signed them."""
    TORN = "torn"
    """The last line has no end: a crash, or a cut. Opening the spool again cuts it off and says so."""


@value
class Place:
    """Where a line is: the file as the caller names it, and its number in it from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@value
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: What.
        sidecar: In whose chain.
        place: Where it shows; None for what is missing from the end or the beginning.
        first_seq: First record concerned.
        last_seq: Last record concerned; below *first_seq* if it is no record but a checkpoint before it.
        text: For people.
    """

    kind: FindingKind
    sidecar: str
    place: Place | None
    first_seq: int
    last_seq: int
    text: str

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place is not None else ""
        return f"{place}{self.kind}: {self.text}"


@value
class ChainReport:
    """What a chain holds, and what is wrong with it.

    Attributes:
        sidecar: Whose chain.
        records: Records that were read.
        checkpoints: Checkpoints that were read.
        first_seq: Of the first record that is or should be there; 0 if there is nothing.
        last_seq: Of the last record that is there.
        signed_seq: The last record under a checkpoint whose signature was checked and found right; 0 for none.
        findings: In the order they were found.
        findings_left_out: More of them that are not in *findings*.
    """

    sidecar: str
    records: int
    checkpoints: int
    first_seq: int
    last_seq: int
    signed_seq: int
    findings: tuple[Finding, ...]
    findings_left_out: int

    @property
    def unsigned_records(self) -> int:
        """Records at the end that no checkpoint covers yet."""
        return max(0, self.last_seq - max(self.signed_seq, self.first_seq - 1))
