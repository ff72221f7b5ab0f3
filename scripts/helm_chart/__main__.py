"""Writes what is generated of the chart, or with `--check` says what is not current.

python -m scripts.helm_chart [--check]
"""

import argparse
import sys

from scripts.helm_chart.generate import PROJECT, outdated, write


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(prog="python -m scripts.helm_chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if something is not current")
    options = parser.parse_args()
    changed = outdated(PROJECT)
    if options.check:
        for path in changed:
            sys.stderr.write(f"{path.relative_to(PROJECT)} is not current; run `python -m scripts.helm_chart`\n")
        return 1 if changed else 0
    for path, content in changed.items():
        write(path, content)
        sys.stdout.write(f"wrote {path.relative_to(PROJECT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
