"""The table of metrics for the documentation, written from the catalogue so that it cannot lag behind."""

from typing import Final

from sidegate.telemetry import catalogue
from sidegate.telemetry.catalogue import Metric

_MANY: Final = 12
"""A label with more values than this is described, not listed."""

_DESCRIBED: Final = {
    "code": "the status, `100` to `599`, or `none` without an answer",
    "reason": "every reason of a decision",
}


def _label(metric: Metric, place: int) -> str:
    name = metric.labels[place]
    found = list(dict.fromkeys(row[place] for row in metric.rows))
    if len(found) > _MANY:
        return f"`{name}`: {_DESCRIBED[name]}"
    return f"`{name}`: " + " ".join(f"`{text}`" for text in found)


def metrics_reference() -> str:
    """Return a Markdown table of all metrics: name, kind, labels with their values, meaning, sum over workers."""
    lines = [
        "| metric | kind | labels | meaning | over workers |",
        "|---|---|---|---|---|",
    ]
    for metric in catalogue.METRICS:
        labels = "; ".join(_label(metric, place) for place in range(len(metric.labels))) or "none"
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} | {metric.across} |")
    return "\n".join(lines) + "\n"
