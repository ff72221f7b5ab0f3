"""A process that reads one policy file and ends: ``python -m sidegate.config.policy_reading NAME``.

The content comes on standard input; what was read, or what is wrong with it, goes to standard output. A sidecar asks it
when a policy file changes (:mod:`sidegate.app.policy_reading`): it has no reader of its own in memory, and neither the
time nor the memory that reading takes is its.
"""

import os
import sys
from typing import Final

from sidegate.config.policy_file import read_document
from sidegate.config.policy_pieces import write_pieces
from sidegate.core.model.errors import PolicyError

_NICENESS: Final = 10
"""Requests go first."""

TRY_AGAIN: Final = 75
"""Exit code (EX_TEMPFAIL of sysexits.h): it is the machine's fault, not that of the file."""


def answer(content: bytes, file: str) -> bytes:
    """Return the document in *content* of the file called *file*, or the problems of it, pickled in pieces."""
    try:
        return write_pieces(read_document(content, file))
    except PolicyError as error:
        return write_pieces(error.problems)


def main() -> None:
    """Read, answer, end."""
    os.nice(_NICENESS)
    try:
        sys.stdout.buffer.write(answer(sys.stdin.buffer.read(), sys.argv[1]))
        sys.stdout.buffer.flush()
    except (MemoryError, OSError) as error:
        sys.stderr.write(f"{str(error) or 'out of memory'}\n")
        sys.exit(TRY_AGAIN)


if __name__ == "__main__":
    main()
