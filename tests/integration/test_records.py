"""No operation without its record: whatever breaks, what a client or the upstream saw is in the spool (spec 5.6)."""

import json
import resource
import signal
import socket
import threading
from pathlib import Path

import pytest
from tests.integration.client import Client
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ROUTE_FILE, Sidecar
from tests.integration.upstream import LoggingUpstream
from tests.integration.waiting import eventually

CLIENTS = 8
BATCH = 32


class Load:
    """Clients that send pipelined requests, allowed and refused in turn, until their connection breaks.

    Attributes:
        answered: Decision ids of refusals that reached a client whole.
    """

    def __init__(self, sidecar: Sidecar, clients: int) -> None:
        self.answered: set[str] = set()
        self.allowed = 0
        self._lock = threading.Lock()
        token = sidecar.session("vera")
        get = f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\nCookie: __session={token}\r\n\r\n".encode()
        refused = f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        self._requests = (get + refused) * BATCH
        self._threads = [threading.Thread(target=self._run, args=(sidecar,)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, sidecar: Sidecar) -> None:
        try:
            with sidecar.connect() as client:
                while True:
                    client.send(self._requests)
                    for _ in range(2 * BATCH):
                        self._take(client)
        except (OSError, AssertionError):
            pass  # The sidecar was killed; a response that was cut counts as not answered.

    def _take(self, client: Client) -> None:
        response = client.read_response()
        with self._lock:
            if response.status == 200:
                self.allowed += 1
            else:
                self.answered.add(response.json()["decision_id"])

    def wait(self) -> None:
        """Wait until every connection has broken."""
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("workers", [pytest.param(1, id="alone"), pytest.param(2, id="two-workers")])
def test_kill_under_load(make_sidecar: MakeSidecar, upstream: LoggingUpstream, workers: int) -> None:
    """After kill -9 under load every answered and every forwarded request has its record; the next start goes on."""
    sidecar = make_sidecar(settings={"workers": workers}).start(workers)
    load = Load(sidecar, CLIENTS)
    eventually(lambda: len(load.answered) > 500 and load.allowed > 500, "requests are being served")
    sidecar.close()
    load.wait()
    recorded = {record["id"] for record in sidecar.decisions()}
    forwarded = {request.decision for one in upstream.conversations for request in one.requests}
    assert len(forwarded) >= load.allowed
    assert load.answered - recorded == set()
    assert forwarded - recorded == set()
    sidecar.start(workers)
    assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
    assert sidecar.stop() == 0
    verified = sidecar.run("audit", "verify", str(sidecar.spool))
    assert verified.returncode == 0, verified.stdout


def _limit_file_size(pid: int, size: int) -> None:
    """Let every write of process *pid* beyond *size* fail; the hard limit stays, so that it can be lifted again."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_failing_writes(sidecar: Sidecar, upstream: LoggingUpstream) -> None:
    """While the spool cannot be written everything is refused, /readyz says so, and it recovers by itself."""
    assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
    forwarded = len(upstream.seen)
    (segment,) = sidecar.spool.rglob("*.ndjson")
    _limit_file_size(sidecar.pid, segment.stat().st_size)
    for who in ("vera", None):
        answer = sidecar.ask("GET", ROUTE_FILE, who=who)
        assert answer.verdict == (503, "audit_unavailable")
        assert int(str(answer.field("Retry-After"))) >= 1
    assert len(upstream.seen) == forwarded
    ready = sidecar.ask_admin("/readyz?verbose")
    assert (ready.status, "audit" in ready.text) == (503, True)
    assert sidecar.ask_admin("/livez").status == 200
    assert sidecar.metric("sidegate_decisions_total", reason="audit_unavailable", authority="none") == 2
    # EFBIG is one of the ways in which a disk is full.
    assert sidecar.metric("sidegate_audit_dropped_total", cause="spool_full") >= 2
    _limit_file_size(sidecar.pid, resource.RLIM_INFINITY)
    eventually(lambda: sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200, "it records again")
    eventually(lambda: sidecar.ask_admin("/readyz").status == 200, "it is ready again")
    assert sidecar.stop() == 0
    assert sidecar.run("audit", "verify", str(sidecar.spool)).returncode == 0


def test_full_spool(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """At the cap requests are refused; nothing was forwarded or answered without a record, and no record is lost."""
    sidecar = make_sidecar(settings={"audit": {"max_bytes": 1 << 20, "segment_bytes": 65536}}).start()
    token = sidecar.session("vera")
    request = f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\nCookie: __session={token}\r\n\r\n".encode()
    served = 0
    with sidecar.connect() as client:
        while True:
            client.send(request)
            response = client.read_response()
            if response.status != 200:
                break
            served += 1
    assert response.verdict == (503, "audit_unavailable")
    recorded = {record["id"] for record in sidecar.decisions()}
    forwarded = {request.decision for one in upstream.conversations for request in one.requests}
    assert len(forwarded) == served
    assert forwarded - recorded == set()
    assert sidecar.ask_admin("/readyz").status == 503
    assert sidecar.metric("sidegate_audit_dropped_total", cause="spool_full") >= 1
    assert sum(path.stat().st_size for path in sidecar.spool.rglob("*.ndjson")) <= 1 << 20


def test_sink_releases_the_spool(make_sidecar: MakeSidecar, tmp_path: Path) -> None:
    """With a sink that takes them, more records than the spool holds pass, and each reaches the sink."""
    shipped = tmp_path / "shipped"
    audit = {"max_bytes": 1 << 20, "segment_bytes": 65536, "sinks": [{"file": str(shipped)}]}
    sidecar = make_sidecar(settings={"audit": audit}).start()
    request = f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    ids: set[str] = set()
    with sidecar.connect() as client:
        while len(ids) < 4000:
            client.send(request * BATCH)
            for _ in range(BATCH):
                problem = client.read_response().json()
                if problem["reason"] == "no_credential":
                    ids.add(problem["decision_id"])

    def arrived() -> set[str]:
        lines = [line for file in shipped.rglob("*") if file.is_file() for line in file.read_bytes().splitlines()]
        return {json.loads(line)["id"] for line in lines if b'"record":"decision"' in line}

    eventually(lambda: ids <= arrived(), "every record has reached the sink")
    assert sidecar.stop() == 0


def test_torn_line_is_cut(sidecar: Sidecar) -> None:
    """A last line torn by a crash is cut at the next start and counted; nothing before it is touched."""
    sidecar.ask("GET", ROUTE_FILE, who="vera")
    sidecar.signal(signal.SIGKILL)
    sidecar.wait()
    (segment,) = sidecar.spool.rglob("*.ndjson")
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole.splitlines(keepends=True)[-1][:-20])
    sidecar.start()
    assert sidecar.metric("sidegate_audit_dropped_total", cause="torn_line") == 1
    sidecar.ask("GET", ROUTE_FILE, who="vera")
    assert segment.read_bytes().startswith(whole)
    assert sidecar.stop() == 0
    assert sidecar.run("audit", "verify", str(sidecar.spool)).returncode == 0


def test_client_that_leaves_at_once(sidecar: Sidecar) -> None:
    """A request whose client does not wait for the answer is recorded all the same."""
    before = len(sidecar.decisions())
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", sidecar.port)) as connection:
            connection.sendall(f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    eventually(lambda: len(sidecar.decisions()) == before + 20, "20 records")
    eventually(lambda: sidecar.metric("sidegate_requests_in_flight") == 0, "nothing is in flight")


def test_secrets_are_not_recorded(sidecar: Sidecar, upstream: LoggingUpstream) -> None:
    """Neither token, query value nor body is in the spool or the log (spec 5.5)."""
    token = sidecar.session("ana")
    headers = [f"Authorization: Bearer {token}", "X-Request-Id: req-1"]
    sidecar.ask("PUT", f"{ROUTE_FILE}?access=hunter2", headers=headers, body=b"swordfish")
    assert upstream.next_request().body == b"swordfish"
    written = b"".join(path.read_bytes() for path in sidecar.spool.rglob("*") if path.is_file())
    written += sidecar.log.read_bytes()
    assert [secret for secret in (token, "hunter2", "swordfish") if secret.encode() in written] == []
    record = sidecar.decisions()[-1]
    assert (record["path"], record["request_id"]) == (ROUTE_FILE, "req-1")
