"""Start, refusal to start, stop and several workers (spec 2.8, 6.1)."""

import json
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.client import DEADLINE_S, Client
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ROUTE_FILE, Sidecar
from tests.integration.upstream import OK, Conversation, LoggingUpstream
from tests.integration.waiting import eventually


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Sidecar], None]:
    def edit(sidecar: Sidecar) -> None:
        settings = json.loads(sidecar.config.read_text())
        change(settings)
        sidecar.config.write_text(json.dumps(settings, indent=2))

    return edit


def _write(name: str, text: str) -> Callable[[Sidecar], None]:
    def write(sidecar: Sidecar) -> None:
        (sidecar.folder / name).write_text(text)

    return write


@pytest.mark.parametrize(
    ("spoil", "shown"),
    [
        pytest.param(_edit(lambda s: s.update(lisen="127.0.0.1:0")), "lisen", id="unknown-key"),
        pytest.param(_edit(lambda s: s.update(workers="many")), "workers", id="wrong-type"),
        pytest.param(_edit(lambda s: s.update(routes="nowhere.yaml")), "nowhere.yaml", id="no-routes"),
        pytest.param(_edit(lambda s: s["policy"].update(source="dir:nowhere/")), "nowhere", id="no-policy-folder"),
        pytest.param(
            _edit(lambda s: s["sessions"]["signed"].update(algorithms=["none"])), "algorithms", id="algorithm-none"
        ),
        pytest.param(_write("routes.yaml", "- get: no-slash\n  primitive: Read\n"), "routes.yaml:1", id="bad-route"),
        pytest.param(
            _write("routes.yaml", "- get: /{a}\n  authority: read\n- get: /{b}\n  authority: write\n"),
            "routes.yaml:3",
            id="ambiguous-routes",
        ),
        pytest.param(_write("policy/acme.yaml", "organization: acme\nmembrs: {}\n"), "acme.yaml:2", id="bad-policy"),
        pytest.param(_write("policy/acme.yaml", "organization: [\n"), "acme.yaml", id="broken-yaml"),
    ],
)
def test_bad_configuration(make_sidecar: MakeSidecar, spoil: Callable[[Sidecar], None], shown: str) -> None:
    """Whatever is wrong in a file is said with its place, and `run` exits 78 without listening."""
    sidecar = make_sidecar()
    spoil(sidecar)
    sidecar.launch()
    assert sidecar.wait() == 78
    said = sidecar.log.read_text()
    assert shown in said
    assert "Traceback" not in said
    assert "listener_opened" not in said
    assert not list(sidecar.spool.rglob("*.ndjson"))


@pytest.mark.parametrize("key", [pytest.param("listen", id="data-port"), pytest.param("admin", id="admin-port")])
def test_busy_port(make_sidecar: MakeSidecar, key: str) -> None:
    """A port that is taken is a configuration error that names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sidecar = make_sidecar(settings={key: address})
        sidecar.launch()
        assert sidecar.wait() == 78
    said = sidecar.log.read_text()
    assert f"`{key}`" in said
    assert address in said


def test_spool_has_one_writer(make_sidecar: MakeSidecar) -> None:
    """A second sidecar on the same spool does not start: two writers would break the chain."""
    first = make_sidecar().start()
    second = make_sidecar(settings={"audit": {"spool": str(first.spool)}})
    second.launch()
    assert second.wait() == 78
    assert first.ask("GET", ROUTE_FILE, who="vera").status == 200


class Held:
    """An upstream script that answers when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, conversation: Conversation) -> None:
        while conversation.read_request() is not None:
            assert self.go.wait(DEADLINE_S)
            conversation.send(OK)


