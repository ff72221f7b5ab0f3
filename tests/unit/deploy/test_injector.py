"""The injector's release, and that what it puts into pods is the chart's own sidecar."""

import base64
import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import HelmRenderError, HelmValuesError
from tests.unit.deploy.rendering import NOTES, Charts, Document, merged, value_sets
from typer.main import get_command

from sidegate.cli.commands.injector import app as injector_app
from sidegate.config.settings import load_settings, masked
from sidegate.injector.annotations import PREFIX, SIDECAR_LABEL
from sidegate.injector.definition import Definition, default_definition
from sidegate.injector.edits import apply
from sidegate.injector.injection import Injection, inject
from sidegate.injector.server import PATH

SETS = value_sets()
INJECTORS = {name: values for name, values in SETS.items() if name.startswith("injector")}
CERT_MANAGER = INJECTORS["injector-certmanager"]
OUR_CONTAINER = "sidegate"


def one(documents: list[Document], kind: str, name: str | None = None) -> Document:
    """Return the object of a kind."""
    (found,) = [doc for doc in documents if doc["kind"] == kind and name in {None, doc["metadata"]["name"]}]
    return found


def definition_of(documents: list[Document]) -> Definition:
    """Return what the injector of a release puts into pods."""
    return Definition.model_validate(json.loads(one(documents, "ConfigMap")["data"]["sidecar.json"]))


@pytest.mark.parametrize("name", INJECTORS)
def test_an_injector_is_nothing_else(charts: Charts, name: str) -> None:
    """Its release holds no proxy, no routes and no policy: those are each service's own."""
    kinds = sorted(document["kind"] for document in charts.documents(INJECTORS[name]))
    optional = {"Certificate", "NetworkPolicy", "PodMonitor"}
    assert [kind for kind in kinds if kind not in optional] == [
        "ConfigMap", "Deployment", "MutatingWebhookConfiguration", "PodDisruptionBudget", "Service", "ServiceAccount",
    ]  # fmt: skip


@pytest.mark.parametrize("name", INJECTORS)
def test_the_webhook_leads_to_its_pods(charts: Charts, name: str) -> None:
    """Name, path and port of the configuration are those of Service, Deployment and program."""
    documents = charts.documents(INJECTORS[name])
    webhook = one(documents, "MutatingWebhookConfiguration")["webhooks"][0]
    service, deployment = one(documents, "Service"), one(documents, "Deployment")
    assert webhook["clientConfig"]["service"] == {
        "namespace": "prod", "name": service["metadata"]["name"], "path": PATH, "port": 443,
    }  # fmt: skip
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] == next(p["containerPort"] for p in container["ports"] if p["name"] == "webhook")
    assert any(
        argument.startswith("--listen=") and argument.endswith(f":{port['targetPort']}")
        for argument in container["args"]
    )


