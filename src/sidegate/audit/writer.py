"""Writes one sidecar's chain: records, and checkpoints where they are due (spec 5.6, 5.7).

Used by one thread at a time. Whatever fails leaves the chain where it stood: the same numbers are given again.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sidegate.audit.layout import FILE_MODE, FOLDER_MODE
from sidegate.audit.ports import Store
from sidegate.core.trail.chain import Head, Linker, genesis
from sidegate.core.trail.checkpoint import Checkpoint, CheckpointCause, CheckpointSigner, SignedCheckpoint
from sidegate.core.trail.record import OpenRecord
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log

_log: Final = get_log("audit")

# What closing a record into a line adds at most: 34 bytes of names, 128 of sidecar, 18 of number, 64 of hash.
_LINE_OVERHEAD: Final = 256
_CHECKPOINT_BYTES: Final = 640
"""More than a checkpoint's line ever has: 128 for the sidecar, 128 for the signature, 64 for the hash, and numbers."""


class TrailWriter:
    """The chain of one sidecar, on a store.

    Args:
        store: Where it is written to; opened by :meth:`open`.
        signer: Signs its heads.
        clock: For the time of checkpoints.
        every: After so many records, at least 1, a checkpoint is signed.
        copy: The second place of spec 5.7: a file that every checkpoint is appended to as well.

    Attributes:
        unsigned: Records since the last checkpoint.
        cuts: How often a torn last line was cut at :meth:`open`.
        dropped: Records that were removed to make room, none of them known to be elsewhere.
    """

    __slots__ = (
        "_base",
        "_clock",
        "_copy",
        "_cut",
        "_due",
        "_every",
        "_head",
        "_is_open",
        "_linker",
        "_signer",
        "_store",
        "cuts",
        "dropped",
        "unsigned",
    )

    def __init__(
        self, store: Store, signer: CheckpointSigner, clock: Clock, every: int, copy: Path | None = None
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._every = every
        self._copy = copy
        self._linker = Linker(store.sidecar)
        self._head = genesis(store.sidecar)
        self._base = 1
        self._cut = 0
        self._due: CheckpointCause | None = None
        self._is_open = False
        self.unsigned = 0
        self.cuts = 0
        self.dropped = 0

    @property
    def head(self) -> Head:
        """Where the chain stands."""
        return self._head

    def open(self) -> None:
        """Take the store, go on where the chain stands, and sign what was found.

        Raises:
            ConfigError: Another process holds it.
            OSError: It cannot be read or written. May be tried again.
        """
        if not self._is_open:
            found = self._store.open()
            self._is_open = True
            self._head, self._base, self.unsigned = found.head, found.base, found.unsigned
            self._cut = found.cut
            self.cuts += bool(found.cut)
            self._due = CheckpointCause.OPENED
            if found.cut:
                _log.warning("spool_line_cut", sidecar=self._store.sidecar, bytes=found.cut, after_seq=found.head.seq)
            if found.is_damaged:
                _log.error("spool_end_unreadable", sidecar=self._store.sidecar, hint="run `sidegate audit verify`")
        self.write((), CheckpointCause.OPENED)

    def write(self, records: Sequence[OpenRecord], cause: CheckpointCause | None = None) -> None:
        """Write *records* as one batch; with *cause*, or when one is due, a checkpoint after them.

        Raises:
            ConfigError: The folder was removed and another process has taken it since.
            OSError: Nothing of it is in the store; the chain stands where it stood.
        """
        if not self._is_open:
            self.open()
        store = self._store
        store.prepare(self._head.seq + 1)
        dropped = store.make_room(
            sum(map(len, records))
            + _LINE_OVERHEAD * len(records)
            + _CHECKPOINT_BYTES * (2 + len(records) // self._every)
        )
        if dropped:
            self._note_dropped(len(dropped))
        self._append(records, cause or self._due)

    def _append(self, records: Sequence[OpenRecord], cause: CheckpointCause | None) -> None:
        head, unsigned = self._head, self.unsigned
        lines: list[bytes] = []
        signed: list[SignedCheckpoint] = []
        if self._store.begins_segment:
            # Each segment can be checked from its own first line on, and says what came before it.
            signed.append(self._sign(head, cause or CheckpointCause.ROTATED))
            lines.append(signed[-1].line)
            head, unsigned, cause = signed[-1].head_after, 0, cause if records else None
        # Never more than `every` records without a checkpoint, so that a longer run proves that some were removed.
        while unsigned + len(records) >= self._every:
            count = max(0, self._every - unsigned)
            linked, head = self._linker.link(records[:count], head)
            signed.append(self._sign(head, CheckpointCause.INTERVAL))
            lines += linked
            lines.append(signed[-1].line)
            head, unsigned, records = signed[-1].head_after, 0, records[count:]
        linked, head = self._linker.link(records, head)
        lines += linked
        unsigned += len(records)
        if cause is not None:
            signed.append(self._sign(head, cause))
            lines.append(signed[-1].line)
            head, unsigned = signed[-1].head_after, 0
        self._store.append(b"".join(lines))
        self._head, self.unsigned = head, unsigned
        if signed:
            self._cut, self._due = 0, None
            if self._copy is not None:
                self._append_copy(self._copy, signed)

    def _sign(self, head: Head, cause: CheckpointCause) -> SignedCheckpoint:
        return self._signer.sign(
            Checkpoint(
                time=self._clock.now(),
                sidecar=self._store.sidecar,
                seq=head.seq,
                hash=head.hash,
                base=self._base,
                every=self._every,
                cut=self._cut,
                cause=cause,
            )
        )

    def _append_copy(self, copy: Path, signed: Sequence[SignedCheckpoint]) -> None:
        # The second place makes removals from the end visible. It is not what requests wait for.
        try:
            copy.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            fd = os.open(copy, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                os.write(fd, b"".join(checkpoint.line for checkpoint in signed))
            finally:
                os.close(fd)
        except OSError as error:
            _log.error("checkpoint_copy_failed", file=str(copy), error=str(error), hint="make the file writable")

    def _note_dropped(self, segments: int) -> None:
        oldest = self._store.segments[0].first_seq
        lost = 0 if oldest is None else max(0, oldest - self._base)
        self._base = oldest or self._base
        self._due = CheckpointCause.RELEASED
        self.dropped += lost
        _log.error("segments_dropped", sidecar=self._store.sidecar, segments=segments, records=lost)

    def release(self, through: int) -> bool:
        """Remove the oldest of the segments up to number *through*, which every sink has; never the last one.

        One at a time: what a sink that comes back acknowledges at once may be a hundred, at milliseconds each, and the
        data path waits meanwhile. The new base is signed before the first, so that a crash leaves more than is asked
        for, not less. A full disk takes no checkpoint; then room is made first.

        Returns:
            Whether there are more.

        Raises:
            OSError: It is still there.
        """
        store = self._store
        count = sum(segment.number <= through for segment in store.segments[:-1])
        if not self._is_open or count == 0:
            return False
        base = store.segments[count].first_seq or self._base
        if base != self._base:
            self._base = base
            self._due = CheckpointCause.RELEASED
            with contextlib.suppress(OSError):
                store.prepare(self._head.seq + 1)
                self._append((), CheckpointCause.RELEASED)
        store.remove_oldest()
        return count > 1

    def close(self) -> None:
        """Let go of the store. Write with cause ``closed`` before."""
        if self._is_open:
            self._store.close()
            self._is_open = False

    def sync(self) -> None:
        """Bring all that was written to the disk.

        Raises:
            OSError: It may not be there.
        """
        self._store.sync()
