"""Reviews in, reviews out: what controllers make, what is refused, what is hostile."""

import copy
import json
from typing import Any

import pytest
from tests.unit.deploy.test_kubernetes_schemas import problems
from tests.unit.injector.samples import (
    OURS,
    REVIEWS,
    ask,
    container_named,
    injected,
    patched,
    pod_of,
    response_of,
    review_of,
    sidecar_of,
    variables_of,
)

from sidegate.injector.annotations import INJECTED
from sidegate.injector.definition import default_definition
from sidegate.injector.review import ReviewError, ReviewOutcome, answer
from sidegate.injector.undo import uninject


@pytest.mark.parametrize("name", REVIEWS)
def test_pods_of_every_controller_get_a_sidecar(name: str) -> None:
    """The answer names the request, allows it, and patches it; what comes out is a pod for three versions' API."""
    review = review_of(name)
    done = ask(review)
    response = response_of(done)
    assert done.outcome is ReviewOutcome.INJECTED
    assert (response["uid"], response["allowed"], response["patchType"]) == (
        review["request"]["uid"], True, "JSONPatch",
    )  # fmt: skip
    pod = patched(review["request"]["object"], response)
    pod["metadata"].pop("creationTimestamp")
    for version in ("1.29", "1.33", "1.37"):
        assert problems(pod, version) == []


@pytest.mark.parametrize("name", REVIEWS)
def test_twice_is_once(name: str) -> None:
    """A pod with the sidecar in it is allowed as it is."""
    review = review_of(name)
    review["request"]["object"] = injected(name)
    response = response_of(ask(review))
    assert response == {"uid": review["request"]["uid"], "allowed": True}


@pytest.mark.parametrize("name", REVIEWS)
def test_taking_it_out_restores_the_pod(name: str) -> None:
    """To the last field."""
    pod = injected(name)
    assert uninject(pod)
    assert pod == pod_of(name)


@pytest.mark.parametrize("name", REVIEWS)
def test_the_answer_is_the_same_every_time(name: str) -> None:
    """Nothing is remembered, a dry run is a run: there are no side effects."""
    review = review_of(name)
    first = ask(review)
    review["request"]["dryRun"] = not review["request"]["dryRun"]
    assert ask(review) == first