@pytest.mark.parametrize("name", INJECTORS)
def test_the_injector_is_restricted(charts: Charts, name: str) -> None:
    """No token, no rights, no file to write: it answers, and asks nobody."""
    documents = charts.documents(INJECTORS[name])
    spec = one(documents, "Deployment")["spec"]["template"]["spec"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert one(documents, "ServiceAccount")["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    assert container["securityContext"] == default_definition().container["securityContext"]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    policies = [document["spec"] for document in documents if document["kind"] == "NetworkPolicy"]
    assert all(policy["egress"] == [] and "Egress" in policy["policyTypes"] for policy in policies)


@pytest.mark.parametrize("name", INJECTORS)
def test_it_cannot_hold_up_itself_or_the_cluster(charts: Charts, name: str) -> None:
    """Never asked about its own namespace and kube-system, whatever the selector: its pods could not come up again."""
    webhook = one(charts.documents(INJECTORS[name]), "MutatingWebhookConfiguration")["webhooks"][0]
    (never,) = [
        rule
        for rule in webhook["namespaceSelector"]["matchExpressions"]
        if rule["key"] == "kubernetes.io/metadata.name"
    ]
    assert never["operator"] == "NotIn"
    assert {"kube-system", "prod"} <= set(never["values"])
    assert webhook["sideEffects"] == "None"


def test_failures_are_as_configured(charts: Charts) -> None:
    """`Fail` unless somebody wants otherwise, which the notes then warn of."""
    for name, values in INJECTORS.items():
        wanted = values["injector"].get("failurePolicy", "Fail")
        assert one(charts.documents(values), "MutatingWebhookConfiguration")["webhooks"][0]["failurePolicy"] == wanted
        assert ("WARNING" in charts.render(values)[f"sidegate/templates/{NOTES}"]) is (wanted == "Ignore"), name


def test_only_what_asks_is_held_up(charts: Charts) -> None:
    """From 1.30 on the API server asks about annotated objects only; before, the field is not there to be dropped."""
    for version, expected in (("v1.29.0", False), ("v1.30.0", True)):
        webhook = one(charts.documents(CERT_MANAGER, kubernetes=version), "MutatingWebhookConfiguration")["webhooks"][0]
        assert ("matchConditions" in webhook) is expected


def test_whom_the_api_server_trusts(charts: Charts) -> None:
    """The authority comes from cert-manager, from a Secret through its cainjector, or from the values."""
    found = {}
    for name, values in INJECTORS.items():
        configuration = one(charts.documents(values), "MutatingWebhookConfiguration")
        bundle = configuration["webhooks"][0]["clientConfig"].get("caBundle")
        found[name] = (configuration["metadata"].get("annotations"), bundle and base64.b64decode(bundle).decode())
    assert found == {
        "injector-cainjector": ({"cert-manager.io/inject-ca-from-secret": "prod/injector-tls"}, None),
        "injector-certmanager": ({"cert-manager.io/inject-ca-from": "prod/gate-sidegate"}, None),
        "injector-secret": (None, INJECTORS["injector-secret"]["injector"]["tls"]["caBundle"]),
    }


def test_the_api_server_may_have_to_prove_itself(charts: Charts) -> None:
    """Only where a key of the Secret is named for it."""
    for name, values in INJECTORS.items():
        (container,) = one(charts.documents(values), "Deployment")["spec"]["template"]["spec"]["containers"]
        asked = [argument for argument in container["args"] if argument.startswith("--client-ca=")]
        wanted = values["injector"]["tls"].get("clientCa")
        assert asked == ([f"--client-ca=/etc/sidegate/tls/{wanted}"] if wanted else []), name


def test_every_argument_is_known(charts: Charts) -> None:
    """What the Deployment calls the program with is what the program takes."""
    options = {option for parameter in injector_command().params for option in parameter.opts}
    for values in INJECTORS.values():
        (container,) = one(charts.documents(values), "Deployment")["spec"]["template"]["spec"]["containers"]
        assert container["args"][0] == "injector"
        assert {argument.partition("=")[0] for argument in container["args"][1:]} <= options


def injector_command() -> Any:
    """Return the command as typer has it."""
    return get_command(injector_app)


def test_cert_manager_makes_the_mounted_secret(charts: Charts) -> None:
    """For the name by which the API server asks."""
    documents = charts.documents(CERT_MANAGER)
    certificate = one(documents, "Certificate")["spec"]
    volumes = one(documents, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert certificate["secretName"] in [volume.get("secret", {}).get("secretName") for volume in volumes]
    assert "gate-sidegate.prod.svc" in certificate["dnsNames"]


@pytest.mark.parametrize("name", INJECTORS)
def test_notes_name_three_commands(charts: Charts, name: str) -> None:
    """What to do next is three commands, numbered, with nothing left to fill in."""
    notes = charts.render(INJECTORS[name])[f"sidegate/templates/{NOTES}"]
    assert [line[:2] for line in notes.splitlines() if line[:1].isdigit()] == ["1.", "2.", "3."]
    assert len([line for line in notes.splitlines() if line.startswith("     kubectl ")]) == 3
    assert not any(mark in notes for mark in ("<", ">", "%!", "nil"))


REFUSED = [
    pytest.param({"mode": "standalone"}, "set mode=sidecar", id="mode"),
    pytest.param({"routes": {"text": "- get: /\n"}}, "take them out of the injector's values", id="routes"),
    pytest.param({"config": {"upstream": {"url": "http://x:1"}}}, "are those of each service", id="upstream"),
    pytest.param({"files": {"jwks.json": "{}"}}, "files are those of each service", id="files"),
    pytest.param({"injector": {"tls": {"certManager": {"issuerName": ""}}}}, "issuerName is empty", id="issuer"),
    pytest.param(
        {"injector": {"tls": {"certManager": {"enabled": False}}}}, "injector.tls.secretName is empty", id="no-tls"
    ),
    pytest.param(
        {"injector": {"tls": {"caBundle": "-----BEGIN CERTIFICATE-----\n"}}}, "which puts it in; take it out", id="two"
    ),
    pytest.param({"injector": {"port": 9090}}, "injector.port and ports.admin are the same", id="one-port"),
    pytest.param({"serviceMonitor": {"enabled": True}}, "use podMonitor for the injector", id="service-monitor"),
]


@pytest.mark.parametrize(("over", "message"), REFUSED)
def test_bad_values_are_refused(charts: Charts, over: dict[str, Any], message: str) -> None:
    """With what to write instead."""
    with pytest.raises(HelmRenderError, match=r"these values cannot be used") as refused:
        charts.render(merged(CERT_MANAGER, over))
    assert message in str(refused.value)


def test_a_private_key_is_no_authority(charts: Charts) -> None:
    """Somebody who takes the wrong file hears of it before it lies in a ConfigMap."""
    pem = "-----BEGIN PRIVATE KEY-----\n"
    with pytest.raises(HelmValuesError, match="caBundle"):
        charts.render(merged(INJECTORS["injector-secret"], {"injector": {"tls": {"caBundle": pem}}}))


def test_an_injector_is_no_dependency(charts: Charts) -> None:
    """In a service's own chart the sidecar is put in by the templates, not by a webhook of its own."""
    with pytest.raises(HelmRenderError, match="those of each service"):
        charts.render({"sidegate": CERT_MANAGER})


def test_the_default_is_the_charts(charts: Charts) -> None:
    """What `sidegate inject` puts in without being told is what an injector with default values puts in."""
    asked = {"inject": "enabled", "config": "datastore"}
    of_release = definition_of(charts.documents(CERT_MANAGER))
    assert injected(default_definition(), asked) == injected(of_release, asked)


# What the injector says by variables, and the chart in sidegate.yaml.
SAID = {
    "SIDEGATE_LISTEN__ADDRESS", "SIDEGATE_ADMIN__ADDRESS", "SIDEGATE_UPSTREAM__URL", "SIDEGATE_ROUTES",
    "SIDEGATE_AUDIT__SPOOL", "SIDEGATE_POLICY__SOURCE",
}  # fmt: skip

SAME = [
    pytest.param({}, {}, id="as-it-is"),
    pytest.param({"nativeSidecar": False}, {"native": "false"}, id="ordinary-container"),
    pytest.param(
        {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}},
        {"resources": '{"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}'},
        id="resources",
    ),
    pytest.param({"image": {"repository": "mirror/gate", "tag": "1.2"}}, {"image": "mirror/gate:1.2"}, id="image"),
    pytest.param({"ports": {"data": 8443, "admin": 9999}}, {"port": "8443", "admin-port": "9999"}, id="ports"),
    pytest.param(
        {
            "routes": {"text": "", "existingConfigMap": "our-routes"},
            "policy": {"files": None, "existingConfigMap": "ours"},
        },
        {"routes": "our-routes", "policy": "ours"},
        id="config-maps",
    ),
    pytest.param(
        {"policy": {"source": "redis", "files": None}, "secrets": {"policyUrl": {"name": "redis", "key": "address"}}},
        {"policy-url": "redis/address"},
        id="policy-in-redis",
    ),
    pytest.param(
        {
            "secrets": {
                "checkpointKey": {"name": "audit", "key": "k.pem"},
                "tls": {"name": "front", "clientCa": "ca.crt"},
                "variables": [{"variable": "SIDEGATE_AUDIT__SINKS", "name": "audit", "key": "sinks"}],
                "files": [{"path": "ca.crt", "name": "redis", "key": "tls-ca"}],
            }
        },
        {
            "checkpoint-key": "audit/k.pem",
            "tls": "front/ca.crt",
            "variables": "SIDEGATE_AUDIT__SINKS=audit/sinks",
            "secret-files": "ca.crt=redis/tls-ca",
        },
        id="secrets",
    ),
    pytest.param(
        {
            "config": {
                "sessions": {"signed": {"issuer": "https://i", "algorithms": ["HS256"]}},
            },
            "secrets": {"sessionSecret": {"name": "s", "key": "hs"}},
        },
        {"session-secret": "s/hs"},
        id="session-secret",
    ),
]


def injected(definition: Definition, annotations: Mapping[str, str]) -> tuple[Document, Document]:
    """Return a pod's sidecar and the whole pod after the injection."""
    pod: Document = {
        "metadata": {"annotations": {f"{PREFIX}{name}": text for name, text in annotations.items()}},
        "spec": {"containers": [{"name": "datastore", "ports": [{"containerPort": 9000}]}]},
    }
    result = inject(copy.deepcopy(pod), definition)
    assert isinstance(result, Injection)
    apply(pod, result.edits)
    spec = pod["spec"]
    (container,) = [c for c in [*spec.get("initContainers", []), *spec["containers"]] if c["name"] == OUR_CONTAINER]
    return container, pod


@pytest.mark.parametrize(("values", "annotations"), SAME)
def test_the_sidecar_is_the_charts(
    charts: Charts, folder: Path, values: dict[str, Any], annotations: dict[str, str]
) -> None:
    """For the same wishes a pod gets the same container, volumes and pod settings from the injector as from the chart.

    But for variables that say what stands in the chart's sidegate.yaml: with them the settings in effect are the same.
    """
    over = merged(SETS["sidecar-native"]["sidegate"], values)
    documents = charts.documents({"sidegate": over})
    template = one(documents, "Deployment")["spec"]["template"]
    name = template["metadata"]["labels"][SIDECAR_LABEL]
    spec = template["spec"]
    (of_chart,) = [c for c in [*spec.get("initContainers", []), *spec["containers"]] if c["name"] == OUR_CONTAINER]
    volumes_of_chart = {v["name"]: v for v in spec["volumes"] if v["name"].startswith("sidegate-")}

    definition = definition_of(charts.documents(CERT_MANAGER))
    container, pod = injected(definition, {"inject": "enabled", "config": name, **annotations})
    said = {v["name"]: v["value"] for v in container["env"] if v["name"] in SAID and "value" in v}
    container["env"] = [v for v in container["env"] if v["name"] not in said]
    by_name = lambda env: sorted(env, key=lambda variable: variable["name"])  # noqa: E731
    assert {**container, "env": by_name(container["env"])} == {**of_chart, "env": by_name(of_chart["env"])}
    listed = pod["spec"]["volumes"]
    if "tls" in annotations or "checkpoint-key" in annotations:
        assert secrets(volumes_of_chart) == secrets({v["name"]: v for v in listed})
        volumes_of_chart.pop("sidegate-secrets")
        listed = [v for v in listed if v["name"] != "sidegate-secrets"]
    assert {v["name"]: v for v in listed} == volumes_of_chart
    for key in ("enableServiceLinks", "terminationGracePeriodSeconds"):
        assert pod["spec"][key] == spec[key]
    assert pod["metadata"]["labels"][SIDECAR_LABEL] == name
    effective_settings_are_the_same(documents, name, folder, said)


def secrets(volumes: Mapping[str, Document]) -> tuple[int, list[tuple[str, str, str]]]:
    """Return mode, and Secret, key and file of every item: how they are grouped into sources means nothing."""
    projected = volumes["sidegate-secrets"]["projected"]
    items = [
        (source["secret"]["name"], item["key"], item["path"])
        for source in projected["sources"]
        for item in source["secret"]["items"]
    ]
    return projected["defaultMode"], sorted(items)


def effective_settings_are_the_same(
    documents: list[Document], name: str, folder: Path, said: Mapping[str, str]
) -> None:
    """Read the chart's sidegate.yaml alone, and with the injector's variables over it."""
    text = one(documents, "ConfigMap", name)["data"]["sidegate.yaml"]
    settings = yaml.safe_load(text)
    for section, key in (("sessions", "signed"), ("listen", "tls")):
        # What the Secrets hold is not here to be read.
        if isinstance(settings.get(section), dict):
            settings[section].pop(key, None)
    settings.get("audit", {}).pop("checkpoint", None)
    if isinstance(settings["listen"], dict):
        settings["listen"] = settings["listen"]["address"]
    root = folder / "etc/sidegate"
    (root / "config").mkdir(parents=True)
    (root / "policy").mkdir()
    (root / "config/routes.yaml").write_text("- get: /\n  public: true\n")
    file = root / "config/sidegate.yaml"
    file.write_text(json.dumps(settings).replace("/etc/sidegate", str(root)))
    environment = {key: text.replace("/etc/sidegate", str(root)) for key, text in said.items()}
    if "source" not in settings.get("policy", {}):
        environment["SIDEGATE_POLICY__SOURCE"] = "redis://redis:6379/0"
    without = {key: text for key, text in environment.items() if key == "SIDEGATE_POLICY__SOURCE"}
    assert masked(load_settings(file, environment)) == masked(load_settings(file, without))
