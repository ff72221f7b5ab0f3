"""A folder that holds all records for good, laid out like a spool: the same commands read and verify it.

::

    <folder>/<sidecar>/00000001.ndjson

A batch is on the disk before it is acknowledged. One that comes again after a crash is recognised by the last line that
was kept, so that nothing is there twice. Old files are removed by `sidegate audit prune`.
"""

import asyncio
import threading
from pathlib import Path
from typing import Final

from sidegate.audit.layout import read_lines
from sidegate.audit.ports import Batch
from sidegate.audit.spool import MIB, Spool, SpoolLimits
from sidegate.core.model.errors import ConfigError, Dependency, DependencyError
from sidegate.core.trail.durability import Durability

_SEGMENT_BYTES: Final = 64 * MIB
_NO_CAP: Final = 1 << 62


class FileSink:
    """Appends batches to files.

    Args:
        folder: Made if it is not there.
        segment_bytes: A file that has reached this size is closed and the next one begun.
        reserve_bytes: Of the disk, left free for everybody else.
    """

    def __init__(self, folder: Path, segment_bytes: int = _SEGMENT_BYTES, reserve_bytes: int = 0) -> None:
        self._folder = folder
        self._limits = SpoolLimits(segment_bytes, _NO_CAP, reserve_bytes, durability=Durability.HOST)
        self._outputs: dict[str, _Output] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """``file``."""
        return "file"

    @property
    def settle_s(self) -> float:
        """Nothing is acknowledged before it is on the disk."""
        return 0.0

    async def send(self, batch: Batch) -> None:
        """Append *batch*, but for what of it is there already, and wait for the disk.

        Raises:
            DependencyError: It is not there, or not known to be.
        """
        try:
            await asyncio.to_thread(self._append, batch)
        except (OSError, ConfigError) as error:
            raise DependencyError(
                Dependency.SINK, f"appending records of `{batch.sidecar}` to `{self._folder}`: {error}"
            ) from error

    async def close(self) -> None:
        """Let go of the files."""
        for output in self._outputs.values():
            output.spool.close()
        self._outputs.clear()

    def _append(self, batch: Batch) -> None:
        # A cancelled send goes on in its thread; the next one must not overtake it.
        with self._lock:
            output = self._outputs.get(batch.sidecar)
            if output is None:
                output = _Output(Spool(self._folder / batch.sidecar, batch.sidecar, self._limits))
                self._outputs[batch.sidecar] = output
            output.append(batch)


class _Output:
    """The files of one sidecar."""

    __slots__ = ("last_line", "spool")

    def __init__(self, spool: Spool) -> None:
        spool.open()
        self.spool = spool
        self.last_line = b""
        for segment in spool.segments:
            for line in read_lines(segment.path):
                self.last_line = line

    def append(self, batch: Batch) -> None:
        data = batch.data
        if self.last_line and (start := data.find(self.last_line)) >= 0:
            data = data[start + len(self.last_line) :]
        if not data:
            return
        self.spool.prepare(batch.first_seq)
        self.spool.make_room(len(data))
        self.spool.append(data)
        self.last_line = data[data.rfind(b"\n", 0, -1) + 1 :]
