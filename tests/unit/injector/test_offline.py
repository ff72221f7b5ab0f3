"""Manifests get the sidecar as pods do, their Services are led to it, and all of it can be taken back."""

import json
from typing import Any

import pytest
import yaml
from tests.unit.deploy.test_kubernetes_schemas import problems
from tests.unit.injector.samples import REVIEWS, injected, pod_of

from sidegate.injector.annotations import INJECTED
from sidegate.injector.definition import default_definition
from sidegate.injector.manifests import Document, UnreadableError, read_documents
from sidegate.injector.offline import OfflineRefusedError, Told, inject_documents, uninject_documents

DEPLOYMENT = """\
# The datastore.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: datastore   # its name
spec:
  selector: {matchLabels: {app: datastore}}
  template:
    metadata:
      labels: {app: datastore}
    spec:
      containers:
      # the service itself
      - name: app
        image: "datastore:1"   # in quotes
        ports:
        - name: http
          containerPort: 9000
        readinessProbe:
          httpGet: {path: /healthz, port: http}   # by name

# after it
---
apiVersion: v1
kind: Service
metadata: {name: datastore}
spec:
  selector: {app: datastore}
  ports:
  - {port: 80, targetPort: 9000}   # by number
---
kind: ConfigMap
apiVersion: v1
data:   {odd:   "blanks"}
"""
ENABLE = {"sidegate.dev/inject": "enabled", "sidegate.dev/config": "datastore"}
CONFIG = {"sidegate.dev/config": "datastore"}


def documents(text: str = DEPLOYMENT) -> list[Document]:
    """Return the documents of a file."""
    return read_documents(text.encode(), "f")


def texts(read: list[Document]) -> str:
    """Return a file again."""
    return "".join(document.text() for document in read)


def injected_text(text: str = DEPLOYMENT) -> str:
    """Return a file with the sidecar in it."""
    read = documents(text)
    inject_documents(read, default_definition(), ENABLE)
    return texts(read)


def test_comments_order_and_quotes_stay() -> None:
    """Every line of the original is there, in order, but for those that had to change."""
    after = injected_text().splitlines()
    gone = [line for line in DEPLOYMENT.splitlines() if line not in after]
    assert [line.strip() for line in gone] == [
        "labels: {app: datastore}",
        "containerPort: 9000",
        "httpGet: {path: /healthz, port: http}   # by name",
        "metadata: {name: datastore}",
        "- {port: 80, targetPort: 9000}   # by number",
    ]
    assert after[-3:] == DEPLOYMENT.splitlines()[-3:]
    assert [line for line in after if "# " in line and "by " not in line] == [
        line for line in DEPLOYMENT.splitlines() if "# " in line and "by " not in line
    ]


def test_out_of_it_comes_the_original() -> None:
    """To the last byte, annotations that were added included."""
    read = documents(injected_text())
    told = uninject_documents(read)
    assert texts(read) == DEPLOYMENT
    assert [one.is_done for one in told] == [True, True]


def test_twice_is_once() -> None:
    """Nothing changes the second time."""
    once = injected_text()
    assert injected_text(once) == once


@pytest.mark.parametrize("name", REVIEWS)
def test_it_is_the_webhooks_result(name: str) -> None:
    """A manifest with a pod in it comes out as the webhook would have made it."""
    read = documents(yaml.safe_dump({**pod_of(name), "apiVersion": "v1", "kind": "Pod"}))
    inject_documents(read, default_definition(), {})
    after = yaml.safe_load(texts(read))
    expected = injected(name)
    assert after == {**expected, "apiVersion": "v1", "kind": "Pod"}


TEMPLATES = {
    "Deployment": "deployment", "StatefulSet": "statefulset", "DaemonSet": "daemonset", "Job": "job",
    "CronJob": "cronjob",
}  # fmt: skip


def workload(kind: str) -> dict[str, Any]:
    """Return the workload that a controller made the pod of a review from."""
    pod = pod_of(TEMPLATES[kind])
    labels = {"app": "datastore"}
    metadata = {"labels": labels, "annotations": pod["metadata"]["annotations"]}
    spec: dict[str, Any] = {"template": {"metadata": metadata, "spec": pod["spec"]}}
    if kind == "CronJob":
        spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": spec}}
    elif kind != "Job":
        spec["selector"] = {"matchLabels": dict(labels)}
    if kind == "StatefulSet":
        spec["serviceName"] = "datastore"
    group = "batch/v1" if kind.endswith("Job") else "apps/v1"
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "datastore"}, "spec": spec}


