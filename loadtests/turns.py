"""How long each turn of another process's event loop takes, seen from outside it (:file:`turns.c`).

What counts is the time of a turn that is the process's own: all of it, less what the machine ran others while the
loop's thread was ready to run. So a pause is told from a busy machine.

    python -m loadtests.turns STACKS run --config sidegate.yaml

starts a sidecar that writes to the file STACKS what its loop is doing whenever it gets SIGUSR2; ``TURNS_SIGNAL_MS`` has
that sent in the middle of long turns.
"""

import faulthandler
import gc
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from loadtests.processes import BenchError

BOUNDS_MS: Final = (1, 2, 5, 10, 50)
"""Turns longer than these are counted."""

_WORST: Final = 16
_HEAD: Final = struct.Struct(f"=3Q{len(BOUNDS_MS)}Q")
_TURN: Final = struct.Struct("=4Q")
_WITHIN: Final = _HEAD.size + _WORST * _TURN.size
_SIZE: Final = _WITHIN + 8
_HEEDED_S: Final = 10.0
_NANOS_PER_MILLI: Final = 1_000_000


@dataclass(frozen=True)
class Turn:
    """One turn of the loop, in milliseconds.

    Attributes:
        wall_ms: From the end of one wait for events to the beginning of the next.
        cpu_ms: What the loop's thread computed.
        delayed_ms: The thread could have run, and the machine ran somebody else.
    """

    wall_ms: float
    cpu_ms: float
    delayed_ms: float

    @property
    def own_ms(self) -> float:
        """What the process itself took: computing, waiting for a disk or for another of its threads."""
        return self.wall_ms - self.delayed_ms

    @property
    def waited_ms(self) -> float:
        """Of its own time, what the loop's thread did not compute."""
        return max(0.0, self.own_ms - self.cpu_ms)


@dataclass(frozen=True)
class Turns:
    """What was seen since it was last begun anew.

    Attributes:
        count: Turns.
        over: How many were longer than each of :data:`BOUNDS_MS`.
        worst: The longest, longest first.
    """

    count: int
    over: dict[int, int]
    worst: tuple[Turn, ...]

    @property
    def longest(self) -> Turn:
        """The longest."""
        return self.worst[0] if self.worst else Turn(0.0, 0.0, 0.0)


def build(folder: Path) -> Path:
    """Compile the probe into *folder*.

    Raises:
        BenchError: There is no C compiler.
    """
    made = folder / "turns.so"
    source = Path(__file__).with_suffix(".c")
    options = ["-O2", "-Wall", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl", "-lrt"]
    command = [os.environ.get("CC", "cc"), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BenchError("there is no C compiler; install gcc") from None
    if done.returncode:
        raise BenchError(f"the probe cannot be compiled:\n{done.stderr}")
    return made


class TurnWatch:
    """Watches the loop of one process that is started with :attr:`environment`.

    Args:
        library: From :func:`build`.
        path: A file for what is seen.
        signal_ms: Also send SIGUSR2 to the process after so many milliseconds of a turn; None for never.
    """

    def __init__(self, library: Path, path: Path, signal_ms: int | None = None) -> None:
        path.write_bytes(bytes(_SIZE))
        self.environment = {"LD_PRELOAD": str(library), "TURNS_FILE": str(path)}
        if signal_ms is not None:
            self.environment["TURNS_SIGNAL_MS"] = str(signal_ms)
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _SIZE)

    def begin(self) -> None:
        """Forget what was seen so far; what counts from here on are turns that begin after this.

        Raises:
            BenchError: The loop of the process does not turn.
        """
        asked = struct.unpack_from("=Q", self._page)[0] + 1
        struct.pack_into("=Q", self._page, 0, asked)
        deadline = time.monotonic() + _HEEDED_S
        while struct.unpack_from("=Q", self._page, 8)[0] != asked:
            if time.monotonic() > deadline:
                raise BenchError("the probe is not heeded: is the process running, with LD_PRELOAD allowed?")
            time.sleep(0.005)

    def read(self) -> Turns:
        """Return what was seen."""
        _, _, count, *over = _HEAD.unpack_from(self._page)
        found = [_TURN.unpack_from(self._page, _HEAD.size + place * _TURN.size) for place in range(_WORST)]
        turns = [Turn(*(one / _NANOS_PER_MILLI for one in turn[1:])) for turn in found if turn[0]]
        (within_ns,) = struct.unpack_from("=Q", self._page, _WITHIN)
        if within_ns:
            # One that has not ended yet; what it has computed is not known.
            turns.append(Turn((time.monotonic_ns() - within_ns) / _NANOS_PER_MILLI, 0.0, 0.0))
        turns.sort(key=lambda turn: -turn.own_ms)
        return Turns(count, dict(zip(BOUNDS_MS, over, strict=True)), tuple(turns))

    def close(self) -> None:
        """Let go of the file."""
        self._page.close()


def _note_collection(file: TextIO, began: dict[str, int], phase: str, info: dict[str, Any]) -> None:
    """Write down collections of garbage that take more than a millisecond, as if they were stacks."""
    if phase == "start":
        began["ns"] = time.monotonic_ns()
    elif (took_ns := time.monotonic_ns() - began["ns"]) > _NANOS_PER_MILLI:
        took_ms = took_ns // _NANOS_PER_MILLI
        file.write(f"Stack (a collection)\n  garbage, generation {info['generation']}: {took_ms} ms\n")
        file.flush()


def main() -> None:
    """Start a sidecar whose stack can be asked for."""
    stacks, *arguments = sys.argv[1:]
    with Path(stacks).open("w") as file:
        faulthandler.register(signal.SIGUSR2, file=file, all_threads=False)
        gc.callbacks.append(partial(_note_collection, file, {}))
        sys.argv[1:] = arguments
        from sidegate.__main__ import main as sidegate  # noqa: PLC0415 - not before the handler is in place

        sidegate()


if __name__ == "__main__":
    main()
