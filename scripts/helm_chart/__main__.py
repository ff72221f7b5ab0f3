"""Writes what is generated of the chart, or with `--check` says what is not current.

python -m scripts.helm_chart [--check]
"""

import argparse
import sys
from pathlib import Path

from scripts.helm_chart.generate import PROJECT, generated, outdated, rendered, write


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(prog="python -m scripts.helm_chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if something is not current")
    options = parser.parse_args()
    changed: list[Path] = []
    for make in (generated, rendered):
        stale = outdated(make(PROJECT))
        if stale and options.check:
            # What is rendered of a chart that is not current tells nothing.
            changed = list(stale)
            break
        for path, content in stale.items():
            write(path, content)
            sys.stdout.write(f"wrote {path.relative_to(PROJECT)}\n")
    for path in changed:
        sys.stderr.write(f"{path.relative_to(PROJECT)} is not current; run `python -m scripts.helm_chart`\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
