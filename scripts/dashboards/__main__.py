"""Writes the dashboards, or with `--check` says what is not current.

python -m scripts.dashboards [--check]
"""

import argparse
import sys

from scripts.dashboards.generate import PROJECT, outdated


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(prog="python -m scripts.dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if something is not current")
    options = parser.parse_args()
    changed = outdated()
    for path, content in changed.items():
        name = path.relative_to(PROJECT)
        if options.check:
            sys.stderr.write(f"{name} is not current; run `python -m scripts.dashboards`\n")
        elif content is None:
            path.unlink()
            sys.stdout.write(f"removed {name}\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
