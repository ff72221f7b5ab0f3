"""Dashboards as Grafana reads them: its JSON model, schema version 41 (Grafana 11.6)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scripts.dashboards.model import Dashboard, Kind, Panel, Place, Row, Unit, gauge, lay_out

SCHEMA_VERSION: Final = 41
TAG: Final = "sidegate"
UID_PREFIX: Final = "sidegate-"

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_DECIMALS: Final = {Unit.SHARE: 1}

Json = dict[str, Any]


def render(dashboard: Dashboard, others: Sequence[Dashboard]) -> str:
    """Return the JSON of *dashboard*, with links to *others*."""
    panels = [_placed(number, what, place) for number, (what, place) in enumerate(lay_out(dashboard), start=1)]
    document = {
        "uid": UID_PREFIX + dashboard.name,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "links": [_link(other) for other in others if other != dashboard],
        "templating": {"list": _variables()},
        "annotations": {"list": [_policy_changes()]},
        "panels": panels,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _link(other: Dashboard) -> Json:
    return {
        "type": "link",
        "title": other.title.removeprefix("Sidegate / "),
        "tooltip": other.description,
        "url": f"/d/{UID_PREFIX}{other.name}",
        "icon": "dashboard",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }


def _variables() -> list[Json]:
    source = {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "regex": "",
        "hide": 0,
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "skipUrlSync": False,
        "options": [],
        "current": {},
    }
    # A metric that every sidecar exports, and nothing else does.
    metric = "sidegate_connections_limit"
    return [
        source,
        _variable("namespace", "Namespace", metric),
        _variable("job", "Job", f'{metric}{{namespace=~"$namespace"}}'),
        _variable("instance", "Sidecar", f'{metric}{{namespace=~"$namespace", job=~"$job"}}'),
    ]


def _variable(name: str, label: str, metric: str) -> Json:
    query = f"label_values({metric}, {name})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "regex": "",
        "hide": 0,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Outside clusters there is no namespace: `.*` is also true of a label that is not there.
        "allValue": ".*",
        "skipUrlSync": False,
        "options": [],
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _policy_changes() -> Json:
    return {
        "name": "Policy changes",
        "datasource": _SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": f"changes({gauge('sidegate_snapshot_fingerprint')}[1m]) > 0",
        "step": "60s",
        "titleFormat": "another policy",
        "textFormat": "{{instance}}",
    }


def _placed(number: int, what: Row | Panel, place: Place) -> Json:
    grid = {"gridPos": {"h": place.height, "w": place.width, "x": place.x, "y": place.y}, "id": number}
    if isinstance(what, Row):
        return {"type": "row", "title": what.title, "collapsed": False, "panels": [], **grid}
    return {
        "type": what.kind.value,
        "title": what.title,
        "description": what.description,
        "datasource": _SOURCE,
        "targets": [_target(what, place_of, query.expr, query.legend) for place_of, query in enumerate(what.queries)],
        "fieldConfig": {"defaults": _field(what), "overrides": []},
        "options": _options(what),
        **grid,
    }


def _target(panel: Panel, number: int, expr: str, legend: str) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": expr,
        "legendFormat": legend,
        "format": "heatmap" if panel.kind is Kind.HEATMAP else "time_series",
        "instant": False,
        "range": True,
    }


def _field(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    steps += [{"color": colour.value, "value": bound} for bound, colour in panel.steps]
    field: Json = {
        "unit": panel.unit.value,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.kind is Kind.NUMBER else "palette-classic"},
        "mappings": [],
        "noValue": panel.none,
    }
    if panel.unit in _DECIMALS:
        field["decimals"] = _DECIMALS[panel.unit]
    if panel.maximum is not None:
        field["max"] = panel.maximum
    if panel.kind is Kind.LINES:
        field["custom"] = {
            "drawStyle": "line",
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "fillOpacity": 25 if panel.is_stacked else 5,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
            "axisPlacement": "auto",
        }
    return field


def _options(panel: Panel) -> Mapping[str, Any]:
    match panel.kind:
        case Kind.NUMBER:
            return {
                "colorMode": "value",
                "graphMode": "area",
                "justifyMode": "auto",
                "orientation": "auto",
                "textMode": "auto",
                "wideLayout": True,
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            }
        case Kind.HEATMAP:
            return {
                "calculate": False,
                "cellGap": 0,
                "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "fill": "dark-blue", "exponent": 0.5},
                "yAxis": {"axisPlacement": "left", "unit": panel.unit.value},
                "rowsFrame": {"layout": "auto"},
                "tooltip": {"mode": "single", "showColorScale": False},
                "legend": {"show": False},
            }
        case Kind.LINES:
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
