"""File descriptors that run out, and the room that is kept for everything but clients (spec 2.8)."""

import os
import resource
import time
from pathlib import Path

from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ROUTE_FILE, Sidecar
from tests.integration.waiting import eventually


def _open(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _limit(sidecar: Sidecar, soft: int) -> None:
    hard = resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_beyond_the_limit(make_sidecar: MakeSidecar) -> None:
    """A connection beyond the limit is told 503 and closed; those within it are served; one that ends makes room."""
    sidecar = make_sidecar(settings={"limits": {"connections": 20}}).start()
    clients = [sidecar.connect() for _ in range(20)]
    request = f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\nCookie: __session={sidecar.session('vera')}\r\n\r\n".encode()
    for client in clients:
        client.send(request)
    assert [client.read_response().status for client in clients] == [200] * 20
    with sidecar.connect() as refused:
        assert refused.read_response().verdict == (503, "overloaded")
        assert refused.is_ended()
    for client in clients:
        client.close()
    eventually(lambda: sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200, "there is room again")


def test_running_out(make_sidecar: MakeSidecar) -> None:
    """With no descriptor left the sidecar neither dies nor spins; who is connected is served, and it recovers."""
    sidecar = make_sidecar().start()
    request = f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: x\r\nCookie: __session={sidecar.session('vera')}\r\n\r\n".encode()
    with sidecar.connect() as kept:
        kept.send(request)
        assert kept.read_response().status == 200
        _limit(sidecar, _open(sidecar.pid) + 5)
        clients = [sidecar.connect() for _ in range(40)]
        eventually(clients[-1].is_ended, "who cannot be served is let go, not left waiting")
        spent, since = _cpu_s(sidecar.pid), time.monotonic()
        for _ in range(20):
            kept.send(request)
            assert kept.read_response().status == 200
        eventually(lambda: time.monotonic() - since > 1, "a second has passed")
        assert _cpu_s(sidecar.pid) - spent < 0.5
        for client in clients:
            client.close()
        _limit(sidecar, 4096)
        eventually(lambda: sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200, "new clients are served again")
    assert sidecar.stop() == 0
