"""Draws what `make bench` measured as an SVG for the docs.

python -m loadtests.chart bench.json docs/performance-cpu.svg
"""

import argparse
import json
from html import escape
from pathlib import Path
from typing import Any

_WIDTH = 860
_LEFT = 190
_RIGHT = 250
_BAR = 20
_GAP = 8
_TOP = 46

_OURS = "#2a6f97"
_FORWARDS = "#b8c4ce"
_DECIDES = "#8a9ba8"


def draw(rows: list[dict[str, Any]]) -> str:
    """Return the chart: one bar per proxy, its spread as a line, least first."""
    shown = sorted((row for row in rows if row["scenario"] == "allowed"), key=lambda row: row["cpu_us"]["median"])
    most = max(row["cpu_us"]["greatest"] for row in shown)
    height = _TOP + len(shown) * (_BAR + _GAP) + 24
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
            'font-size="12" role="img" aria-label="CPU time per request, in microseconds">'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        (
            '<text x="12" y="22" font-size="15" font-weight="bold" fill="#1f2933">CPU per request, whole process tree, '
            "one core (µs; bar: median, line: least to greatest round)</text>"
        ),
    ]
    for place, row in enumerate(shown):
        top = _TOP + place * (_BAR + _GAP)
        cpu = row["cpu_us"]
        ours = row["peer"].startswith("sidegate")
        color = _OURS if ours else _FORWARDS if "forwards only" in row["about"] else _DECIDES
        middle = top + _BAR / 2
        end = _LEFT + cpu["greatest"] * scale
        weight = "bold" if ours else "normal"
        parts += [
            (
                f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end" font-weight="{weight}" fill="#1f2933">'
                f"{escape(row['peer'])}</text>"
            ),
            f'<rect x="{_LEFT}" y="{top}" width="{cpu["median"] * scale:.1f}" height="{_BAR}" fill="{color}"/>',
            (
                f'<line x1="{_LEFT + cpu["least"] * scale:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}" '
                'stroke="#1f2933" stroke-width="1"/>'
            ),
            (
                f'<text x="{end + 8:.1f}" y="{middle + 4}" fill="#1f2933">{cpu["median"]:.0f}'
                f'<tspan fill="#66737f" dx="8" font-size="10">{escape(_short(row["about"]))}</tspan></text>'
            ),
        ]
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _short(about: str, most: int = 52) -> str:
    return about if len(about) <= most else about[: most - 1].rsplit(" ", 1)[0] + " …"


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(prog="chart", description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="what `python -m loadtests.bench -o` wrote")
    parser.add_argument("chart", type=Path)
    options = parser.parse_args()
    options.chart.write_text(draw(json.loads(options.results.read_text())["rows"]))


if __name__ == "__main__":
    main()
