"""Bad values are refused before anything is applied, and the message says what to do next."""

from typing import Any

import pytest
from helm_python import HelmRenderError, HelmValuesError
from tests.unit.deploy.rendering import Charts, merged, value_sets

SETS = value_sets()
MINIMAL = SETS["standalone-minimal"]
NATIVE = SETS["sidecar-native"]

BY_THE_SCHEMA = [
    pytest.param({"replicas": 3}, "additional properties 'replicas' not allowed", id="unknown-value"),
    pytest.param(
        {"config": {"limit": {}}}, "'/config': additional properties 'limit' not allowed", id="unknown-setting"
    ),
    pytest.param({"config": {"listen": "0.0.0.0:1"}}, "'/config/listen': got string, want object", id="short-address"),
    pytest.param(
        {"config": {"listen": {"address": "0.0.0.0:1"}}}, "'address' not allowed", id="the-charts-own-setting"
    ),
    pytest.param({"config": {"listen": {"tls": {"key": "k"}}}}, "'key' not allowed", id="key-outside-a-secret"),
    pytest.param({"config": {"listen": {"protocols": ["h3"]}}}, "value must be one of", id="protocol"),
    pytest.param(
        {"config": {"sessions": {"signed": {"issuer": "i", "algorithms": ["HS256"], "secret": "s" * 32}}}},
        "'/config/sessions/signed': additional properties 'secret' not allowed",
        id="secret-as-a-value",
    ),
    pytest.param({"config": {"limits": {"headers": 5}}}, "minimum: got 5, want 8", id="out-of-bounds"),
    pytest.param(
        {"config": {"audit": {"on_full": "allow"}}}, "value must be one of 'deny', 'drop_oldest'", id="no-such"
    ),
    pytest.param({"config": {"hide": ["mfa_required"]}}, "'/config/hide/0': value must be one of", id="not-hideable"),
    pytest.param(
        {"config": {"upstream": {"url": "datastore"}}}, "'/config/upstream/url': 'datastore' does not", id="url"
    ),
    pytest.param({"config": {"workers": "4"}}, "'/config/workers': got string, want integer", id="text-for-a-number"),
    pytest.param({"config": {"sessions": {"cookie": ""}}}, "'/config/sessions/cookie'", id="empty-cookie"),
    pytest.param(
        {"config": {"sessions": {"signed": {"issuer": "i" * 1025, "algorithms": ["RS256"]}}}},
        "maxLength: got 1,025, want 1,024",
        id="longer-than-go-can-repeat",
    ),
    pytest.param({"mode": "daemonset"}, "value must be one of 'standalone', 'sidecar'", id="no-such-mode"),
    pytest.param({"ports": {"data": 80}}, "'/ports/data': minimum: got 80, want 1,024", id="privileged-port"),
    pytest.param({"bindAddress": "localhost"}, "'/bindAddress': 'localhost' does not match", id="name-to-listen-on"),
    pytest.param({"image": {"digest": "latest"}}, "'/image/digest'", id="no-digest"),
    pytest.param({"policy": {"files": {"a/b": ""}}}, "'/policy/files'", id="path-for-an-organization"),
    pytest.param(
        {"secrets": {"variables": [{"variable": "PATH", "name": "n", "key": "k"}]}}, "'PATH'", id="no-setting"
    ),
    pytest.param({"secrets": {"variables": [{"variable": "SIDEGATE_LOG"}]}}, "missing properties", id="half-reference"),
    pytest.param({"secrets": {"checkpointKey": {"value": "k"}}}, "'value' not allowed", id="inline-key"),
    pytest.param({"spool": {"kind": "hostPath"}}, "'/spool/kind'", id="no-such-volume"),
]


