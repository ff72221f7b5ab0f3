"""What the rendered objects promise, whatever their values: order, probes, isolation, secrets, checksums, sizes."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import HelmRenderError
from tests.unit.deploy.rendering import CHART, NOTES, Charts, Document, merged, value_sets

from sidegate.config.places import DirectorySource
from sidegate.config.policy_file import load_policy_directory
from sidegate.config.routes_file import load_routes
from sidegate.config.settings import Settings, load_settings
from sidegate.core.model.errors import ConfigError

SETS = {name: values for name, values in value_sets().items() if not name.startswith("injector")}
SIDECARS = [name for name in SETS if name.startswith("sidecar")]
STANDALONE = [name for name in SETS if name.startswith("standalone")]


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    """Return the objects of a kind."""
    return [document for document in documents if document["kind"] == kind]


def pod_of(documents: list[Document]) -> dict[str, Any]:
    """Return the pod template of the one Deployment."""
    (deployment,) = of_kind(documents, "Deployment")
    template: dict[str, Any] = deployment["spec"]["template"]
    return template


def container_of(documents: list[Document]) -> dict[str, Any]:
    """Return the container of Sidegate, wherever it is."""
    spec = pod_of(documents)["spec"]
    everywhere: list[dict[str, Any]] = [*spec.get("initContainers", []), *spec["containers"]]
    (container,) = [one for one in everywhere if one["name"] == "sidegate"]
    return container


def test_a_native_sidecar_is_an_init_container_that_stays(charts: Charts) -> None:
    """It starts before the service's containers, which wait for its startup probe, and ends after them."""
    spec = pod_of(charts.documents(SETS["sidecar-native"]))["spec"]
    assert [one["name"] for one in spec["initContainers"]] == ["prepare", "sidegate"]
    assert [one["name"] for one in spec["containers"]] == ["datastore"]
    assert spec["initContainers"][1]["restartPolicy"] == "Always"
    assert "startupProbe" in spec["initContainers"][1]
    assert [one["name"] for one in spec["initContainers"][:1] if "restartPolicy" in one] == []


def test_an_older_cluster_gets_an_ordinary_container(charts: Charts) -> None:
    """Without native sidecars it is among the containers, before the service, with no restartPolicy of its own."""
    spec = pod_of(charts.documents(SETS["sidecar-classic"], kubernetes="v1.27.0"))["spec"]
    assert [one["name"] for one in spec["initContainers"]] == ["prepare"]
    assert [one["name"] for one in spec["containers"]] == ["sidegate", "datastore"]
    assert not any("restartPolicy" in one for one in spec["containers"])


def test_both_kinds_of_sidecar_are_the_same_container(charts: Charts) -> None:
    """But for where it stands and that it stays."""
    values = SETS["sidecar-native"]
    native = container_of(charts.documents(values))
    classic = container_of(charts.documents(merged(values, {"sidegate": {"nativeSidecar": False}})))
    assert {**classic, "restartPolicy": "Always"} == native


@pytest.mark.parametrize("name", SETS)
def test_probes_ask_what_they_are_for(charts: Charts, name: str) -> None:
    """Startup and readiness ask /readyz, liveness /livez (spec 6.6); on the loopback a command asks for them."""
    container = container_of(charts.documents(SETS[name]))
    asked = {}
    for kind in ("startup", "readiness", "liveness"):
        probe = container[f"{kind}Probe"]
        if "httpGet" in probe:
            admin = next(port for port in container["ports"] if port["name"] == "sidegate-admin")
            assert probe["httpGet"]["port"] == admin["containerPort"]
            asked[kind] = probe["httpGet"]["path"]
        else:
            assert probe["exec"]["command"][:4] == ["/opt/sidegate/bin/python", "-I", "-m", "sidegate.cli.health"]
            asked[kind] = "/readyz" if "--ready" in probe["exec"]["command"] else "/livez"
    assert asked == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/livez"}


