"""Draws the dashboards from a stored history, as pictures for the documentation.

python -m scripts.dashboards.draw HISTORY FOLDER

Grafana itself is not asked: a picture shows the panels, their queries and what these find, in a plain hand.
"""

import argparse
import io
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image
from scripts.dashboards.generate import DASHBOARDS
from scripts.dashboards.history import SPAN
from scripts.dashboards.model import COLUMNS, Colour, Dashboard, Kind, Panel, Place, Row, Unit, gauge, lay_out
from scripts.dashboards.units import scale_of, show
from tests.observability.prometheus import Prometheus

STEP_S: Final = 3.0
RATE_S: Final = 20
"""In the place of Grafana's interval of rates: ten scrapes."""

WIDTH: Final = 14.0
UNIT: Final = 0.31
"""Inches of one row of the grid."""

_HEAD: Final = 1.4
"""Rows above the grid, for the title."""

DPI: Final = 90

_INK: Final = "#24292f"
_FAINT: Final = "#8c959f"
_GRID: Final = "#e6e9ed"
_PAPER: Final = "#f3f4f6"
_MARK: Final = "#5794f2"
_STEPS: Final = {Colour.GREEN: "#2e9e4f", Colour.ORANGE: "#e8801a", Colour.RED: "#d7263d"}
_LINES: Final = ("#3274d9", "#e8801a", "#37872d", "#a352cc", "#c4162a", "#00a3a3", "#b58b00", "#7f7f7f", "#e377c2")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One line: a value at every step, NaN where there is none."""

    name: str
    labels: dict[str, str]
    values: Floats


class History:
    """What was stored.

    Args:
        prometheus: Runs over it.
        start: Seconds since 1970.
        end: The same.

    Attributes:
        minutes: Since the start, at every step.
    """

    def __init__(self, prometheus: Prometheus, start: float, end: float) -> None:
        self._prometheus = prometheus
        self._start = start
        self._count = int((end - start) / STEP_S) + 1
        self._end = start + (self._count - 1) * STEP_S
        self.minutes: Floats = np.arange(self._count) * STEP_S / 60

    def fetch(self, expr: str, legend: str) -> list[Series]:
        """Return every series of a query, named as a legend names them."""
        for name in ("namespace", "job", "instance"):
            expr = expr.replace(f"${name}", ".*")
        expr = expr.replace("$__rate_interval", f"{RATE_S}s").replace("[10m]", "[60s]")
        found = []
        for labels, samples in self._prometheus.history(expr, self._start, self._end, STEP_S):
            values = np.full(self._count, np.nan)
            for instant, text in samples:
                values[min(self._count - 1, round((instant - self._start) / STEP_S))] = float(text)
            found.append(Series(_named(legend, labels), labels, np.where(np.isfinite(values), values, np.nan)))
        return sorted(found, key=lambda one: one.name)


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)


def draw(dashboard: Dashboard, history: History) -> bytes:
    """Return the picture of a dashboard, PNG."""
    placed = lay_out(dashboard)
    rows = max(place.y + place.height for _, place in placed) + _HEAD
    figure = Figure(figsize=(WIDTH, rows * UNIT), dpi=DPI, facecolor=_PAPER)
    figure.text(0.012, 1 - 0.75 / rows, dashboard.title, fontsize=14, weight="bold", color=_INK, va="center")
    figure.text(0.988, 1 - 0.75 / rows, "datastore · 2 sidecars", fontsize=9, color=_FAINT, va="center", ha="right")
    changes = _changes(history)
    for what, place in placed:
        if isinstance(what, Row):
            y = 1 - (place.y + _HEAD + 0.55) / rows
            figure.text(0.012, y, what.title, fontsize=10.5, weight="bold", color=_INK, va="center")
            continue
        series = [one for query in what.queries for one in history.fetch(query.expr, query.legend)]
        series = [one for one in series if np.isfinite(one.values).any()]
        axes = _panel(figure, what, _box(place, rows), series, history)
        if axes is not None:
            for minute in changes:
                axes.axvline(minute, color=_MARK, linewidth=0.9, alpha=0.7, zorder=0.9)
    return _png(figure)


def _changes(history: History) -> list[float]:
    """Return the minutes at which policy changed."""
    found = history.fetch(f"changes({gauge('sidegate_snapshot_fingerprint')}[12s]) > 0", "")
    seen: list[float] = []
    for minute in sorted({float(history.minutes[at]) for one in found for at in np.flatnonzero(one.values > 0)}):
        if not seen or minute - seen[-1] > 0.25:  # noqa: PLR2004  five steps: one change, seen by both sidecars
            seen.append(minute)
    return seen


@dataclass(frozen=True)
class Box:
    """Where a panel stands in a picture, in shares of it; *row* is one row of the grid."""

    left: float
    top: float
    width: float
    height: float
    row: float


def _box(place: Place, rows: float) -> Box:
    return Box(place.x / COLUMNS, 1 - (place.y + _HEAD) / rows, place.width / COLUMNS, place.height / rows, 1 / rows)


def _panel(figure: Figure, panel: Panel, box: Box, series: Sequence[Series], history: History) -> Axes | None:
    """Draw one panel; returns its axes, if it has a time axis."""
    _frame(figure, panel, box)
    if panel.kind is Kind.NUMBER:
        _number(figure, panel, series, box)
        return None
    legend_rows = 0 if panel.kind is Kind.HEATMAP else _legend_rows(series, box.width)
    bottom = (1.05 + 0.62 * legend_rows) * box.row
    place = (box.left + 0.046, box.top - box.height + bottom, box.width - 0.058, box.height - bottom - 1.15 * box.row)
    axes = figure.add_axes(place)
    _prepare(axes, panel, history)
    if not series:
        axes.text(0.5, 0.5, panel.none, transform=axes.transAxes, ha="center", va="center", color=_FAINT, fontsize=9)
        axes.set_yticks([])
    elif panel.kind is Kind.HEATMAP:
        _heat(axes, panel, series, history)
    else:
        _lines(axes, panel, series, history)
        # One row of the grid below the axes are the times.
        _legend(axes, series, box, below=0.8 * box.row / place[3])
    return axes


def _frame(figure: Figure, panel: Panel, box: Box) -> None:
    pad_x, pad_y = 0.004, 0.09 * box.row
    figure.add_artist(
        FancyBboxPatch(
            (box.left + pad_x, box.top - box.height + pad_y),
            box.width - 2 * pad_x,
            box.height - 2 * pad_y,
            boxstyle="round,pad=0,rounding_size=0.003",
            mutation_aspect=WIDTH * box.row / UNIT,
            transform=figure.transFigure,
            facecolor="white",
            edgecolor="#dfe3e8",
            linewidth=0.8,
            zorder=-1,
        )
    )
    title = box.top - 0.62 * box.row
    figure.text(box.left + 0.011, title, panel.title, fontsize=8.5, weight="bold", color=_INK, va="center")


def _legend_rows(series: Sequence[Series], width: float) -> int:
    return max(1, math.ceil(len(series) / _columns(series, width)))


def _columns(series: Sequence[Series], width: float) -> int:
    longest = max((len(one.name) for one in series), default=1)
    return max(1, min(len(series) or 1, int(width * WIDTH * 12.2 / (longest + 5.5))))


def _prepare(axes: Axes, panel: Panel, history: History) -> None:
    axes.set_xlim(0, float(history.minutes[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda minute, _: f"{minute:g} min" if minute else "0"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: show(number, panel.unit)))
    axes.tick_params(labelsize=7, colors=_FAINT, length=0, pad=3)
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def _lines(axes: Axes, panel: Panel, series: Sequence[Series], history: History) -> None:
    colours = [_LINES[number % len(_LINES)] for number in range(len(series))]
    if panel.is_stacked:
        whole = np.vstack([np.nan_to_num(one.values) for one in series])
        axes.stackplot(
            history.minutes, whole, colors=colours, labels=[one.name for one in series], alpha=0.75, linewidth=0
        )
        top = float(whole.sum(axis=0).max())
    else:
        for one, colour in zip(series, colours, strict=True):
            axes.plot(history.minutes, one.values, color=colour, linewidth=1.3, label=one.name)
        top = max(float(np.nanmax(one.values)) for one in series)
    bounds = [bound for bound, _ in panel.steps]
    # A bound that is far above everything would flatten what is there.
    shown = [bound for bound in bounds if bound <= 4 * top or panel.maximum is not None]
    upper = panel.maximum * 1.05 if panel.maximum else (max([top, *shown]) or 1) * 1.12
    axes.set_ylim(0, upper)
    axes.set_yticks(_marks(upper if top or shown else 0, panel.unit))
    for bound, colour in panel.steps:
        if bound in shown:
            axes.axhline(bound, color=_STEPS[colour], linewidth=1, linestyle=(0, (5, 3)))


def _marks(upper: float, unit: Unit) -> Floats:
    """Return round numbers from 0 to *upper*, round in what is shown: 5 min and not 300 s, 4 MiB and not 4000000."""
    scale = scale_of(upper, unit)
    locator = MaxNLocator(4, min_n_ticks=2, integer=unit is Unit.NUMBER)
    marks = np.asarray(locator.tick_values(0, upper / scale), dtype=np.float64) * scale
    return marks[(marks >= 0) & (marks <= upper)]


def _legend(axes: Axes, series: Sequence[Series], box: Box, below: float) -> None:
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.03, -below),
        ncols=_columns(series, box.width),
        fontsize=7,
        frameon=False,
        labelcolor=_INK,
        handlelength=1.1,
        handletextpad=0.5,
        columnspacing=1.2,
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.35,
    )


def _heat(axes: Axes, panel: Panel, series: Sequence[Series], history: History) -> None:
    """Draw counts by time and bucket: what each bucket has more than the one below it."""
    ordered = sorted(series, key=lambda one: float(one.labels["le"]))
    counts = np.diff(np.vstack([np.nan_to_num(one.values) for one in ordered]), axis=0, prepend=0.0)
    used = np.flatnonzero(counts.max(axis=1) > 0)
    first, last = max(0, int(used[0]) - 1), min(len(ordered) - 1, int(used[-1]) + 1)
    counts = np.clip(counts[first : last + 1], 0, None)
    with np.errstate(divide="ignore"):
        shaded = np.where(counts > 0, np.sqrt(counts), np.nan)
    axes.pcolormesh(
        history.minutes, np.arange(len(counts)), shaded, cmap="Blues", shading="nearest", vmin=0, rasterized=True
    )
    marks = np.arange(0, len(counts), max(1, len(counts) // 5))
    axes.set_yticks(marks + 0.5)
    axes.set_yticklabels([show(float(ordered[first + mark].labels["le"]), panel.unit) for mark in marks])
    axes.grid(visible=False)


def _number(figure: Figure, panel: Panel, series: Sequence[Series], box: Box) -> None:
    centre, middle = box.left + box.width / 2, box.top - box.height * 0.5
    if not series:
        figure.text(centre, middle, panel.none, fontsize=12, color=_FAINT, ha="center", va="center")
        return
    values = series[0].values
    last = float(values[np.flatnonzero(np.isfinite(values))[-1]])
    colour = _STEPS[Colour.GREEN]
    for bound, step in panel.steps:
        if last >= bound:
            colour = _STEPS[step]
    axes = figure.add_axes(
        (box.left + 0.006, box.top - box.height + 0.2 * box.row, box.width - 0.012, box.height * 0.33)
    )
    axes.axis("off")
    steps = np.arange(len(values))
    axes.fill_between(steps, np.nan_to_num(values), color=colour, alpha=0.16, linewidth=0)
    axes.plot(steps, values, color=colour, alpha=0.6, linewidth=0.9)
    axes.set_xlim(0, len(values) - 1)
    axes.set_ylim(0, (float(np.nanmax(values)) or 1) * 1.15)
    text = show(last, panel.unit)
    figure.text(centre, middle, text, fontsize=17, weight="bold", color=colour, ha="center", va="center")


def _png(figure: Figure) -> bytes:
    drawn, written = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", facecolor=figure.get_facecolor())
    with Image.open(drawn) as image:
        image.convert("RGB").save(written, format="png", optimize=True)
    return written.getvalue()


def main() -> int:
    """Draw all of them."""
    parser = argparse.ArgumentParser(prog="python -m scripts.dashboards.draw", description=__doc__)
    parser.add_argument("history", type=Path, help="made by scripts.dashboards.history")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    options = parser.parse_args()
    mpl.rcParams["font.family"] = "DejaVu Sans"
    span = json.loads((options.history / SPAN).read_text("utf-8"))
    prometheus = Prometheus(options.history / "prometheus", {}).start()
    try:
        history = History(prometheus, span["start"], span["end"])
        for dashboard in DASHBOARDS:
            picture = draw(dashboard, history)
            path = options.folder / f"{dashboard.name}.png"
            path.write_bytes(picture)
            sys.stdout.write(f"{path}: {len(picture) // 1024} KiB\n")
    finally:
        prometheus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
