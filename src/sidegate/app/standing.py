"""What each worker says of itself to the process that answers probes: one byte each, in memory they share."""

import mmap
from typing import Final

_ACCEPTING: Final = 1
_RECORDING: Final = 2


class Standing:
    """One byte per worker; zero for one that is not there. Make it before the workers are forked."""

    __slots__ = ("_bytes", "workers")

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._bytes = mmap.mmap(-1, workers)

    def say(self, worker: int, *, is_accepting: bool, is_recording: bool) -> None:
        """Tell how *worker* stands."""
        self._bytes[worker] = is_accepting * _ACCEPTING | is_recording * _RECORDING

    def fall(self, worker: int) -> None:
        """Note that *worker* has ended."""
        self._bytes[worker] = 0

    @property
    def accepting(self) -> int:
        """How many workers take new connections."""
        return sum(bool(byte & _ACCEPTING) for byte in self._bytes[:])

    @property
    def mute(self) -> int:
        """How many workers take connections and cannot record decisions."""
        return sum(byte == _ACCEPTING for byte in self._bytes[:])
