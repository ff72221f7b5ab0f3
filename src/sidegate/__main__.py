"""``python -m sidegate``, and the script that installation makes of it."""

import sys
from typing import NoReturn

from sidegate.cli.main import run


def main() -> NoReturn:
    """Run the command that the process was called with and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