@pytest.mark.parametrize("kind", TEMPLATES)
@pytest.mark.parametrize("form", ["yaml", "json"])
def test_workloads_stay_what_the_api_takes(kind: str, form: str) -> None:
    """Each kind with a sidecar in its template is checked strictly; without it again it is the original."""
    original = workload(kind)
    read = documents(yaml.safe_dump(original) if form == "yaml" else json.dumps(original))
    (told,) = inject_documents(read, default_definition(), {})
    assert told.is_done
    after = read[0].plain()
    for version in ("1.29", "1.33", "1.37"):
        assert problems(after, version) == []
    again = documents(texts(read))
    uninject_documents(again)
    assert again[0].plain() == original


def test_services_of_the_pods_are_led_to_the_sidecar() -> None:
    """With `inject` among what is added; wherever they stand in the file."""
    deployment, service, _ = DEPLOYMENT.split("---\n")
    read = documents(f"{service}---\n{deployment}")
    told = inject_documents(read, default_definition(), ENABLE)
    assert read[0].data["spec"]["ports"][0]["targetPort"] == 8080
    assert told[1] == Told("service/datastore", "leads to the sidecar", is_done=True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("targetPort: 9000", "targetPort: http"), id="by-name"),
        pytest.param(("targetPort: 9000", "targetPort: 9100"), id="another-port"),
        pytest.param(("  selector: {app: datastore}\n  ports", "  selector: {app: other}\n  ports"), id="other-pods"),
        pytest.param(("  selector: {app: datastore}\n  ports", "  ports"), id="no-selector"),
        pytest.param(("metadata: {name: datastore}", "metadata: {name: d, namespace: x}"), id="other-namespace"),
    ],
)
def test_other_services_are_left_alone(change: tuple[str, str]) -> None:
    """Those that lead elsewhere, or by the name, which follows the pod."""
    text = DEPLOYMENT.replace(*change)
    assert text != DEPLOYMENT
    read = documents(text)
    inject_documents(read, default_definition(), ENABLE)
    assert not read[1].is_changed


def test_a_service_past_the_sidecar_is_told() -> None:
    """Where nobody asked for Services to be changed, what is left to do is said."""
    text = DEPLOYMENT.replace(
        "      labels: {app: datastore}\n",
        "      labels: {app: datastore}\n      annotations: {sidegate.dev/inject: enabled, sidegate.dev/config: c}\n",
    )
    read = documents(text)
    told = inject_documents(read, default_definition(), {})
    assert "past the sidecar: lead it to 8080" in told[1].text
    assert not read[1].is_changed


def test_who_does_not_ask_is_told_and_left_alone() -> None:
    """Also when annotations were to be added: they are taken back."""
    read = documents()
    told = inject_documents(read, default_definition(), CONFIG)
    assert texts(read) == DEPLOYMENT
    assert told == [Told("deployment/datastore", "`sidegate.dev/inject` is missing", is_done=False)]
    assert "annotations" not in read[0].data["spec"]["template"]["metadata"]


def test_an_annotation_on_the_workload_is_told() -> None:
    """A usual mistake: no pod gets it from there."""
    text = DEPLOYMENT.replace(
        "  name: datastore   # its name", "  name: datastore\n  annotations: {sidegate.dev/inject: enabled}"
    )
    (told,) = inject_documents(documents(text), default_definition(), {})
    assert told.text == "`sidegate.dev/inject` is on the workload itself; move it to the pod template's metadata"
    assert not told.is_done


def test_all_refusals_are_told() -> None:
    """Of every object, not of the first only."""
    read = documents(
        DEPLOYMENT.replace("containerPort: 9000", "protocol: UDP") + "---\n" + DEPLOYMENT.replace("http", "Http")
    )
    read[3].data["spec"]["template"]["spec"]["hostNetwork"] = True
    with pytest.raises(OfflineRefusedError) as refused:
        inject_documents(read, default_definition(), ENABLE)
    assert [about for about, _ in refused.value.refused] == ["deployment/datastore", "deployment/datastore"]


def test_a_changed_document_has_no_aliases() -> None:
    """They would be changed together; the document says so instead."""
    text = DEPLOYMENT.replace("selector: {matchLabels: {app", "selector: &s {matchLabels: {app") + "x: *s\n"
    text = text.replace('---\nkind: ConfigMap\napiVersion: v1\ndata:   {odd:   "blanks"}\nx: *s\n', "")
    text = text.replace("      labels: {app: datastore}", "      labels: &l {app: datastore}\n      x: *l", 1)
    with pytest.raises(UnreadableError, match="aliases"):
        inject_documents(documents(text), default_definition(), ENABLE)


def test_json_stays_json() -> None:
    """With its indentation, whatever it is."""
    pod = {"containers": [{"name": "a", "ports": [{"containerPort": 9000}]}]}
    text = json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": pod}, indent=4) + "\n"
    read = documents(text)
    inject_documents(read, default_definition(), ENABLE)
    after = texts(read)
    assert after.startswith('{\n    "apiVersion": "v1",\n    "kind": "Pod",')
    assert INJECTED in after
    again = documents(after)
    uninject_documents(again)
    assert again[0].data == documents(text)[0].data