def _begin(sidecar: Sidecar) -> Client:
    client = sidecar.connect()
    token = sidecar.session("vera")
    client.send(f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\nCookie: __session={token}\r\n\r\n".encode())
    return client


def test_stop_lets_requests_finish(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """SIGTERM: no new connections, idle ones are closed, what is in flight finishes and closes, exit 0."""
    held = Held()
    upstream.script = held
    sidecar = make_sidecar().start()
    idle = sidecar.connect()
    with _begin(sidecar) as client:
        upstream.next_request()
        sidecar.signal(signal.SIGTERM)
        assert idle.is_ended()
        eventually(lambda: _refuses(sidecar.port), "it does not accept any more")
        held.go.set()
        answer = client.read_response()
        assert (answer.status, answer.body, answer.field("Connection")) == (200, b"ok", "close")
        assert client.is_ended()
    idle.close()
    assert sidecar.wait() == 0
    assert sidecar.lines()[-1]["record"] == "checkpoint"
    assert sidecar.run("audit", "verify", str(sidecar.spool)).returncode == 0


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_second_signal_ends_at_once(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """A second SIGTERM does not wait for requests in flight; the trail is closed in order all the same."""
    upstream.script = Held()
    sidecar = make_sidecar().start()
    with _begin(sidecar) as client:
        upstream.next_request()
        sidecar.signal(signal.SIGTERM)
        eventually(lambda: _refuses(sidecar.port), "it does not accept any more")
        sidecar.signal(signal.SIGTERM)
        assert client.is_ended()
        assert sidecar.wait() == 0
    upstream.script.go.set()
    assert sidecar.run("audit", "verify", str(sidecar.spool)).returncode == 0


def test_drain_timeout(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """A request that does not finish within the drain timeout is cut."""
    held = Held()
    upstream.script = held
    sidecar = make_sidecar(settings={"limits": {"drain_timeout_ms": 100}}).start()
    with _begin(sidecar) as client:
        upstream.next_request()
        assert sidecar.stop() == 0
        assert client.is_ended()
    held.go.set()


def test_unix_socket_upstream(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """The upstream may listen on a Unix socket."""
    path = str(make_sidecar().folder / "up.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        sidecar = make_sidecar(upstream=f"unix:{path}").start()

        def serve() -> None:
            connection, _ = listening.accept()
            conversation = Conversation(connection, upstream)
            conversation.read_request()
            conversation.send(OK)
            conversation.close()

        thread = threading.Thread(target=serve)
        thread.start()
        assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
        thread.join()


def test_upstream_away(make_sidecar: MakeSidecar) -> None:
    """Without an upstream it is ready; an allowed request is 502, recorded as allowed, and completed as failed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    sidecar = make_sidecar(upstream=nobody).start()
    answer = sidecar.ask("GET", ROUTE_FILE, who="vera")
    assert answer.verdict == (502, "upstream_unreachable")
    record = sidecar.decision(answer.json()["decision_id"])
    assert record["outcome"] == "allow"

    def completed() -> bool:
        return [(line["decision_id"], line["reason"]) for line in sidecar.completions()] == [
            (record["id"], "upstream_unreachable")
        ]

    eventually(completed, "a completion record")


def test_two_workers(make_sidecar: MakeSidecar) -> None:
    """Workers share the port, each keeps a chain of its own, and their numbers are shown as one sidecar's."""
    sidecar = make_sidecar(settings={"workers": 2}).start(workers=2)

    def names() -> set[str]:
        assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
        return {record["sidecar"] for record in sidecar.decisions()}

    eventually(lambda: len(names()) == 2, "both workers have served")
    total = len(sidecar.decisions())

    def counted() -> float:
        return sidecar.metric("sidegate_decisions_total", reason="granted")

    eventually(lambda: counted() == total, "the numbers of both workers are added up")
    assert sidecar.stop() == 0
    verified = sidecar.run("audit", "verify", str(sidecar.spool))
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        pytest.param(b"GET /readyz HTTP/1.0", b"200", id="1.0-as-balancers-ask"),
        pytest.param(b"GET /readyz HTTP/1.1", b"4", id="1.1-needs-a-host"),
        pytest.param(b"GET /readyz HTTP/1.0\r\nHost: evil.example", b"421", id="1.0-with-a-host-is-held-to-it"),
    ],
)
def test_health_check_without_a_host(make_sidecar: MakeSidecar, request_line: bytes, status: bytes) -> None:
    """The health checks of balancers speak HTTP/1.0 without a Host (HAProxy's httpchk); no browser does."""
    sidecar = make_sidecar().start()
    with socket.create_connection(("127.0.0.1", sidecar.admin), timeout=DEADLINE_S) as client:
        client.sendall(request_line + b"\r\nConnection: close\r\n\r\n")
        assert client.recv(12).split(b" ")[1].startswith(status)
