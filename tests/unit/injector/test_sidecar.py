"""The sidecar of one pod. That it is the chart's is held by the tests of the chart."""

import copy

import pytest
from tests.unit.injector.samples import injected, pod_of, sidecar_of, variables_of

from sidegate.injector.annotations import PREFIX, read_wishes
from sidegate.injector.definition import default_definition
from sidegate.injector.ports import Passage
from sidegate.injector.sidecar import build_sidecar

APART = Passage(port=8080, upstream=9000, admin=9090)


def build(passage: Passage = APART, *, bind: str = "0.0.0.0", **annotations: str) -> dict[str, object]:
    """Return the container that annotations ask for."""
    named = {f"{PREFIX}{name.replace('_', '-')}": text for name, text in annotations.items()}
    wishes, problems = read_wishes({f"{PREFIX}config": "c", **named})
    assert wishes is not None, problems
    definition = default_definition().model_copy(update={"bind_address": bind})
    container, _ = build_sidecar(definition, wishes, passage, native=True)
    return container


def test_the_definition_is_not_changed() -> None:
    """It is shared by all pods."""
    before = copy.deepcopy(default_definition().model_dump())
    build(image="other:1", resources='{"limits": {"cpu": "1"}}', policy_url="s/k", tls="t", admin_port="9999")
    assert default_definition().model_dump() == before


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        pytest.param("0.0.0.0", "$(POD_IP):9000", id="v4"),
        pytest.param("[::]", "[$(POD_IP)]:9000", id="v6"),
    ],
)
def test_an_address_that_is_taken_over_is_the_pods(bind: str, expected: str) -> None:
    """An IPv6 address needs brackets, which the pod's address comes without."""
    container = build(Passage(9000, 9000, 9090), bind=bind)
    assert {"name": "SIDEGATE_LISTEN__ADDRESS", "value": expected} in container["env"]  # type: ignore[operator]


def test_variables_come_once() -> None:
    """What an annotation sets takes the place of what the definition sets."""
    container = build(variables="SIDEGATE_CONFIG=s/k")
    names = [entry["name"] for entry in container["env"]]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))


def test_policy_in_redis_needs_no_volume() -> None:
    """Neither mount nor volume of policy files is left, and its address comes from the Secret."""
    pod = pod_of("deployment")
    pod["metadata"]["annotations"][f"{PREFIX}policy-url"] = "redis/url"
    container = build(policy_url="redis/url")
    assert "sidegate-policy" not in [mount["name"] for mount in container["volumeMounts"]]  # type: ignore[attr-defined]
    source = {"secretKeyRef": {"name": "redis", "key": "url"}}
    assert {"name": "SIDEGATE_POLICY__SOURCE", "valueFrom": source} in container["env"]  # type: ignore[operator]


def test_the_name_stands_first() -> None:
    """As people write containers and volumes."""
    pod = injected("deployment")
    assert list(sidecar_of(pod))[:3] == ["name", "image", "imagePullPolicy"]
    assert {next(iter(volume)) for volume in pod["spec"]["volumes"]} == {"name"}
    assert variables_of(pod)["SIDEGATE_ROUTES"] == "/etc/sidegate/config/routes.yaml"
