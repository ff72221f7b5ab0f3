"""Dashboards: current, known to Grafana, complete, and asking for what sidecars export."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard
from scripts.dashboards.generate import DASHBOARDS, FOLDER, PROJECT, outdated
from scripts.dashboards.model import COLUMNS, Unit
from tests.observability.queries import problems

Json = dict[str, Any]

FILES: Final = sorted((PROJECT / FOLDER).glob("*.json"))
DOCUMENTS: Final = {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}
OF_THE_SOURCE: Final = {"step", "titleFormat", "textFormat", "definition"}
"""Keys of Grafana's Prometheus data source, in annotations and variables: not in the schema of dashboards."""

EACH = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)


def panels_of(document: Json) -> list[Json]:
    """Return the panels without the headings."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def queries_of(document: Json) -> Iterator[str]:
    """Return every query: of panels, annotations and variables."""
    for panel in panels_of(document):
        yield from (target["expr"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in document["annotations"]["list"])
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"].removeprefix("label_values(").rpartition(",")[0]


def missing(written: object, read: object, place: str = "") -> list[str]:
    """Return what of *written* is not in *read*, by its place."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [
            one
            for key, inner in written.items()
            for one in (
                [f"{place}.{key}"]
                if key not in read and inner is not None
                else missing(inner, read.get(key), f"{place}.{key}")
            )
        ]
    if isinstance(written, list) and isinstance(read, list):
        pairs = zip(written, read, strict=True)
        return [one for number, (a, b) in enumerate(pairs) for one in missing(a, b, f"{place}[{number}]")]
    return [] if written == read else [f"{place}: {written!r} became {read!r}"]


def test_they_are_current() -> None:
    """`python -m scripts.dashboards` would write nothing."""
    assert sorted(str(path.relative_to(PROJECT)) for path in outdated()) == []


def test_there_is_one_of_each() -> None:
    """And nothing is left over."""
    assert {"overview", "red", "policy", "audit", "resources"} == set(DOCUMENTS)


@EACH
def test_grafana_knows_all_of_it(document: Json) -> None:
    """Read into the types that Grafana generates from its own schema and written again, nothing is lost or changed."""
    plugins.register_default_plugins()
    again = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(document)))
    assert [place for place in missing(document, again) if place.rpartition(".")[2] not in OF_THE_SOURCE] == []


@EACH
def test_every_query_asks_for_what_sidecars_export(document: Json) -> None:
    """It parses, and metrics, labels and label values are those of the catalogue."""
    assert {expr: found for expr in queries_of(document) if (found := problems(expr))} == {}


@EACH
def test_every_selector_follows_the_variables(document: Json) -> None:
    """Somebody who chose one sidecar sees nothing of another."""
    for panel in panels_of(document):
        for target in panel["targets"]:
            assert target["expr"].count("sidegate_") + target["expr"].count("process_") == target["expr"].count(
                '{namespace=~"$namespace", job=~"$job", instance=~"$instance"'
            ), panel["title"]


@EACH
def test_every_panel_explains_itself(document: Json) -> None:
    """Title, a sentence, a unit; and no two of the same name in a dashboard but under different headings."""
    panels = panels_of(document)
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert len(panel["description"]) > 10
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


def test_units_are_grafanas() -> None:
    """An unknown one would be shown as text behind the number."""
    known = {text for name, text in vars(units).items() if not name.startswith("_")}
    assert {unit.value for unit in Unit} <= {text for text in known if isinstance(text, str)}


@EACH
def test_units_fit_the_metrics(document: Json) -> None:
    """Seconds are shown as seconds, bytes as bytes, a quotient of like things as a share."""
    for panel in panels_of(document):
        unit = panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            expr = target["expr"]
            if "/" not in expr and "_bytes" in expr:
                assert unit == Unit.BYTES, panel["title"]
            if "histogram_quantile" in expr or ("/" not in expr and "_age_seconds" in expr):
                assert unit == Unit.SECONDS, panel["title"]
            if unit == Unit.SHARE:
                assert "/" in expr, panel["title"]


@EACH
def test_panels_do_not_overlap(document: Json) -> None:
    """Each stands within the grid, on cells of its own."""
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= COLUMNS
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@EACH
def test_each_leads_to_all_others(document: Json) -> None:
    """With the time and the variables that are chosen."""
    others = {f"/d/{other['uid']}" for other in DOCUMENTS.values() if other is not document}
    assert others == {link["url"] for link in document["links"]}
    assert all(link["includeVars"] and link["keepTime"] for link in document["links"])


def test_each_has_a_picture_and_a_page() -> None:
    """Drawn from a real history; what each panel shows stands beside it."""
    page = (PROJECT / "docs/dashboards/index.md").read_text("utf-8")
    for dashboard in DASHBOARDS:
        picture = Path(f"docs/dashboards/{dashboard.name}.png")
        assert (PROJECT / picture).stat().st_size < 300_000
        assert f"({dashboard.name}.png)" in page
        for panel in panels_of(DOCUMENTS[dashboard.name]):
            assert f"**{panel['title']}**" in page, f"{dashboard.name}: {panel['title']}"


def test_the_chart_carries_them() -> None:
    """`make chart` copies what is in config/."""
    copies = {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in (PROJECT / "helm/sidegate/files/dashboards").iterdir()
    }
    assert copies == DOCUMENTS
