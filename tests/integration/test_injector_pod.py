"""An injected pod as a kubelet would run it: the chart's ConfigMaps mounted, the sidecar's variables set, real sockets.

There is no kubelet here: what it does with volumes, variables and probes is done by hand, from what the pod says.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from scripts.helm_chart.generate import render
from tests.integration.waiting import eventually
from tests.unit.deploy.rendering import CHART
from tests.unit.injector.samples import sidecar_of

from sidegate.injector.annotations import PREFIX
from sidegate.injector.definition import default_definition
from sidegate.injector.edits import apply
from sidegate.injector.injection import Injection, inject

POD_IP = "127.0.0.2"
ROUTES = """\
- get: /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Read
- get: /healthz
  public: true
"""
POLICY = "organization: acme\nmembers:\n  user:ana: {roles: [Member]}\n"


class Service(BaseHTTPRequestHandler):
    """The service behind: says what it was asked."""

    def do_GET(self) -> None:
        """Answer anything."""
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def service() -> Iterator[int]:
    """Run the service on a port of the loopback, and of the loopback only."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    """Return a port of the loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def config_maps() -> dict[str, dict[str, str]]:
    """Return the ConfigMaps of a release of the chart that goes with the injection, by name."""
    values = {
        "mode": "sidecar",
        "fullnameOverride": "datastore",
        "config": {"upstream": {"url": "http://127.0.0.1:1"}},
        "routes": {"text": ROUTES},
        "policy": {"files": {"acme": POLICY}},
    }
    files = render(helm_python.Chart.load(CHART), values, name="datastore", namespace="prod")
    texts = (text for name, text in files.items() if not name.endswith("NOTES.txt"))
    documents = [document for text in texts for document in yaml.safe_load_all(text) if document]
    assert {document["kind"] for document in documents} == {"ConfigMap", "NetworkPolicy"}
    return {one["metadata"]["name"]: one["data"] for one in documents if one["kind"] == "ConfigMap"}


def mount(pod: dict[str, Any], root: Path) -> None:
    """Put what the pod's volumes hold to where the sidecar's mounts say, below *root*."""
    held = config_maps()
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for one in sidecar_of(pod)["volumeMounts"]:
        place = root / one["mountPath"].lstrip("/")
        place.mkdir(parents=True)
        volume = volumes[one["name"]]
        for source in volume.get("projected", {}).get("sources", [volume]):
            for name, text in held.get(source.get("configMap", {}).get("name"), {}).items():
                moved = text.replace("/etc/sidegate", f"{root}/etc/sidegate")
                (place / name).write_text(moved.replace("/var/lib/sidegate", f"{root}/var/lib/sidegate"))


def variables(pod: dict[str, Any], root: Path) -> dict[str, str]:
    """Return the sidecar's variables as a kubelet sets them: references to those before are put in."""
    known: dict[str, str] = {}
    for entry in sidecar_of(pod)["env"]:
        if "valueFrom" in entry:
            assert entry["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
            known[entry["name"]] = POD_IP
            continue
        text = entry["value"]
        for name, value in known.items():
            text = text.replace(f"$({name})", value)
        known[entry["name"]] = text.replace("/etc/sidegate", f"{root}/etc/sidegate").replace(
            "/var/lib/sidegate", f"{root}/var/lib/sidegate"
        )
    return known


def ask(host: str, port: int, path: str) -> tuple[int, str]:
    """Return status and body of a request; 0 if nobody listens."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


@pytest.mark.parametrize("takes_over", [False, True], ids=["port-of-its-own", "the-services-number"])
def test_an_injected_pod_serves(tmp_path: Path, takes_over: bool) -> None:
    """The sidecar starts with what is mounted, its probes pass, and requests go through it, or do not."""
    with service() as upstream:
        port = upstream if takes_over else free_port()
        asked = {
            "inject": "enabled", "config": "datastore", "upstream-port": str(upstream), "port": str(port),
            "admin-port": str(free_port()), "settings": "limits: {drain_timeout_ms: 1000}\nlog: {format: json}",
        }  # fmt: skip
        pod: dict[str, Any] = {
            "metadata": {"annotations": {PREFIX + name: text for name, text in asked.items()}},
            "spec": {"containers": [{"name": "app", "ports": [{"containerPort": upstream}]}]},
        }
        result = inject(pod, default_definition())
        assert isinstance(result, Injection)
        apply(pod, result.edits)
        mount(pod, tmp_path)
        container = sidecar_of(pod)
        environment = {**variables(pod, tmp_path), "PATH": os.environ["PATH"]}
        log = tmp_path / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "sidegate", *container["args"]],
                env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=output,
            )  # fmt: skip
        try:
            probe = container["startupProbe"]["httpGet"]

            def is_up() -> bool:
                assert process.poll() is None, log.read_text()
                return ask(POD_IP, probe["port"], probe["path"])[0] == 200

            eventually(is_up, "the startup probe passes")
            assert ask(POD_IP, port, "/healthz") == (200, "/healthz")
            status, body = ask(POD_IP, port, "/v1/orgs/acme/projects/p/branches/main/files/a")
            assert (status, json.loads(body)["reason"]) == (401, "no_credential")
            if takes_over:
                assert ask("127.0.0.1", port, "/anything") == (200, "/anything"), (
                    "the service has its own address still"
                )
            process.terminate()
            assert process.wait(20) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()
        assert any((tmp_path / "var/lib/sidegate/audit").rglob("*.ndjson"))
