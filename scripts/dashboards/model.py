"""What a dashboard says, without how Grafana writes it down."""

from enum import StrEnum
from typing import Final

from sidegate.core.model.value import value

COLUMNS: Final = 24
"""Width of Grafana's grid."""

WHERE: Final = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'
"""Selects the sidecars that are looked at; goes into every selector."""

RATE: Final = "$__rate_interval"
"""Grafana's: at least four scrapes."""


class Unit(StrEnum):
    """Grafana's name of a unit."""

    PER_SECOND = "reqps"
    NUMBER = "short"
    SECONDS = "s"
    BYTES = "bytes"
    SHARE = "percentunit"


class Kind(StrEnum):
    """Grafana's name of a kind of panel."""

    LINES = "timeseries"
    NUMBER = "stat"
    HEATMAP = "heatmap"


class Colour(StrEnum):
    """Of a threshold; names that Grafana and its themes know."""

    GREEN = "green"
    ORANGE = "orange"
    RED = "red"


@value
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL, with Grafana's variables.
        legend: Of each series; ``{{label}}`` is replaced.
    """

    expr: str
    legend: str


@value
class Panel:
    """One panel.

    Attributes:
        title: Short.
        description: What it shows, and what is good.
        queries: At least one; a number has exactly one, and so has a heat map.
        unit: Of all that it shows.
        kind: How.
        width: Of 24 columns.
        height: In rows of 30 pixels.
        is_stacked: Series add up to something.
        steps: From which value on which colour, lowest first; below the first it is green. Where an alert fires, it is
            the alert's number.
        maximum: Of the axis, where it is known.
        none: What a number shows where there is no series.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: Unit
    kind: Kind = Kind.LINES
    width: int = 12
    height: int = 8
    is_stacked: bool = False
    steps: tuple[tuple[float, Colour], ...] = ()
    maximum: float | None = None
    none: str = "none"


@value
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@value
class Dashboard:
    """One dashboard.

    Attributes:
        name: Of its file, and the end of its uid.
        title: As Grafana lists it.
        description: Whom it is for.
        rows: From top to bottom.
    """

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]


@value
class Place:
    """Where a panel stands on the grid."""

    x: int
    y: int
    width: int
    height: int


def lay_out(dashboard: Dashboard) -> list[tuple[Row | Panel, Place]]:
    """Place every heading and panel, in reading order: a panel that does not fit begins a new line."""
    placed: list[tuple[Row | Panel, Place]] = []
    y = 0
    for row in dashboard.rows:
        placed.append((row, Place(0, y, COLUMNS, 1)))
        y += 1
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                y += tallest
                x = tallest = 0
            placed.append((panel, Place(x, y, panel.width, panel.height)))
            x += panel.width
            tallest = max(tallest, panel.height)
        y += tallest
    return placed


@value
class Match:
    """A condition on a label that is not plain equality.

    Attributes:
        operator: Of PromQL.
        text: What it is compared with.
    """

    operator: str
    text: str


def any_of(*texts: str) -> Match:
    """Match any of *texts*, which are plain words."""
    return Match("=~", "|".join(texts))


def no(text: str) -> Match:
    """Match anything but *text*."""
    return Match("!=", text)


def gauge(metric: str, **labels: str | Match) -> str:
    """Select a metric of the sidecars that are looked at."""
    matches = {name: text if isinstance(text, Match) else Match("=", text) for name, text in labels.items()}
    conditions = [WHERE, *(f'{name}{match.operator}"{match.text}"' for name, match in matches.items())]
    return f"{metric}{{{', '.join(conditions)}}}"


def rate(metric: str, **labels: str | Match) -> str:
    """Return the rate of a counter of the sidecars that are looked at."""
    return f"rate({gauge(metric, **labels)}[{RATE}])"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """Return the quantile of a histogram, over all selected sidecars or *by* a label."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) ({rate(f'{histogram}_bucket')}))"


def quantiles(histogram: str) -> tuple[Query, ...]:
    """Return the usual three."""
    return tuple(Query(quantile(share, histogram), f"p{share * 100:g}") for share in (0.5, 0.9, 0.99))