@pytest.mark.parametrize("name", REVIEWS)
def test_the_sidecar_is_restricted(name: str) -> None:
    """No token, no rights, nothing to write but its own volume, and no variables that Kubernetes makes."""
    pod = injected(name)
    container = sidecar_of(pod)
    assert container["securityContext"] == default_definition().container["securityContext"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert "emptyDir" in volumes[mounts["/var/run/secrets/kubernetes.io/serviceaccount"]]
    assert [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")] == [
        "/var/lib/sidegate"
    ]
    assert pod["spec"]["enableServiceLinks"] is False


def test_the_name_of_the_port_leads_to_the_sidecar() -> None:
    """A Service with the name as its target finds the sidecar; probes by the name still find the service."""
    service = container_named(injected("deployment"), "datastore")
    assert service["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    assert service["readinessProbe"]["httpGet"]["port"] == 9000
    assert service["livenessProbe"] == pod_of("deployment")["spec"]["containers"][0]["livenessProbe"]
    assert variables_of(injected("deployment"))["SIDEGATE_UPSTREAM__URL"] == "http://127.0.0.1:9000"


def test_hooks_and_other_ports_are_kept() -> None:
    """A preStop hook by name goes to the service; ports that clients do not use are left alone."""
    pod = injected("statefulset")
    service = container_named(pod, "datastore")
    assert [port["containerPort"] for port in service["ports"]] == [8080, 9001]
    assert service["lifecycle"]["preStop"]["httpGet"]["port"] == 9000
    assert service["startupProbe"]["tcpSocket"]["port"] == 9000
    assert pod["spec"]["terminationGracePeriodSeconds"] == 90 + 30
    assert sidecar_of(pod)["readinessProbe"]["httpGet"]["port"] == 9901


def test_ports_of_the_node_lead_to_the_sidecar() -> None:
    """What comes in by the node's port would go around it."""
    (port,) = container_named(injected("daemonset"), "datastore")["ports"]
    assert (port["hostPort"], port["containerPort"]) == (19000, 8080)


@pytest.mark.parametrize("name", ["job", "cronjob"])
def test_jobs_end(name: str) -> None:
    """The sidecar of a job is native: it ends when the job has."""
    pod = injected(name)
    assert [one["name"] for one in pod["spec"]["initContainers"]] == [OURS]
    assert sidecar_of(pod)["restartPolicy"] == "Always"
    assert pod["spec"]["restartPolicy"] != "Always"


def test_a_job_does_not_get_what_never_ends() -> None:
    """Without native sidecars a job is refused, with what to do."""
    review = review_of("job")
    response = response_of(ask(review, default_definition().model_copy(update={"native": False})))
    assert response["allowed"] is False
    assert "the pod would never end" in response["status"]["message"]


def test_other_containers_are_left_alone() -> None:
    """Of several containers only what names the service's port is touched; an ordinary sidecar stands last."""
    before, after = pod_of("several-containers")["spec"], injected("several-containers")["spec"]
    assert [one["name"] for one in after["containers"]] == ["datastore", "log-shipper", "cache", OURS]
    assert after["containers"][1:3] == before["containers"][1:3]
    assert after["containers"][0]["livenessProbe"] == before["containers"][0]["livenessProbe"]
    assert "initContainers" not in after
    assert "restartPolicy" not in after["containers"][3]
    variables = variables_of(injected("several-containers"))
    assert (variables["SIDEGATE_LOG__LEVEL"], variables["SIDEGATE_LIMITS__CONNECTIONS"]) == ("debug", "500")


def test_own_init_containers_come_first() -> None:
    """They need no sidecar, and it is there before the service."""
    spec = injected("init-containers")["spec"]
    assert [one["name"] for one in spec["initContainers"]] == ["migrate", "tracing", OURS]


def test_the_number_itself_can_be_taken_over() -> None:
    """The service keeps it on the loopback, the sidecar has it on the pod's address; nothing else changes."""
    pod = injected("init-containers")
    assert container_named(pod, "datastore") == container_named(pod_of("init-containers"), "datastore")
    assert variables_of(pod)["SIDEGATE_LISTEN__ADDRESS"] == "$(POD_IP):9000"
    names = [entry["name"] for entry in sidecar_of(pod)["env"]]
    assert names.index("POD_IP") < names.index("SIDEGATE_LISTEN__ADDRESS"), "only what comes before is put in"


def test_everything_wrong_is_said_at_once() -> None:
    """A pod with several mistakes is denied once, each with what to do."""
    review = review_of("deployment")
    annotations = review["request"]["object"]["metadata"]["annotations"]
    annotations |= {
        "sidegate.dev/port": "80",
        "sidegate.dev/conifg": "x",
        "sidegate.dev/settings": "limits: {headers: x}",
    }
    message = response_of(ask(review))["status"]["message"]
    assert message.splitlines()[0] == "the sidecar cannot be put in:"
    assert [line.partition("`")[2].partition("`")[0] for line in message.splitlines()[1:]] == [
        "sidegate.dev/conifg", "sidegate.dev/port", "limits.headers",
    ]  # fmt: skip
    assert "did you mean `sidegate.dev/config`?" in message
    assert "sidegate.dev/settings:1:19" in message


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}, id="another-kind"),
        pytest.param({"operation": "DELETE", "object": None}, id="deletion"),
        pytest.param({"operation": "UPDATE"}, id="pod-that-is-there"),
        pytest.param({"subResource": "ephemeralcontainers"}, id="subresource"),
    ],
)
def test_what_is_not_ours_is_allowed(change: dict[str, Any]) -> None:
    """A webhook that is asked about more than it should be asked about must not hold it up."""
    review = review_of("deployment")
    review["request"] |= change
    assert response_of(ask(review)) == {"uid": review["request"]["uid"], "allowed": True}


