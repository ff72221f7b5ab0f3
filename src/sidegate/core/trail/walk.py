"""Reads a chain line by line and says what is wrong with it (spec 5.7).

What is found, without the signing key's secret half: a changed, removed, inserted or reordered line, by number and
place. What no chain can show by itself: lines removed from its end, after the last checkpoint that is still there, and
a whole chain that is gone. A second place that keeps the checkpoints shows both (:meth:`ChainWalk.finish`).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.core.trail.chain import LineTail, follow_hash, genesis, read_tail
from sidegate.core.trail.checkpoint import SignedCheckpoint, is_signed_by, read_checkpoint
from sidegate.core.trail.finding import ChainReport, Finding, FindingKind, Place

_FINDINGS_MAX: Final = 1000
"""So many findings are kept; what follows is counted only. A file swapped whole would fill the memory otherwise."""


class _Gap:
    """Records that are missing so far, and the hash the first of them hangs on."""

    __slots__ = ("finding", "first", "hash", "last")

    def __init__(self, first: int, last: int, previous: bytes | None, finding: Finding) -> None:
        self.first = first
        self.last = last
        self.hash = previous
        self.finding = finding


class ChainWalk:
    """One pass over the lines of one sidecar.

    Args:
        sidecar: Whose chain it should be.
        keys: Public keys by :func:`key_id_of`; None to check everything but signatures.
        base: The first record that has to be there; None for what the newest checkpoint says of its spool.
    """

    def __init__(self, sidecar: str, keys: Mapping[str, Ed25519PublicKey] | None, base: int | None = None) -> None:
        self._sidecar = sidecar
        self._base = base
        self._keys = keys
        self._findings: list[Finding] = []
        self._left_out = 0
        self._records = 0
        self._checkpoints = 0
        self._has_begun = False
        self._first_seq = 0
        self._last_seq = 0
        self._signed_seq = 0
        self._unsigned_run = 0
        self._newest: SignedCheckpoint | None = None
        self._seen: set[bytes] = set()
        # Hashes that the next line may hang on, each with what it would tell if it does. Empty: unknown, the line
        # before could not be read or is missing.
        self._heads: dict[bytes, Finding | None] = {}
        self._gaps: list[_Gap] = []
        self._unreadable: list[Place] = []

    # --- lines ---

    def feed(self, line: bytes, place: Place) -> None:
        """Take the next line, line feed included."""
        signed = read_checkpoint(line)
        if signed is not None:
            self._checkpoints += 1
            if line in self._seen:
                seq = signed.checkpoint.seq
                self._add(FindingKind.INSERTED, place, seq + 1, seq, f"a second copy of the checkpoint of record {seq}")
                return
            self._seen.add(line)
            self._take_checkpoint(signed, place)
            return
        tail = read_tail(line)
        if tail is not None:
            self._records += 1
            self._take_record(tail, place)
        elif not line.endswith(b"\n"):
            self._add(
                FindingKind.TORN,
                place,
                self._last_seq + 1,
                self._last_seq + 1,
                f"{len(line)} bytes after record {self._last_seq} are no whole line; a crash or a cut",
            )
        else:
            self._unreadable.append(place)

    def note_change(self, seq: int, place: Place, text: str) -> None:
        """Add a finding about record *seq* that the line itself does not show."""
        self._add(FindingKind.CHANGED, place, seq, seq, text)

    def _begin(self, seq_before: int) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        self._first_seq = seq_before + 1
        self._last_seq = seq_before
        if seq_before == 0:
            self._heads = {genesis(self._sidecar).hash: None}

    def _take_record(self, tail: LineTail, place: Place) -> None:
        if tail.sidecar != self._sidecar:
            text = f"record {tail.seq} of sidecar `{tail.sidecar}` stands among those of `{self._sidecar}`"
            self._add(FindingKind.INSERTED, place, tail.seq, tail.seq, text)
            return
        self._begin(tail.seq - 1 - len(self._unreadable) if tail.seq > len(self._unreadable) else tail.seq - 1)
        if tail.seq <= self._last_seq:
            self._take_late_record(tail, place)
            return
        self._unsigned_run += 1
        is_next = tail.seq == self._last_seq + 1
        found = self._matching_head(tail) if is_next else None
        if found is not None:
            self._settle_unreadable(FindingKind.INSERTED, tail.seq)
            self._emit(self._heads[found])
        elif self._unreadable:
            self._settle_missing(tail.seq - 1, place)
        elif not is_next:
            self._note_gap(self._last_seq + 1, tail.seq - 1, place)
        elif self._heads:
            text = (
                f"record {tail.seq} does not follow from the line before it: changed, or a checkpoint before it is gone"
            )
            self._add(FindingKind.CHANGED, place, tail.seq, tail.seq, text)
            # If only the written hash was changed, the next line still hangs on the right one.
            otherwise = [follow_hash(head, tail.body) for head in self._heads]
            self._heads = dict.fromkeys([tail.hash, *otherwise])
            self._last_seq = tail.seq
            return
        self._heads = {tail.hash: None}
        self._last_seq = tail.seq

    def _matching_head(self, tail: LineTail) -> bytes | None:
        return next((head for head in self._heads if follow_hash(head, tail.body) == tail.hash), None)

    def _take_late_record(self, tail: LineTail, place: Place) -> None:
        gap = next((gap for gap in self._gaps if gap.first <= tail.seq <= gap.last), None)
        if gap is None:
            self._add(FindingKind.INSERTED, place, tail.seq, tail.seq, f"a second record has the number {tail.seq}")
            if tail.seq == self._last_seq:
                # The one before may be the false one; the next line tells.
                self._heads.setdefault(tail.hash, None)
            return
        text = f"record {tail.seq} stands after record {self._last_seq}"
        if tail.seq == gap.first and gap.hash is not None and follow_hash(gap.hash, tail.body) != tail.hash:
            text += ", and it or the line before it was changed"
        self._add(FindingKind.REORDERED, place, tail.seq, tail.seq, text)
        self._fill_gap(gap, tail)

    def _fill_gap(self, gap: _Gap, tail: LineTail) -> None:
        """Take record *tail* out of what is missing."""
        self._gaps.remove(gap)
        if gap.finding in self._findings:
            self._findings.remove(gap.finding)
        place = gap.finding.place
        for first, last, previous in ((gap.first, tail.seq - 1, gap.hash), (tail.seq + 1, gap.last, tail.hash)):
            if first <= last:
                self._note_gap(first, last, place, previous)

    def _take_checkpoint(self, signed: SignedCheckpoint, place: Place) -> None:
        checkpoint = signed.checkpoint
        if checkpoint.sidecar != self._sidecar:
            text = f"a checkpoint of sidecar `{checkpoint.sidecar}` stands among the records of `{self._sidecar}`"
            self._add(FindingKind.INSERTED, place, checkpoint.seq + 1, checkpoint.seq, text)
            return
        is_trusted = self._is_trusted(signed, place)
        self._begin(checkpoint.seq)
        if checkpoint.seq < self._last_seq:
            text = f"the checkpoint of record {checkpoint.seq} stands after record {self._last_seq}"
            self._add(FindingKind.REORDERED, place, checkpoint.seq + 1, checkpoint.seq, text)
            return
        self._meet_checkpoint(signed, place)
        after = signed.head_after.hash
        # A checkpoint that nothing hangs on, while the next line hangs on what stands before it, was put there.
        stray = Finding(
            FindingKind.INSERTED,
            self._sidecar,
            place,
            checkpoint.seq + 1,
            checkpoint.seq,
            f"the checkpoint of record {checkpoint.seq} is no part of the chain",
        )
        changed = {follow_hash(head, signed.line): None for head in self._heads if head != checkpoint.hash}
        self._heads = {after: None} | changed | {head: stray for head in self._heads if head != after}
        if is_trusted:
            self._signed_seq = checkpoint.seq
        if is_trusted or self._keys is None:
            self._newest = signed
        self._unsigned_run = 0

    def _meet_checkpoint(self, signed: SignedCheckpoint, place: Place) -> None:
        """Hold what was read so far against what was signed."""
        checkpoint = signed.checkpoint
        if checkpoint.hash in self._heads and checkpoint.seq == self._last_seq:
            self._settle_unreadable(FindingKind.INSERTED, checkpoint.seq + 1)
            self._emit(self._heads[checkpoint.hash])
        elif self._unreadable:
            self._settle_missing(checkpoint.seq, place)
        elif checkpoint.seq > self._last_seq:
            self._note_gap(self._last_seq + 1, checkpoint.seq, place)
        elif self._heads:
            first = min(self._signed_seq + 1, checkpoint.seq)
            text = (
                f"the hash signed for record {checkpoint.seq} is not that of the lines before it: something from record"
                f" {first} on was changed, removed or inserted and the chain computed anew, or a checkpoint is gone"
            )
            self._add(FindingKind.CHANGED, place, first, checkpoint.seq, text)
        self._last_seq = checkpoint.seq

    def _is_trusted(self, signed: SignedCheckpoint, place: Place) -> bool:
        if self._keys is None:
            return False
        seq = signed.checkpoint.seq
        key = self._keys.get(signed.key_id)
        if key is None:
            text = f"the checkpoint of record {seq} is signed with key {signed.key_id}, which is not among those given"
            self._add(FindingKind.UNSIGNED, place, seq + 1, seq, text)
            return False
        if not is_signed_by(signed, key):
            text = f"the signature of the checkpoint of record {seq} is wrong: it was changed, or made without the key"
            self._add(FindingKind.CHANGED, place, seq + 1, seq, text)
            return False
        return True

    # --- what is missing or cannot be read ---

    def _settle_unreadable(self, kind: FindingKind, seq: int) -> None:
        for place in self._unreadable:
            self._add(kind, place, seq, seq - 1, "the line is neither a record nor a checkpoint")
        self._unreadable.clear()

    def _settle_missing(self, last: int, place: Place) -> None:
        """Tell what unreadable lines before *place* were, now that record *last* is known to end them."""
        first = self._last_seq + 1
        missing = last - first + 1
        for seq, unreadable in enumerate(self._unreadable, first):
            if seq <= last:
                text = f"the line is no record; by its place it was record {seq}"
                self._add(FindingKind.CHANGED, unreadable, seq, seq, text)
            else:
                text = f"the line is no record; it was a checkpoint after record {last}, or was put there"
                self._add(FindingKind.CHANGED, unreadable, last + 1, last, text)
        if missing > len(self._unreadable):
            self._note_gap(first + len(self._unreadable), last, place)
        self._unreadable.clear()

    def _note_gap(self, first: int, last: int, place: Place | None, previous: bytes | None = None) -> None:
        if previous is None and len(self._heads) == 1 and not self._unreadable:
            previous = next(iter(self._heads))
        text = f"record {first} is missing" if first == last else f"records {first} to {last} are missing"
        finding = self._add(FindingKind.REMOVED, place, first, last, text)
        self._gaps.append(_Gap(first, last, previous, finding))

    def _add(self, kind: FindingKind, place: Place | None, first: int, last: int, text: str) -> Finding:
        finding = Finding(kind, self._sidecar, place, first, last, text)
        self._emit(finding)
        return finding

    def _emit(self, finding: Finding | None) -> None:
        if finding is None:
            return
        if len(self._findings) < _FINDINGS_MAX:
            self._findings.append(finding)
        else:
            self._left_out += 1

    # --- the end ---

    def finish(self, copies: Iterable[SignedCheckpoint] = ()) -> ChainReport:
        """Say what the lines were.

        Args:
            copies: Checkpoints from the second place. Those of other sidecars are not looked at.
        """
        for place in self._unreadable:
            self._add(FindingKind.CHANGED, place, self._last_seq + 1, self._last_seq, "the line is no record")
        self._check_base()
        self._check_signatures()
        for signed in copies:
            self._check_copy(signed)
        return ChainReport(
            self._sidecar,
            self._records,
            self._checkpoints,
            self._first_seq,
            self._last_seq,
            self._signed_seq,
            tuple(self._findings),
            self._left_out,
        )

    def _check_base(self) -> None:
        base = self._base
        if base is None:
            if self._newest is None:
                return
            base = self._newest.checkpoint.base
        if self._first_seq > base:
            text = f"records {base} to {self._first_seq - 1} are missing and nobody signed that they were released"
            self._add(FindingKind.REMOVED, None, base, self._first_seq - 1, text)

    def _check_signatures(self) -> None:
        if self._records == 0 and self._checkpoints == 0:
            return
        first = self._first_seq
        if self._checkpoints == 0:
            text = f"records {first} to {self._last_seq} have no checkpoint, though every segment begins with one"
            self._add(FindingKind.UNSIGNED, None, first, self._last_seq, text)
        elif self._newest is not None and self._unsigned_run > self._newest.checkpoint.every:
            text = (
                f"{self._unsigned_run} records after the checkpoint of record {self._newest.checkpoint.seq} have none,"
                f" though one was due every {self._newest.checkpoint.every}"
            )
            self._add(FindingKind.UNSIGNED, None, self._newest.checkpoint.seq + 1, self._last_seq, text)
        elif self._keys is not None and self._newest is None:
            text = "no checkpoint is signed with a key that was given"
            self._add(FindingKind.UNSIGNED, None, first, self._last_seq, text)

    def _check_copy(self, signed: SignedCheckpoint) -> None:
        checkpoint = signed.checkpoint
        # Those of released segments are not looked for; the one right before the first record may be in such a segment.
        if checkpoint.sidecar != self._sidecar or checkpoint.seq < self._first_seq or signed.line in self._seen:
            return
        if self._keys is not None:
            key = self._keys.get(signed.key_id)
            if key is None or not is_signed_by(signed, key):
                return
        if checkpoint.seq > self._last_seq:
            first = self._last_seq + 1
            text = f"records {first} to {checkpoint.seq} are missing from the end: a copied checkpoint covers them"
            self._add(FindingKind.REMOVED, None, first, checkpoint.seq, text)
        else:
            text = f"the checkpoint of record {checkpoint.seq} is in the second place but not in the chain"
            self._add(FindingKind.REMOVED, None, checkpoint.seq + 1, checkpoint.seq, text)