@pytest.mark.parametrize("name", SETS)
def test_nothing_runs_before_the_end(charts: Charts, name: str) -> None:
    """There is no preStop hook: SIGTERM itself drains, and there is no shell to sleep in."""
    assert "lifecycle" not in container_of(charts.documents(SETS[name]))


@pytest.mark.parametrize("name", SETS)
def test_the_container_is_restricted(charts: Charts, name: str) -> None:
    """What Kubernetes's restricted profile asks for, and a file system that cannot be written."""
    container = container_of(charts.documents(SETS[name]))
    context = container["securityContext"]
    assert context == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/sidegate"]


@pytest.mark.parametrize("name", SETS)
def test_kubernetes_makes_no_settings(charts: Charts, name: str) -> None:
    """A Service called sidegate would put SIDEGATE_PORT and more into every pod; unknown variables are refused (6)."""
    assert pod_of(charts.documents(SETS[name]))["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", STANDALONE)
def test_no_token_is_mounted(charts: Charts, name: str) -> None:
    """Sidegate never asks the API server: neither its account nor its pods mount a token."""
    documents = charts.documents(SETS[name])
    assert pod_of(documents)["spec"]["automountServiceAccountToken"] is False
    assert all(account["automountServiceAccountToken"] is False for account in of_kind(documents, "ServiceAccount"))


