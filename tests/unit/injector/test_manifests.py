"""Manifests: read as they are, and written so that only what changed has changed."""

import json
from typing import Any

import pytest

from sidegate.injector.manifests import MAX_BYTES, UnreadableError, read_documents
from sidegate.injector.shape import MalformedError

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("# a comment\n", id="comment"),
        pytest.param("---\n" + POD, id="start"),
        pytest.param(POD + "---\n" + POD + "...\n", id="end"),
        pytest.param("--- # first\n" + POD + "---\n# only a comment\n---\n" + POD, id="comments-between"),
        pytest.param("a:   [ 1,2 ]   # odd blanks\nb: 'x'\n", id="odd-blanks"),
        pytest.param('{"apiVersion": "v1",\n\t"kind": "Pod"}', id="json-with-tabs"),
        pytest.param("text: |\n  ---\n  not a document\n", id="line-in-a-text"),
        pytest.param("a: &x {b: 1}\nc: *x\n", id="aliases"),
        pytest.param("a: 0444\nb: on\nc: 2026-11-22\n", id="yaml-1.1"),
    ],
)
def test_what_does_not_change_comes_out_as_it_went_in(text: str) -> None:
    """Byte for byte."""
    assert "".join(document.text() for document in read_documents(text.encode(), "f")) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a: [1\n", "f:2:1: is no YAML", id="cut"),
        pytest.param(b"a: 1\na: 2\n", "is no YAML", id="key-twice"),
        pytest.param(b"{", "f: is no JSON", id="cut-json"),
        pytest.param(b"a: \xff\n", "is not UTF-8 at byte 3", id="no-utf-8"),
        pytest.param(b"a: 1\n---\nb: {\n", "f, document 2", id="second-document"),
        pytest.param(b"[" * 200_000, "nested deeper than 64", id="deep"),
        pytest.param(b"\n".join(b"  " * n + b"a:" for n in range(300)), "nested deeper than 64", id="deep-blocks"),
        pytest.param(b"x" * (MAX_BYTES + 1), "has more than 16 MiB", id="large"),
        pytest.param(b"%YAML 1.2\n---\na: 1\n", "is no YAML", id="directive"),
        pytest.param(b"a: !!python/object:os.system x\nb: [\n", "is no YAML", id="tag"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes, message: str) -> None:
    """With file, document and place as far as they are known."""
    with pytest.raises(UnreadableError) as refused:
        read_documents(content, "f")
    assert message in str(refused.value)


def found_in(text: str) -> list[tuple[str, bool]]:
    """Return what in a file may get a sidecar, and whether it is a Service."""
    return [(one.about, one.is_service) for document in read_documents(text.encode(), "f") for one in document.found()]


TEMPLATE: dict[str, Any] = {"metadata": {}, "spec": {"containers": []}}


@pytest.mark.parametrize(
    ("api", "kind", "spec"),
    [
        pytest.param("v1", "Pod", {"containers": []}, id="pod"),
        pytest.param("apps/v1", "Deployment", {"template": TEMPLATE}, id="deployment"),
        pytest.param("apps/v1", "StatefulSet", {"template": TEMPLATE}, id="stateful-set"),
        pytest.param("apps/v1", "DaemonSet", {"template": TEMPLATE}, id="daemon-set"),
        pytest.param("apps/v1", "ReplicaSet", {"template": TEMPLATE}, id="replica-set"),
        pytest.param("v1", "ReplicationController", {"template": TEMPLATE}, id="replication-controller"),
        pytest.param("batch/v1", "Job", {"template": TEMPLATE}, id="job"),
        pytest.param("batch/v1", "CronJob", {"jobTemplate": {"spec": {"template": TEMPLATE}}}, id="cron-job"),
    ],
)
def test_every_workload_has_its_pod(api: str, kind: str, spec: dict[str, Any]) -> None:
    """Alone and in a List, which `kubectl get` makes."""
    thing = {"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    assert found_in(json.dumps(thing)) == [(f"{kind.lower()}/x", False)]
    listed = {"apiVersion": "v1", "kind": "List", "items": [thing, thing]}
    assert found_in(json.dumps(listed)) == [(f"{kind.lower()}/x", False)] * 2


@pytest.mark.parametrize(
    "thing",
    [
        pytest.param({"apiVersion": "example.com/v1", "kind": "Deployment", "spec": {}}, id="another-group"),
        pytest.param({"apiVersion": "v1", "kind": "ConfigMap", "data": {"template": "x"}}, id="config-map"),
        pytest.param({"kind": "Kustomization"}, id="no-version"),
        pytest.param([], id="list"),
        pytest.param("text", id="text"),
        pytest.param(None, id="nothing"),
    ],
)
def test_others_have_none(thing: Any) -> None:
    """A kind of that name in another group is something else."""
    assert found_in(json.dumps(thing)) == []


def test_a_workload_without_its_pod_is_told() -> None:
    """By its name."""
    with pytest.raises(MalformedError, match=r"deployment/x: spec\.template"):
        found_in('{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {}}')


def test_kubectl_reads_yaml_1_1() -> None:
    """As JSON a document means what it means to the cluster: octal numbers, `on`; but dates and times are text."""
    (document,) = read_documents(b"a: 0444\nb: on\nc: 2026-11-22\nd: 12:30:00\ne: 1.5\nf: '0444'\n", "f")
    expected = {"a": 0o444, "b": True, "c": "2026-11-22", "d": "12:30:00", "e": 1.5, "f": "0444"}
    assert document.plain() == expected
    document.is_changed = True
    assert document.plain() == expected


@pytest.mark.parametrize("text", ["on", "0444", "1e3", "12:30", "null", "~", "2026-11-22", "y", "1.10", "{a}", "# x"])
def test_text_stays_text_in_every_reader(text: str) -> None:
    """What is put in is quoted where YAML 1.1 or 1.2 would read something else."""
    (document,) = read_documents(POD.encode(), "f")
    document.data["new"] = document.adopt({"list": [text]})
    document.is_changed = True
    assert document.plain()["new"] == {"list": [text]}
    (again,) = read_documents(document.text().encode(), "f")
    assert again.data["new"] == {"list": [text]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a:\n- b: 1\n  c:\n  - d\n", id="lists-at-their-key"),
        pytest.param("a:\n  - b: 1\n    c:\n      - d\n", id="lists-moved-in"),
        pytest.param("a:\n    b:\n        c: 1\n    d:\n        - e\n        - f\n", id="four-blanks"),
        pytest.param("a:\n    b:\n        -   c: 1\n            d: 2\n", id="wide-dashes"),
        pytest.param("# first\na:  # of it\n\n  # and\n  b: 1\n  c:\n  - 1\n", id="comments-between"),
        pytest.param("a: {b: [1, 2]}\n", id="flow-only"),
    ],
)
def test_indentation_stays(text: str) -> None:
    """The first mapping and the first list tell how a document is written."""
    (document,) = read_documents(text.encode(), "f")
    document.is_changed = True
    assert document.text() == text


def test_line_ends_stay() -> None:
    """Those of another system, too."""
    text = POD.replace("\n", "\r\n")
    (document,) = read_documents(f"---\r\n{text}".encode(), "f")
    document.is_changed = True
    assert document.text() == f"---\r\n{text}"


def test_shared_parts_are_not_changed() -> None:
    """One change would show in several places, so a document with aliases is not for changing."""
    for text in ("a: &x {b: 1}\nc: *x\n", "a: &x {b: 1}\nc: {<<: *x}\n"):
        (document,) = read_documents(text.encode(), "f")
        with pytest.raises(UnreadableError, match="aliases or merge keys"):
            document.require_plain()