@pytest.mark.parametrize(("over", "message"), BY_THE_SCHEMA)
def test_refused_by_the_schema(charts: Charts, over: dict[str, Any], message: str) -> None:
    """What is unknown, mistyped or out of bounds is named with its path; a parent chart's values as well."""
    with pytest.raises(HelmValuesError) as refused:
        charts.render(merged(MINIMAL, over))
    assert message in str(refused.value)
    with pytest.raises(HelmValuesError) as refused:
        charts.render(merged(NATIVE, {"sidegate": over}))
    assert message in str(refused.value)


def test_what_a_parent_chart_adds_is_no_mistake(charts: Charts) -> None:
    """Helm puts `global` among the values of a dependency, and a condition stands there as well."""
    own = {"global": {"region": "eu"}, "enabled": True}
    assert charts.render(merged(MINIMAL, own)) == charts.render(MINIMAL)


BY_THE_CHART = [
    pytest.param({"routes": {"text": ""}}, "routes.text is missing; pass the file: --set-file", id="routes"),
    pytest.param({"routes": {"existingConfigMap": "r"}}, "routes.text and routes.existingConfigMap", id="routes-twice"),
    pytest.param({"policy": {"files": None}}, "policy.files is empty; pass a file per organization", id="policy"),
    pytest.param({"policy": {"existingConfigMap": "p"}}, "are both given; keep one", id="policy-twice"),
    pytest.param({"policy": {"source": "redis"}}, "but there are policy files too; remove them", id="redis-and-files"),
    pytest.param(
        {"policy": {"source": "redis", "files": None}}, "secrets.policyUrl.name is empty; name the", id="redis-no-url"
    ),
    pytest.param({"policy": {"files": {"acme": "x" * 1_000_001}}}, "larger than a ConfigMap can be", id="huge-policy"),
    pytest.param({"routes": {"text": "x" * 900_001}}, "larger than a ConfigMap can be", id="huge-routes"),
    pytest.param(
        {"files": {"key.pem": "-----BEGIN PRIVATE KEY-----\n"}}, "files.key.pem holds a private key", id="private-key"
    ),
    pytest.param({"files": {"routes.yaml": ""}}, "files.routes.yaml is made by the chart", id="own-file"),
    pytest.param(
        {"config": {"audit": {"sinks": [{"redis": "redis://user:pass@redis:6379"}]}}},
        "an address with a password in it; make a Secret",
        id="password",
    ),
    pytest.param(
        {"config": {"sessions": {"signed": {"issuer": "i", "algorithms": ["HS256"]}}}},
        "has HS256, but secrets.sessionSecret.name is empty",
        id="hs256-without",
    ),
    pytest.param({"secrets": {"sessionSecret": {"name": "s"}}}, "has no HS256; give both, or neither", id="hs256-not"),
    pytest.param(
        {"secrets": {"assertionKey": {"name": "s"}}}, "config.forwarding.assertion is missing", id="no-assert"
    ),
    pytest.param(
        {"config": {"forwarding": {"assertion": {"issuer": "i"}}}}, "name its Secret in secrets.assertionKey", id="key"
    ),
    pytest.param(
        {"config": {"listen": {"tls": {"min_version": "TLSv1.3"}}}},
        "but secrets.tls.name is empty",
        id="tls-of-nothing",
    ),
    pytest.param(
        {"config": {"listen": {"protocols": ["http/1.1", "h2c"]}}, "secrets": {"tls": {"name": "t"}}},
        "config.listen.protocols names h2c, but",
        id="cleartext-beside-tls",
    ),
    pytest.param(
        {"config": {"listen": {"proxy_protocol": "required"}}},
        "name the networks of your load balancers",
        id="no-proxy",
    ),
    pytest.param({"ports": {"data": 9090}}, "ports.data and ports.admin are the same", id="one-port"),
    pytest.param(
        {"networkPolicy": {"enabled": False}}, "every pod of the cluster can ask the admin port; set", id="open-admin"
    ),
    pytest.param(
        {"admin": {"exposure": "loopback"}, "podMonitor": {"enabled": True}}, "nothing can be scraped", id="no-scrape"
    ),
    pytest.param({"spool": {"kind": "claim"}}, "spool.existingClaim is empty", id="no-claim"),
    pytest.param({"networkPolicy": {"egress": {"rules": [{}]}}}, "but nothing is held back; set", id="idle-egress"),
    pytest.param(
        {"networkPolicy": {"enabled": False, "managedElsewhere": True, "egress": {"restrict": True}}},
        "but networkPolicy.enabled is false",
        id="egress-without-policy",
    ),
    pytest.param(
        {"secrets": {"files": [{"path": "tls.key", "name": "s", "key": "k"}]}},
        "tls.key, which is taken",
        id="taken-path",
    ),
    pytest.param(
        {"secrets": {"files": [{"path": "a", "name": "s", "key": "k"}, {"path": "a", "name": "t", "key": "k"}]}},
        "names the path a, which is taken",
        id="path-twice",
    ),
]

