"""``python -m sidegate``, and the script that installation makes of it."""

import gc
import sys
from typing import Final, NoReturn

_YOUNG_OBJECTS: Final = 50_000
"""Allocations between two looks of the garbage collector. What is imported stays, so that looking at it again every 700
allocations finds nothing: 9 % of all instructions of a start."""

gc.set_threshold(_YOUNG_OBJECTS)

from sidegate.cli.apart import is_served_apart, run_apart  # noqa: E402  not before


def main() -> NoReturn:
    """Run the command that the process was called with and end with its exit code."""
    arguments = sys.argv[1:]
    if is_served_apart(arguments):
        sys.exit(run_apart(arguments))
    # Only here: a process that serves does without it.
    from sidegate.cli.main import run  # noqa: PLC0415 - see above

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