def test_pods_that_do_not_ask_are_allowed() -> None:
    """Without the annotation, or with `disabled`, nothing is done."""
    for value in (None, "disabled"):
        review = review_of("deployment")
        annotations = review["request"]["object"]["metadata"]["annotations"]
        annotations.pop("sidegate.dev/inject")
        if value:
            annotations["sidegate.dev/inject"] = value
        done = ask(review)
        assert (done.outcome, "patch" in response_of(done)) == (ReviewOutcome.UNTOUCHED, False)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"kind":"AdmissionReview"}', id="no-version"),
        pytest.param(b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{}}', id="beta"),
        pytest.param(b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}', id="no-request"),
        pytest.param(b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":[]}', id="request-list"),
        pytest.param(
            b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":7}}', id="uid-number"
        ),
        pytest.param(
            b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"a\\nb"}}', id="uid-lines"
        ),
        pytest.param(
            b'{"kind":"AdmissionReview","kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}', id="twice"
        ),
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="deep-objects"),
        pytest.param(b'{"kind":"\xff"}', id="no-utf-8"),
        pytest.param(b'{"kind":"\\ud800"}', id="lone-surrogate"),
        pytest.param(b'{"n":' + b"9" * 5000 + b"}", id="long-number"),
    ],
)
def test_what_is_no_review_is_no_answer(body: bytes) -> None:
    """The API server then does what its failure policy says."""
    with pytest.raises(ReviewError):
        answer(body, default_definition())


WRONG = [None, 7, True, "text", [], {}, [None], [7], [[]], {"a": 1}, 1e400]
PLACES = [
    ("object",), ("object", "metadata"), ("object", "metadata", "annotations"), ("object", "metadata", "labels"),
    ("object", "metadata", "annotations", "sidegate.dev/inject"), ("object", "spec"), ("object", "spec", "containers"),
    ("object", "spec", "containers", 0), ("object", "spec", "containers", 0, "name"),
    ("object", "spec", "containers", 0, "ports"), ("object", "spec", "containers", 0, "ports", 0),
    ("object", "spec", "containers", 0, "ports", 0, "containerPort"),
    ("object", "spec", "containers", 0, "ports", 0, "name"), ("object", "spec", "containers", 0, "readinessProbe"),
    ("object", "spec", "containers", 0, "readinessProbe", "httpGet"),
    ("object", "spec", "containers", 0, "readinessProbe", "httpGet", "port"),
    ("object", "spec", "initContainers"), ("object", "spec", "volumes"), ("object", "spec", "restartPolicy"),
    ("object", "spec", "terminationGracePeriodSeconds"), ("object", "spec", "enableServiceLinks"),
    ("object", "spec", "os"), ("kind",), ("kind", "kind"), ("operation",), ("namespace",), ("subResource",),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_wrong_types_are_answered(place: tuple[str | int, ...]) -> None:
    """Whatever stands where: allowed with a patch that fits, allowed as it is, or denied; never an exception."""
    for wrong in WRONG:
        review = review_of("deployment")
        parent = review["request"]
        for step in place[:-1]:
            parent = parent[step]
        parent[place[-1]] = copy.deepcopy(wrong)
        text = json.dumps(review).replace("Infinity", "1e400")
        response = response_of(answer(text.encode(), default_definition()))
        assert isinstance(response["allowed"], bool)
        if "patch" in response:
            after = patched(review["request"]["object"], response)
            assert sidecar_of(after)["name"] == OURS
            assert INJECTED in after["metadata"]["annotations"]


def test_a_name_is_not_a_log_line() -> None:
    """What is logged about a review is bounded, whatever it says of itself."""
    review = review_of("deployment")
    review["request"]["object"]["metadata"]["generateName"] = "n" * 100_000
    assert len(ask(review).about) < 600
