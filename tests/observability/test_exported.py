"""A running sidecar exports what alerts and dashboards ask for."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from scripts.issuer import Issuer
from tests.integration.authority import Authority
from tests.integration.redis.servers import RedisServer, free_ports
from tests.integration.sidecar import ROUTE_FILE, Sidecar
from tests.integration.upstream import LoggingUpstream
from tests.integration.waiting import eventually
from tests.observability.queries import OF_PROMETHEUS, TARGET_LABELS, selected
from tests.observability.rules import recorded, rules
from tests.observability.test_dashboards import DOCUMENTS, queries_of

from sidegate.telemetry.catalogue import METRICS, MetricKind

Scraped = dict[str, dict[str, set[str]]]

OF_A_QUEUE: Final = frozenset({"sidegate_approvals_pending"})
"""Exported only where approval requests are queued, which this sidecar does not."""

EXPRESSIONS: Final = {
    **{rule.get("alert", rule.get("record")): [rule["expr"]] for rule in rules()},
    **{f"dashboard {name}": list(queries_of(document)) for name, document in DOCUMENTS.items()},
}


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """Return every series of a sidecar that has a Redis, a sink and some traffic: its labels, and their values."""
    with contextlib.ExitStack() as running:
        folder = tmp_path_factory.mktemp("exported")
        redis = RedisServer(folder, free_ports(1)[0])
        running.callback(redis.kill)
        redis.start()
        upstream = LoggingUpstream()
        running.callback(upstream.close)
        settings = {
            "policy": {"source": redis.url, "timeout_ms": 2000},
            "audit": {"sinks": [{"file": str(folder / "sink")}]},
        }
        sidecar = Sidecar(folder / "sidecar", upstream.url, Issuer("https://issuer.example"), settings=settings)
        running.callback(sidecar.close)
        done = sidecar.run("policy", "publish", str(sidecar.policy), "--config", str(sidecar.config))
        assert done.returncode == 0, done.stderr
        sidecar.start()
        assert [sidecar.ask("GET", ROUTE_FILE, who=who).status for who in ("ana", None)] == [200, 401]
        eventually(lambda: sidecar.metric("sidegate_snapshot_fingerprint") > 0, "the changes of policy were read")
        # Measured for the first time a moment after the start.
        eventually(lambda: "\nsidegate_loop_lag_seconds " in sidecar.ask_admin("/metrics").text, "the lag was measured")
        series = _series(sidecar.ask_admin("/metrics").text)
        for name, labels in _of_tls(folder, upstream.url, running).items():
            series.setdefault(name, labels)
        yield series


def _of_tls(folder: Path, upstream: str, running: contextlib.ExitStack) -> Scraped:
    """Return the series of a sidecar that speaks TLS behind a load balancer, and was spoken to in another way."""
    authority = Authority(folder / "authority")
    pair = authority.issue("gate")
    tls = {"cert": str(pair.cert), "key": str(pair.key)}
    settings = {
        "listen": {"address": "127.0.0.1:0", "tls": tls, "proxy_protocol": "required"},
        "trusted_proxies": ["127.0.0.1"],
    }
    sidecar = Sidecar(folder / "with-tls", upstream, Issuer("https://issuer.example"), settings=settings)
    running.callback(sidecar.close)
    sidecar.start()
    for text in (b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", sidecar.port)) as client:
            client.sendall(text)
    for name in ("sidegate_tls_handshake_failures_total", "sidegate_proxy_header_failures_total"):
        eventually(lambda name=name: sidecar.metric(name) > 0, f"{name} is counted")
    return _series(sidecar.ask_admin("/metrics").text)


def _series(text: str) -> Scraped:
    found: Scraped = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def test_every_metric_is_exported(scraped: Scraped) -> None:
    """All of the catalogue, where there is a Redis, a key set and a sink."""
    names = {f"{one.name}_bucket" if one.kind is MetricKind.HISTOGRAM else one.name for one in METRICS}
    assert names - set(scraped) == OF_A_QUEUE


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_what_is_asked_for_is_exported(scraped: Scraped, where: str) -> None:
    """Metrics, names of labels, and bounds of histograms, as they are scraped."""
    ours = recorded() | set(OF_PROMETHEUS)
    if where == "SidegateApprovalsStuck":
        ours |= OF_A_QUEUE
    for expr in EXPRESSIONS[where]:
        for one in selected(expr):
            if one.metric in ours:
                continue
            assert one.metric in scraped, expr
            labels = scraped[one.metric]
            conditions = [condition for condition in one.conditions if condition.label not in TARGET_LABELS]
            assert {condition.label for condition in conditions} <= set(labels), expr
            for condition in conditions:
                assert condition.label != "le" or condition.text in labels["le"], expr


def test_labels_are_of_closed_sets(scraped: Scraped) -> None:
    """Spec 6.7: nothing that names an account, path, organization, key or address."""
    closed = {metric.name: metric for metric in METRICS}
    for name, labels in scraped.items():
        metric = closed.get(name)
        if metric is not None and metric.labels:
            for place, label in enumerate(metric.labels):
                assert labels.get(label, set()) <= {row[place] for row in metric.rows}, name
