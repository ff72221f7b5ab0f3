"""Which pods get a sidecar, which do not, and why."""

import copy
from typing import Any

import pytest
from tests.unit.injector.samples import injected, pod_of

from sidegate.injector.annotations import INJECT, INJECTED, SIDECAR_LABEL
from sidegate.injector.definition import default_definition
from sidegate.injector.edits import Place
from sidegate.injector.injection import Injection, Untouched, inject
from sidegate.injector.shape import RefusedError

Change = dict[Place, Any]


def changed(change: Change, name: str = "deployment") -> dict[str, Any]:
    """Return a pod of a review with something set, or with None taken away."""
    pod = pod_of(name)
    for place, wanted in change.items():
        parent: Any = pod
        for step in place[:-1]:
            parent = parent[step]
        if wanted is None:
            del parent[place[-1]]
        else:
            parent[place[-1]] = wanted
    return pod


A = ("metadata", "annotations")
PORTS = ("spec", "containers", 0, "ports")
REFUSED: list[Any] = [
    pytest.param({(*A, INJECT): "true"}, "`sidegate.dev/inject` is 'true'; write `enabled` or `disabled`", id="true"),
    pytest.param({("spec", "hostNetwork"): True}, "ports would be open on the node", id="host-network"),
    pytest.param({("spec", "os"): {"name": "windows"}}, "for which there is no image", id="windows"),
    pytest.param({PORTS: []}, "the pod declares no TCP port; name the one", id="no-port"),
    pytest.param({PORTS: [{"containerPort": 53, "protocol": "UDP"}]}, "no TCP port; name the one", id="udp-only"),
    pytest.param(
        {PORTS: [{"containerPort": 9000, "name": "http"}, {"containerPort": 9100}]},
        "several TCP ports (http=9000, 9100); name the one",
        id="several-ports",
    ),
    pytest.param({(*A, "sidegate.dev/upstream-port"): "web"}, "is 'web', which no container declares (http", id="name"),
    pytest.param(
        {PORTS: [{"containerPort": 8080}]}, "is missing, and 8080, where the sidecar listens, is the", id="default-port"
    ),
    pytest.param(
        {(*A, "sidegate.dev/port"): "9000"}, "readinessProbe of container `datastore`, which the sidecar", id="probes"
    ),
    pytest.param(
        {(*A, "sidegate.dev/upstream-port"): "9000", PORTS: [{"containerPort": 9090}, {"containerPort": 9000}]},
        "`sidegate.dev/admin-port` is 9090, on which `datastore` listens",
        id="admin-port-taken",
    ),
    pytest.param(
        {(*A, "sidegate.dev/upstream-port"): "9000", PORTS: [{"containerPort": 8080}, {"containerPort": 9000}]},
        "`sidegate.dev/port` is 8080, on which `datastore` listens",
        id="port-taken",
    ),
    pytest.param({(*A, "sidegate.dev/admin-port"): "8080"}, "as the sidecar's own port", id="one-port-for-both"),
    pytest.param({("spec", "volumes"): [{"name": "sidegate-spool"}]}, "one called `sidegate-spool`", id="volume"),
    pytest.param({("spec", "containers", 0, "name"): "sidegate"}, "is called `sidegate` already", id="name-taken"),
    pytest.param({(*A, INJECTED): "{}"}, "but no container is called `sidegate`", id="mark-without-sidecar"),
    pytest.param({("spec", "containers"): []}, "`spec.containers` is empty", id="no-containers"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_refused(change: Change, message: str) -> None:
    """What asks for a sidecar and cannot have it is refused, with what to do; the pod is not touched."""
    pod = changed(change)
    before = copy.deepcopy(pod)
    with pytest.raises(RefusedError) as refused:
        inject(pod, default_definition())
    assert message in "\n".join(map(str, refused.value.problems))
    assert pod == before


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({(*A, INJECT): None}, "`sidegate.dev/inject` is missing", id="not-asked"),
        pytest.param({(*A, INJECT): "disabled"}, "`sidegate.dev/inject` is disabled", id="disabled"),
        pytest.param({A: None}, "`sidegate.dev/inject` is missing", id="no-annotations"),
        pytest.param({("metadata",): None}, "`sidegate.dev/inject` is missing", id="no-metadata"),
    ],
)
def test_untouched(change: Change, why: str) -> None:
    """Who does not ask is left alone, whatever else is wrong."""
    assert inject(changed({**change, ("spec", "hostNetwork"): True}), default_definition()) == Untouched(why)


def test_policies_find_the_pod() -> None:
    """The label is that of the chart's NetworkPolicy: its release is called like the ConfigMap."""
    assert injected("deployment")["metadata"]["labels"][SIDECAR_LABEL] == "datastore"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("deployment", ["unless a NetworkPolicy closes it"], id="by-name"),
        pytest.param("job", ["lead them to 8080", "unless a NetworkPolicy closes it"], id="by-number"),
        pytest.param("init-containers", ["has to listen on 127.0.0.1:9000 only"], id="taken-over"),
    ],
)
def test_what_is_left_to_do_is_told(name: str, expected: list[str]) -> None:
    """What an injection cannot see to: Services by number, the way around, the service's own address."""
    result = inject(pod_of(name), default_definition())
    assert isinstance(result, Injection)
    assert [any(part in note for part in expected) for note in result.notes] == [True] * len(expected)
