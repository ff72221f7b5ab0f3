"""The chart renders the shipped alerts and dashboards, behind toggles."""

import json
from typing import Any, Final

import pytest
import yaml
from helm_python import HelmError
from tests.observability.rules import ALERTS, PROJECT
from tests.unit.deploy.rendering import Charts, Document, base_values, merged
from tests.unit.deploy.test_kubernetes_schemas import VERSIONS, problems

BOARDS: Final = {path.name: json.loads(path.read_text("utf-8")) for path in (PROJECT / "config/dashboards").iterdir()}

MAX_CONFIG_MAP: Final = 1_000_000
"""Bytes; a little less than what etcd takes."""


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """Return the charts as they are shipped."""
    return Charts(tmp_path_factory.mktemp("charts"))


def rendered(charts: Charts, **values: Any) -> list[Document]:
    """Return the objects of a standalone release."""
    return charts.documents(merged(base_values(), values))


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    """Return the objects of a kind."""
    return [document for document in documents if document["kind"] == kind]


def test_they_are_off_unless_asked_for(charts: Charts) -> None:
    """A cluster without the Prometheus operator would refuse the release."""
    documents = rendered(charts)
    assert of_kind(documents, "PrometheusRule") == []
    assert not any("grafana_dashboard" in one["metadata"]["labels"] for one in of_kind(documents, "ConfigMap"))


def test_the_rules_are_the_shipped_ones(charts: Charts) -> None:
    """Word for word: braces in them are Prometheus's."""
    (rule,) = of_kind(rendered(charts, alerts={"enabled": True}), "PrometheusRule")
    assert yaml.safe_load(ALERTS.read_text("utf-8")) == rule["spec"]


@pytest.mark.parametrize("url", ["https://docs.example/sidegate", "https://docs.example/sidegate/"])
def test_runbooks_get_the_address_of_the_documentation(charts: Charts, url: str) -> None:
    """With `alerts.docsUrl` a pager can open them; nothing else changes."""
    (rule,) = of_kind(rendered(charts, alerts={"enabled": True, "docsUrl": url}), "PrometheusRule")
    for group in rule["spec"]["groups"]:
        for one in group["rules"]:
            if "alert" in one:
                page = one["annotations"]["runbook_url"]
                assert page == f"https://docs.example/sidegate/runbooks/{one['alert']}.html"
                one["annotations"]["runbook_url"] = page.removeprefix("https://docs.example/sidegate/")
    assert yaml.safe_load(ALERTS.read_text("utf-8")) == rule["spec"]


@pytest.mark.parametrize("url", ["docs.example", "ftp://docs.example", "https://docs.example/a b", 'https://x/"\n- y'])
def test_an_address_that_is_none_is_refused(charts: Charts, url: str) -> None:
    """It becomes part of a document: nothing that would break out of it."""
    with pytest.raises(HelmError, match="docsUrl"):
        rendered(charts, alerts={"enabled": True, "docsUrl": url})


def test_a_config_map_for_each_dashboard(charts: Charts) -> None:
    """Labelled for Grafana's sidecar, small enough to be stored, and as shipped."""
    documents = rendered(charts, dashboards={"enabled": True})
    maps = [one for one in of_kind(documents, "ConfigMap") if "grafana_dashboard" in one["metadata"]["labels"]]
    texts = {name: text for one in maps for name, text in one["data"].items()}
    assert {name: json.loads(text) for name, text in texts.items()} == BOARDS
    assert all(len(text.encode()) < MAX_CONFIG_MAP for text in texts.values())
    assert len({one["metadata"]["name"] for one in maps}) == len(BOARDS)


@pytest.mark.parametrize("version", VERSIONS)
def test_clusters_take_them(charts: Charts, version: str) -> None:
    """Strictly against the schemas of Kubernetes and of the Prometheus operator."""
    documents = charts.documents(
        merged(base_values(), {"alerts": {"enabled": True, "docsUrl": "https://x"}, "dashboards": {"enabled": True}}),
        kubernetes=f"v{version}.0",
    )
    shown = [one for one in documents if one["kind"] in {"PrometheusRule", "ConfigMap"}]
    assert len(shown) > len(BOARDS)
    assert [problem for one in shown for problem in problems(one, version)] == []
