"""Services that name their target by its number are led to the sidecar, and back."""

import copy
from typing import Any

import pytest
from tests.unit.deploy.test_kubernetes_schemas import problems
from tests.unit.injector.samples import ask, patched, response_of

from sidegate.injector.definition import default_definition
from sidegate.injector.edits import apply
from sidegate.injector.injection import Injection, Untouched
from sidegate.injector.services import redirect
from sidegate.injector.shape import RefusedError
from sidegate.injector.undo import uninject


def service(*ports: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """Return a Service that asks to be led to the sidecar."""
    asked = {"inject": "enabled", **{name.replace("_", "-"): text for name, text in annotations.items()}}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "datastore",
            "annotations": {f"sidegate.dev/{name}": text for name, text in asked.items()},
        },
        "spec": {"selector": {"app": "datastore"}, "ports": list(ports)},
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(service({"port": 80, "targetPort": 9000}), [8080], id="the-only-number"),
        pytest.param(service({"port": 9000}), [8080], id="target-left-out"),
        pytest.param(service({"port": 80, "targetPort": 9000}, port="8181"), [8181], id="another-port"),
        pytest.param(
            service(
                {"name": "a", "port": 80, "targetPort": 9000},
                {"name": "b", "port": 81, "targetPort": 9001},
                upstream_port="9001",
            ),
            [9000, 8080],
            id="one-of-two",
        ),
        pytest.param(
            service({"name": "a", "port": 80, "targetPort": 9000}, {"name": "b", "port": 443, "targetPort": 9000}),
            [8080, 8080],
            id="both",
        ),
        pytest.param(
            service({"name": "a", "port": 80, "targetPort": 9000}, {"name": "b", "port": 53, "protocol": "UDP"}),
            [8080, None],
            id="udp-is-not-ours",
        ),
    ],
)
def test_numbers_lead_to_the_sidecar(given: dict[str, Any], expected: list[int | None]) -> None:
    """And back to where they were, once it is taken out."""
    original = copy.deepcopy(given)
    result = redirect(given, default_definition())
    assert isinstance(result, Injection)
    apply(given, result.edits)
    assert [port.get("targetPort") for port in given["spec"]["ports"]] == expected
    assert problems(given, "1.33") == []
    assert isinstance(redirect(given, default_definition()), Untouched)
    assert uninject(given)
    assert given == original


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(service({"port": 80, "targetPort": "http"}), id="names-follow-the-pod"),
        pytest.param(service({"port": 80, "targetPort": 8080}), id="led-there-already"),
        pytest.param(service({"port": 80, "targetPort": 9000}, upstream_port="9000", port="9000"), id="taken-over"),
        pytest.param({"metadata": {"annotations": {}}, "spec": {"ports": [{"port": 9000}]}}, id="not-asked"),
    ],
)
def test_others_are_left_alone(given: dict[str, Any]) -> None:
    """Nothing is to be done."""
    assert isinstance(redirect(given, default_definition()), Untouched)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            service({"port": 80, "targetPort": 9000}, {"port": 81, "targetPort": 9001}),
            "there are several targets (9000, 9001); name the one",
            id="several",
        ),
        pytest.param(
            service({"port": 80, "targetPort": 9000}, upstream_port="9002"), "no port leads (9000)", id="none"
        ),
        pytest.param(service({"port": 80}, upstream_port="http"), "a Service does not see names", id="a-name"),
    ],
)
def test_what_cannot_be_told_is_refused(given: dict[str, Any], message: str) -> None:
    """A guess could leave a way around the sidecar."""
    with pytest.raises(RefusedError) as refused:
        redirect(given, default_definition())
    assert message in str(refused.value)


def test_a_service_that_is_applied_again_is_led_again() -> None:
    """Whoever applies the manifest writes the old number over ours, while our mark stays: the webhook sees to it."""
    given = service({"port": 80, "targetPort": 9000})
    request = {"uid": "u", "kind": {"group": "", "version": "v1", "kind": "Service"}, "operation": "UPDATE"}
    review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {**request, "object": given}}
    first = patched(given, response_of(ask(review)))
    again = copy.deepcopy(first)
    again["spec"]["ports"][0]["targetPort"] = 9000
    review["request"] = {**request, "object": again}
    second = patched(again, response_of(ask(review)))
    assert second == first