STANDALONE_ONLY = [
    pytest.param(
        {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
        "counted twice; keep one",
        id="two-monitors",
    ),
    pytest.param(
        {"replicaCount": 2, "config": {"sessions": {"opaque": {}}}}, "in the memory of one pod, but", id="lost-sessions"
    ),
    pytest.param(
        {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}, "cpu is missing", id="no-request"
    ),
    pytest.param({"autoscaling": {"enabled": True, "minReplicas": 20}}, "is more than maxReplicas", id="min-above-max"),
]


@pytest.mark.parametrize(("over", "message"), [*BY_THE_CHART, *STANDALONE_ONLY])
def test_refused_by_the_chart(charts: Charts, over: dict[str, Any], message: str) -> None:
    """What fits the schema and cannot work is refused with what to write instead."""
    with pytest.raises(HelmRenderError) as refused:
        charts.render(merged(MINIMAL, over))
    assert message in str(refused.value)
    assert "sidegate: these values cannot be used:" in str(refused.value)


@pytest.mark.parametrize(("over", "message"), BY_THE_CHART)
def test_refused_in_a_services_chart(charts: Charts, over: dict[str, Any], message: str) -> None:
    """The values of a sidecar are checked the same."""
    with pytest.raises(HelmRenderError) as refused:
        charts.render(merged(NATIVE, {"sidegate": over}))
    assert message in str(refused.value)


def test_everything_wrong_is_said_at_once(charts: Charts) -> None:
    """Somebody who begins with nothing sees all that is missing."""
    with pytest.raises(HelmRenderError) as refused:
        charts.render({})
    said = [line.strip() for line in str(refused.value).splitlines() if line.startswith("  - ")]
    assert [line.split(" is ")[0] for line in said] == ["- config.upstream.url", "- routes.text", "- policy.files"]


SIDECAR_ONLY = [
    pytest.param({"serviceMonitor": {"enabled": True}}, "use podMonitor for sidecars", id="service-monitor"),
    pytest.param({"networkPolicy": {"upstream": {"podLabels": {"a": "b"}}}}, "are one pod", id="upstream"),
    pytest.param({"mode": "standalone"}, "set sidegate.mode=sidecar", id="mode-forgotten"),
]


@pytest.mark.parametrize(("over", "message"), SIDECAR_ONLY)
def test_refused_for_a_sidecar(charts: Charts, over: dict[str, Any], message: str) -> None:
    """What is for a release of its own makes no sense in a service's pods."""
    with pytest.raises(HelmRenderError) as refused:
        charts.render(merged(NATIVE, {"sidegate": over}))
    assert message in str(refused.value)


def test_old_clusters_have_no_native_sidecars(charts: Charts) -> None:
    """Before 1.29 the API server would drop `restartPolicy`, and the pod would wait for ever for its init container."""
    with pytest.raises(HelmRenderError) as refused:
        charts.render(NATIVE, kubernetes="v1.28.9")
    assert "Kubernetes v1.28.9 has no native sidecars; set nativeSidecar=false" in str(refused.value)
    assert charts.render(NATIVE, kubernetes="v1.29.0-eks-1")