def test_a_sidecar_does_not_see_the_token_of_its_pod(charts: Charts) -> None:
    """The pod's token may be needed by the service; where something is mounted already, the kubelet mounts none."""
    documents = charts.documents(SETS["sidecar-native"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container_of(documents)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_of(documents)["spec"]["volumes"]}
    assert "emptyDir" in volumes[mounts["/var/run/secrets/kubernetes.io/serviceaccount"]]


@pytest.mark.parametrize("name", SETS)
def test_every_mount_has_its_volume(charts: Charts, name: str) -> None:
    """Each mount names a volume of the pod, and no volume of ours is there for nothing."""
    documents = charts.documents(SETS[name])
    mounted = {mount["name"] for mount in container_of(documents)["volumeMounts"]}
    volumes = {volume["name"] for volume in pod_of(documents)["spec"]["volumes"]}
    assert mounted == {volume for volume in volumes if volume.startswith("sidegate-")}


@pytest.mark.parametrize("name", SETS)
def test_secrets_are_references(charts: Charts, name: str) -> None:
    """No Secret is made, and no variable of the container has a value but the configuration's path."""
    documents = charts.documents(SETS[name])
    assert of_kind(documents, "Secret") == []
    assert [
        (variable["name"], variable["value"]) for variable in container_of(documents)["env"] if "value" in variable
    ] == [("SIDEGATE_CONFIG", "/etc/sidegate/config/sidegate.yaml")]


@pytest.mark.parametrize("name", STANDALONE)
def test_the_admin_port_is_on_no_clients_service(charts: Charts, name: str) -> None:
    """The Service leads to the data port; only a headless one for Prometheus names the admin port (spec 6.1)."""
    documents = charts.documents(SETS[name])
    container = container_of(documents)
    data = next(port["containerPort"] for port in container["ports"] if port["name"] == "sidegate")
    for service in of_kind(documents, "Service"):
        targets = [port["targetPort"] for port in service["spec"]["ports"]]
        assert (targets == [data]) is (service["spec"].get("clusterIP") != "None")


@pytest.mark.parametrize("name", [name for name in SETS if name not in {"standalone-loopback", "standalone-watch"}])
def test_the_network_has_one_way_in(charts: Charts, name: str) -> None:
    """The policy selects the pods that have a Sidegate, and lets in the data port and named monitors, nothing else."""
    documents = charts.documents(SETS[name])
    policy = of_kind(documents, "NetworkPolicy")[0]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= pod_of(documents)["metadata"]["labels"].items()
    assert "Ingress" in policy["policyTypes"]
    ports = {port["name"]: port["containerPort"] for port in container_of(documents)["ports"]}
    allowed = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
    assert set(ports.values()) == set(allowed)
    if "sidegate-admin" in ports:
        assert allowed[ports["sidegate-admin"]]


def egress_of(charts: Charts, name: str) -> list[dict[str, Any]]:
    """Return what the network policy of a set of values lets out."""
    spec = of_kind(charts.documents(SETS[name]), "NetworkPolicy")[0]["spec"]
    assert "Egress" in spec["policyTypes"]
    rules: list[dict[str, Any]] = spec["egress"]
    return rules


def test_a_closed_way_out_lets_names_and_the_upstream_through(charts: Charts) -> None:
    """In front of a service: its resolver, its upstream's pods whatever their port, and what the values add."""
    dns, upstream, own = egress_of(charts, "standalone-closed")
    assert {(port["protocol"], port["port"]) for port in dns["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert upstream == {"to": [{"podSelector": {"matchLabels": {"app": "datastore"}}}]}
    assert own["to"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


def test_a_closed_way_out_lets_what_the_settings_name_through(charts: Charts) -> None:
    """A sidecar reaches the issuer's keys and collectors by their ports, and Redis where it is said to be."""
    _, *rest = egress_of(charts, "sidecar-closed")
    assert [[port["port"] for port in rule["ports"]] for rule in rest] == [[8443], [443], [6380]]
    assert rest[-1]["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "redis"}}}]
    assert "to" not in rest[0]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        pytest.param({}, False, id="none"),
        pytest.param({"config": {"sessions": {"opaque": {"store": "redis"}}}}, True, id="sessions"),
        pytest.param({"config": {"sessions": {"redis": "redis://r"}}}, True, id="shared-state"),
        pytest.param({"config": {"audit": {"sinks": [{"redis": "redis://r"}]}}}, True, id="sink"),
        pytest.param({"config": {"audit": {"sinks": [{"file": "/var/lib/sidegate/out"}]}}}, False, id="other-sink"),
        pytest.param(
            {"secrets": {"variables": [{"variable": "SIDEGATE_SESSIONS__REDIS", "name": "r", "key": "k"}]}},
            True,
            id="by-a-variable",
        ),
    ],
)
def test_redis_is_let_through_where_it_is_used(charts: Charts, over: dict[str, Any], expected: bool) -> None:
    """By whatever uses it, and only then."""
    values = merged(SETS["standalone-closed"], over)
    policy = of_kind(charts.documents(values), "NetworkPolicy")[0]["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule.get("ports", [])}
    assert ({6379, 26379} <= ports) is expected


def test_the_upstream_is_reached_through_sidegate_only(charts: Charts) -> None:
    """In front of a Service, a second policy shuts the upstream's pods to everybody but Sidegate's."""
    documents = charts.documents(SETS["standalone-closed"])
    upstream = of_kind(documents, "NetworkPolicy")[1]["spec"]
    assert upstream["podSelector"]["matchLabels"] == {"app": "datastore"}
    ((peer,),) = [rule["from"] for rule in upstream["ingress"]]
    assert peer["podSelector"]["matchLabels"].items() <= pod_of(documents)["metadata"]["labels"].items()


def test_the_example_service_is_reached_through_its_sidecar(charts: Charts) -> None:
    """Its Service leads to the sidecar's port, and the service itself listens on the loopback."""
    documents = charts.documents(SETS["sidecar-native"])
    (service,) = of_kind(documents, "Service")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == [8080]
    (datastore,) = pod_of(documents)["spec"]["containers"]
    assert "127.0.0.1:9000" in datastore["args"]


CHANGES = [
    pytest.param({"policy": {"files": {"acme": "organization: acme\n"}}}, {"policy"}, id="policy"),
    pytest.param({"routes": {"text": "- get: /\n  public: true\n"}}, {"config"}, id="routes"),
    pytest.param({"config": {"limits": {"headers": 50}}}, {"config"}, id="settings"),
    pytest.param({"files": {"jwks.json": "{}"}}, {"config"}, id="file"),
    pytest.param({"ports": {"data": 8888}}, {"config"}, id="port"),
    pytest.param({"secrets": {"checkpointKey": {"name": "k"}}}, {"config"}, id="secret"),
    pytest.param({"replicaCount": 2}, set(), id="not-read-by-pods"),
]


def checksums(charts: Charts, values: dict[str, Any]) -> dict[str, str]:
    """Return the checksums of the pod template, by what they are of."""
    annotations = pod_of(charts.documents(values))["metadata"]["annotations"]
    prefix = "sidegate.dev/checksum-"
    return {name.removeprefix(prefix): text for name, text in annotations.items() if name.startswith(prefix)}


@pytest.mark.parametrize(("change", "expected"), CHANGES)
@pytest.mark.parametrize("name", ["standalone-minimal", "sidecar-native"])
def test_checksums_change_with_what_pods_read(
    charts: Charts, name: str, change: dict[str, Any], expected: set[str]
) -> None:
    """A change of what a pod reads at its start makes new pods; another one does not."""
    over = change if name == "standalone-minimal" else {"sidegate": change}
    before, after = checksums(charts, SETS[name]), checksums(charts, merged(SETS[name], over))
    assert expected == {what for what in before if before[what] != after[what]}


def test_a_watched_policy_leaves_pods_alone(charts: Charts) -> None:
    """With `rollout: watch` a changed policy changes nothing in the pod template: running pods take it."""
    values = SETS["standalone-watch"]
    changed = merged(values, {"policy": {"files": {"acme": "organization: acme\n"}}})
    assert {"config"} == set(checksums(charts, values))
    assert checksums(charts, values) == checksums(charts, changed)


@pytest.mark.parametrize(
    ("audit", "workers", "expected"),
    [
        pytest.param({"max_bytes": 1 << 20, "reserve_bytes": 0}, 1, "257Mi", id="smallest"),
        pytest.param({"max_bytes": (1 << 20) + 1, "reserve_bytes": 0}, 1, "258Mi", id="rounded-up"),
        pytest.param({"max_bytes": 1 << 30, "reserve_bytes": 1 << 26}, 2, f"{3 * 1024 + 64 + 256}Mi", id="two-workers"),
        pytest.param({"max_bytes": 1 << 50, "reserve_bytes": 0}, 1, f"{(1 << 30) + 256}Mi", id="largest"),
    ],
)
def test_the_volume_holds_full_spools(charts: Charts, audit: dict[str, int], workers: int, expected: str) -> None:
    """The spool's own limit is reached before the volume's, which would end the pod: each process has a whole one."""
    values = merged(SETS["standalone-minimal"], {"config": {"audit": audit, "workers": workers}})
    volumes = {volume["name"]: volume for volume in pod_of(charts.documents(values))["spec"]["volumes"]}
    assert expected == volumes["sidegate-spool"]["emptyDir"]["sizeLimit"]


@pytest.mark.parametrize(("drain_ms", "expected"), [(None, 30), (0, 5), (1, 6), (25_000, 30), (25_001, 31)], ids=str)
def test_a_pod_has_time_to_drain(charts: Charts, drain_ms: int | None, expected: int) -> None:
    """SIGKILL comes after the drain, and five seconds for spool and checkpoint (spec 2.8)."""
    config = {} if drain_ms is None else {"limits": {"drain_timeout_ms": drain_ms}}
    values = merged(SETS["standalone-minimal"], {"config": config})
    assert expected == pod_of(charts.documents(values))["spec"]["terminationGracePeriodSeconds"]


def test_a_native_sidecar_has_time_after_the_service(charts: Charts) -> None:
    """It is asked to end only when the service has: the pod's time is that of both."""
    spec = pod_of(charts.documents(SETS["sidecar-loopback"]))["spec"]
    assert spec["terminationGracePeriodSeconds"] == 120 + 30


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("  # begins with blanks\n- get: /\n  public: true\n", id="blanks-first"),
        pytest.param("- get: /x\n\n\n  public: true\n", id="blank-lines"),
        pytest.param('- get: "/{{ .Values.x }}/ü\\n%"\n  public: true\n', id="braces-and-escapes"),
        pytest.param("--- \n- get: /\n", id="document-start"),
    ],
)
def test_files_arrive_as_they_are(charts: Charts, text: str) -> None:
    """Routes, policies and files come out of the ConfigMap byte for byte: nothing in them means anything to Helm."""
    over = {"routes": {"text": text}, "policy": {"files": {"acme": text}}, "files": {"a.txt": text}}
    maps = of_kind(charts.documents(merged(SETS["standalone-minimal"], over)), "ConfigMap")
    held = [maps[0]["data"]["routes.yaml"], maps[0]["data"]["a.txt"], maps[1]["data"]["acme.yaml"]]
    assert [text] * 3 == held


UNAVAILABLE_HERE = "which this version does not have"


def read_as_far_as_possible(file: Path, environment: dict[str, str]) -> Settings | None:
    """Load settings; None if they ask for what the program cannot do yet, and nothing else is wrong with them."""
    try:
        return load_settings(file, environment)
    except ConfigError as refused:
        if not all(UNAVAILABLE_HERE in problem.what for problem in refused.problems):
            raise
        return None


@pytest.mark.parametrize("name", [name for name in SETS if name != "standalone-existing"])
def test_sidegate_reads_what_is_rendered(charts: Charts, folder: Path, name: str) -> None:
    """The program itself accepts the rendered settings, routes and policy, at the places where they are mounted."""
    documents = charts.documents(SETS[name])
    maps = {document["metadata"]["name"]: document["data"] for document in of_kind(documents, "ConfigMap")}
    spec = pod_of(documents)["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    container = container_of(documents)
    for mount in container["volumeMounts"]:
        place = folder / mount["mountPath"].lstrip("/")
        place.mkdir(parents=True)
        volume = volumes[mount["name"]]
        sources = volume.get("projected", {}).get("sources", [volume])
        for source in sources:
            for file, text in maps.get(source.get("configMap", {}).get("name"), {}).items():
                moved = text.replace("/etc/sidegate", f"{folder}/etc/sidegate")
                (place / file).write_text(moved.replace("/var/lib/sidegate", f"{folder}/var/lib/sidegate"))
            for item in source.get("secret", {}).get("items", []):
                (place / item["path"]).write_text("0123456789abcdef0123456789abcdef\n")
    environment = {
        variable["name"]: "redis://redis:6379/0" if variable["name"] == "SIDEGATE_POLICY__SOURCE" else "[{file: x}]"
        for variable in container["env"]
        if "valueFrom" in variable and variable["name"].startswith("SIDEGATE_")
    }
    file = folder / "etc/sidegate/config/sidegate.yaml"
    load_routes(file.parent / "routes.yaml")
    settings = read_as_far_as_possible(file, environment)
    if settings is None:
        return
    assert folder / "var/lib/sidegate/audit" == settings.audit.spool
    if isinstance(settings.policy.source, DirectorySource):
        load_policy_directory(settings.policy.source.path)


ALERTS = """\
groups:
  - name: sidegate
    rules:
      - alert: SidegateDown
        expr: up{job="sidegate"} == 0
        for: 1m
        labels: {severity: page}
        annotations: {summary: "{{ $labels.instance }} is away"}
"""


def packaged(folder: Path, alerts: str | None, dashboards: dict[str, str]) -> Charts:
    """Return the charts as they are packaged with alerts and dashboards."""
    chart = folder / "sidegate"
    shutil.copytree(CHART, chart)
    shutil.rmtree(chart / "files", ignore_errors=True)
    (chart / "files/dashboards").mkdir(parents=True)
    if alerts is not None:
        (chart / "files/alerts.yaml").write_text(alerts)
    for name, text in dashboards.items():
        (chart / "files/dashboards" / name).write_text(text)
    return Charts(folder / "made", chart)


@pytest.mark.parametrize("name", ["standalone-minimal", "sidecar-native"])
def test_alerts_and_dashboards_are_switched_on(folder: Path, name: str) -> None:
    """Both are the packaged files, word for word: braces in them are Prometheus's and Grafana's."""
    board = json.dumps({"title": "{{instance}}", "panels": []}, indent=2)
    (folder / "made").mkdir()
    charts = packaged(folder, ALERTS, {"overview.json": board, "red.json": board})
    own = {
        "alerts": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Sidegate"}},
    }
    documents = charts.documents(merged(SETS[name], own if name.startswith("standalone") else {"sidegate": own}))
    (rule,) = of_kind(documents, "PrometheusRule")
    assert yaml.safe_load(ALERTS) == rule["spec"]
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    boards = [one for one in of_kind(documents, "ConfigMap") if "grafana_dashboard" in one["metadata"]["labels"]]
    assert [list(one["data"]) for one in boards] == [["overview.json"], ["red.json"]]
    assert [json.loads(board)] * 2 == [json.loads(text) for one in boards for text in one["data"].values()]


def test_a_chart_without_them_says_so(folder: Path) -> None:
    """Switched on in a chart that was packaged without, they are missed loudly."""
    (folder / "made").mkdir()
    charts = packaged(folder, None, {})
    values = merged(SETS["standalone-minimal"], {"alerts": {"enabled": True}, "dashboards": {"enabled": True}})
    with pytest.raises(HelmRenderError, match=r"(?s)files/alerts\.yaml.*files/dashboards"):
        charts.documents(values)


@pytest.mark.parametrize("name", SETS)
def test_notes_name_three_commands(charts: Charts, name: str) -> None:
    """What to do next is three commands, numbered, with nothing left to fill in."""
    notes = next(text for path, text in charts.render(SETS[name]).items() if path.endswith(NOTES))
    steps = [line for line in notes.splitlines() if line[:2] in {"1.", "2.", "3.", "4."}]
    commands = [line for line in notes.partition("\n3. ")[0].splitlines() if line.startswith("     kubectl ")]
    assert [line[:2] for line in steps] == ["1.", "2.", "3."]
    assert len(commands) == 2
    assert not any(mark in notes for mark in ("<", ">", "%!", "nil"))


def test_notes_warn_of_lost_records_and_open_ways(charts: Charts) -> None:
    """What the values leave open is said, and not said when it is closed."""
    read = {name: charts.render(SETS[name])["sidegate/templates/NOTES.txt"] for name in STANDALONE}
    assert "records of a pod are lost" in read["standalone-minimal"]
    assert "records of a pod are lost" not in read["standalone-claim"]
    assert "around Sidegate" in read["standalone-minimal"]
    assert "around Sidegate" not in read["standalone-closed"]


def test_notes_speak_what_the_port_speaks(charts: Charts) -> None:
    """With a certificate clients come by https."""
    for name, scheme in (("standalone-secrets", "https"), ("standalone-minimal", "http")):
        assert (
            f"requests to {scheme}://gate-sidegate.prod:80 "
            in charts.render(SETS[name])["sidegate/templates/NOTES.txt"]
        )


def test_values_are_not_changed_by_rendering(charts: Charts) -> None:
    """Rendering twice gives the same: no template writes into the values."""
    values = SETS["standalone-secrets"]
    before = copy.deepcopy(values)
    assert charts.render(values) == charts.render(values)
    assert before == values
