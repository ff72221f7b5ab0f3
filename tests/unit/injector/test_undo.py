"""Taking the sidecar out: everything as it was, whatever the pod; or refused, and nothing changed."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.injector.samples import container_named, injected, pod_of

from sidegate.injector.annotations import INJECTED, PREFIX
from sidegate.injector.definition import Definition, default_definition
from sidegate.injector.edits import apply
from sidegate.injector.injection import Injection, Untouched, inject
from sidegate.injector.shape import MalformedError, RefusedError
from sidegate.injector.undo import uninject

NAMES = st.sampled_from(["app", "web", "proxy", "db"])
PORTS = st.lists(
    st.fixed_dictionaries(
        {"containerPort": st.sampled_from([9000, 9001, 80])},
        optional={
            "name": st.sampled_from(["http", "peer"]), "protocol": st.sampled_from(["TCP", "UDP"]),
            "hostPort": st.just(19000),
        },
    ),
    max_size=3,
)  # fmt: skip
PROBE = st.fixed_dictionaries(
    {"httpGet": st.fixed_dictionaries({"port": st.sampled_from([9000, "http", 9001, "none"])})}
)
CONTAINER = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "ports": PORTS | st.none(), "readinessProbe": PROBE | st.none(), "livenessProbe": PROBE,
        "restartPolicy": st.just("Always"), "lifecycle": st.fixed_dictionaries({"preStop": PROBE}),
    },
)  # fmt: skip
CONTAINERS = st.lists(CONTAINER, min_size=1, max_size=3, unique_by=lambda one: one["name"])
SPEC = st.fixed_dictionaries(
    {"containers": CONTAINERS},
    optional={
        "initContainers": st.lists(CONTAINER, max_size=2, unique_by=lambda one: one["name"]) | st.none(),
        "volumes": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["data", "sidegate-own"])}), max_size=2)
        | st.none(),
        "enableServiceLinks": st.sampled_from([True, False, None]),
        "terminationGracePeriodSeconds": st.sampled_from([0, 30, 90, None]),
        "restartPolicy": st.just("Always"),
        "imagePullSecrets": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["pull", "own"])}), max_size=2, unique_by=str
        )
        | st.none(),
    },
)
LABELS = st.dictionaries(st.sampled_from(["app", "sidegate.dev/sidecar"]), st.sampled_from(["a", "b"])) | st.none()
PODS = st.fixed_dictionaries({"spec": SPEC, "metadata": st.fixed_dictionaries({}, optional={"labels": LABELS})})


def injection_of(pod: dict[str, Any], definition: Definition) -> Injection | None:
    """Return what is to be done to a pod that asks; None if it is refused."""
    try:
        result = inject(pod, definition)
    except RefusedError:
        return None
    assert isinstance(result, Injection)
    return result


@settings(max_examples=60)
@given(PODS, st.booleans(), st.sampled_from(["9000", "http", "80"]))
def test_injection_is_idempotent_and_undone(pod: dict[str, Any], native: bool, upstream: str) -> None:
    """For any pod: injected twice is injected once, uninjected is the original; a refusal changes nothing."""
    wanted = {"inject": "enabled", "config": "c", "upstream-port": upstream, "image-pull-secret": "pull"}
    pod["metadata"]["annotations"] = {PREFIX + name: text for name, text in wanted.items()}
    original = copy.deepcopy(pod)
    definition = default_definition().model_copy(update={"native": native})
    result = injection_of(pod, definition)
    assert pod == original
    if result is None:
        return
    apply(pod, result.edits)
    assert isinstance(inject(pod, definition), Untouched)
    # What is written down survives being stored as JSON.
    pod = json.loads(json.dumps(pod))
    assert uninject(pod)
    assert pod == original
    assert not uninject(pod)
    assert pod == original


def test_what_somebody_added_since_stays() -> None:
    """A volume, a container, a label that came after the injection are not ours to take away."""
    pod = injected("deployment")
    pod["spec"]["volumes"].append({"name": "late"})
    pod["spec"]["containers"].insert(0, {"name": "late"})
    pod["metadata"]["labels"]["late"] = "yes"
    assert uninject(pod)
    expected = pod_of("deployment")
    expected["spec"]["volumes"].append({"name": "late"})
    expected["spec"]["containers"].insert(0, {"name": "late"})
    expected["metadata"]["labels"]["late"] = "yes"
    assert pod == expected


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(lambda pod: pod["spec"].update(terminationGracePeriodSeconds=7), "terminationGrace", id="grace"),
        pytest.param(
            lambda pod: container_named(pod, "datastore")["ports"][0].update(containerPort=1),
            "containerPort",
            id="port",
        ),
        pytest.param(lambda pod: container_named(pod, "datastore").update(name="renamed"), "datastore", id="renamed"),
        pytest.param(lambda pod: container_named(pod, "datastore").update(ports=[]), "ports", id="removed"),
    ],
)
def test_what_was_changed_since_is_not_guessed(change: Any, named: str) -> None:
    """Said by name, and nothing is taken out by half."""
    pod = injected("deployment")
    change(pod)
    before = copy.deepcopy(pod)
    with pytest.raises(RefusedError, match=named):
        uninject(pod)
    assert pod == before


RECORD = json.loads(injected("deployment")["metadata"]["annotations"][INJECTED])


@pytest.mark.parametrize(
    "record",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="list"),
        pytest.param("[" * 5000, id="deep"),
        pytest.param("x" * 70_000, id="large"),
        pytest.param(json.dumps({**RECORD, "v": 2}), id="another-version"),
        pytest.param(json.dumps({**RECORD, "changed": [{"at": ["spec"], "new": 1}]}), id="root"),
        pytest.param(json.dumps({**RECORD, "changed": [{"at": ["spec", ["x"]], "new": 1}]}), id="no-step"),
        pytest.param(json.dumps({**RECORD, "changed": [{"at": ["spec", "a"], "new": {}}]}), id="no-value"),
        pytest.param(json.dumps({**RECORD, "made": {"spec/x": "absent"}}), id="unknown-place"),
        pytest.param(json.dumps({**RECORD, "annotations": ["kubernetes.io/x"]}), id="others-annotation"),
        pytest.param(json.dumps({**RECORD, "label": 7}), id="no-label"),
        pytest.param(json.dumps({**RECORD, "put": {"containers": ["app"]}}), id="others-list"),
        pytest.param(json.dumps({**RECORD, "put": {**RECORD["put"], "volumes": [7]}}), id="no-names"),
    ],
)
def test_a_strange_record_is_not_followed(record: str) -> None:
    """What stands in an annotation may be anybody's; only what an injection writes is taken."""
    pod = injected("deployment")
    pod["metadata"]["annotations"][INJECTED] = record
    before = copy.deepcopy(pod)
    with pytest.raises(MalformedError):
        uninject(pod)
    assert pod == before


def test_without_an_injection_nothing_is_done() -> None:
    """A container of the same name that the chart put in is not ours to take out."""
    pod = injected("deployment")
    del pod["metadata"]["annotations"][INJECTED]
    before = copy.deepcopy(pod)
    assert not uninject(pod)
    assert pod == before
