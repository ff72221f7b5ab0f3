"""What a PromQL query asks for: metrics, conditions on labels, labels it groups by."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Expr, VectorSelector

from sidegate.telemetry.catalogue import METRICS, MetricKind

TARGET_LABELS: Final = frozenset({"namespace", "job", "instance"})
"""What Prometheus adds."""

PROCESS_METRICS: Final = frozenset(
    {
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
        "process_max_fds",
    }
)
"""Of /proc, beside those of the catalogue."""

OF_PROMETHEUS: Final = {"up": frozenset[str]()}
"""What Prometheus itself says about a target."""


@dataclass(frozen=True)
class Condition:
    """One matcher of a selector."""

    label: str
    operator: str
    text: str


@dataclass(frozen=True)
class Selected:
    """One selector of a query."""

    metric: str
    conditions: tuple[Condition, ...]


def without_variables(expr: str) -> str:
    """Put something in the place of Grafana's variables, as Grafana would."""
    for name in ("namespace", "job", "instance"):
        expr = expr.replace(f"${name}", ".*")
    return expr.replace("$__rate_interval", "1m")


def _nodes(expr: str) -> Iterator[Expr]:
    found: list[Expr] = []
    promql_parser.walk(promql_parser.parse(without_variables(expr)), found.append)
    yield from found


def selected(expr: str) -> list[Selected]:
    """Return every selector of *expr*.

    Raises:
        ValueError: It is no PromQL.
    """
    return [
        Selected(
            node.name,
            tuple(Condition(one.name, str(one.op), one.value) for one in node.matchers.matchers),
        )
        for node in _nodes(expr)
        if isinstance(node, VectorSelector)
    ]


def grouped(expr: str) -> set[str]:
    """Return every label that *expr* groups or joins by."""
    labels: set[str] = set()
    for node in _nodes(expr):
        if isinstance(node, AggregateExpr) and node.modifier is not None:
            labels |= set(node.modifier.labels)
        if isinstance(node, BinaryExpr) and node.modifier is not None and node.modifier.matching is not None:
            labels |= set(node.modifier.matching.labels)
    return labels


def known() -> dict[str, dict[str, frozenset[str]]]:
    """Return every series that a sidecar can export: its labels, and the values that each may have."""
    series: dict[str, dict[str, frozenset[str]]] = {name: {} for name in PROCESS_METRICS}
    for metric in METRICS:
        values = {label: frozenset(row[place] for row in metric.rows) for place, label in enumerate(metric.labels)}
        if metric.kind is MetricKind.HISTOGRAM:
            series[f"{metric.name}_bucket"] = {"le": frozenset()}
            series[f"{metric.name}_count"] = {}
            series[f"{metric.name}_sum"] = {}
        else:
            series[metric.name] = values
    return series


def problems(expr: str, recorded: frozenset[str] = frozenset()) -> list[str]:
    """Return what *expr* asks for that no sidecar exports.

    Args:
        recorded: Names of recording rules, which it may use too.
    """
    series, found, labels = known(), [], set(TARGET_LABELS)
    for one in selected(expr):
        if one.metric in recorded or one.metric in OF_PROMETHEUS:
            continue
        if one.metric not in series:
            found.append(f"no metric {one.metric}")
            continue
        there = series[one.metric]
        labels |= set(there)
        for condition in one.conditions:
            if condition.label in TARGET_LABELS:
                continue
            if condition.label not in there:
                found.append(f"{one.metric} has no label {condition.label}")
            elif there[condition.label]:
                unknown = set(condition.text.split("|")) - there[condition.label]
                found += [f"{one.metric} has no {condition.label}={text!r}" for text in sorted(unknown)]
    found += [f"nothing has the label {label} to group by" for label in sorted(grouped(expr) - labels)]
    return found
