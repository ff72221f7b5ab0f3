"""Thousands of clients that are slow on purpose, and one that is not: measured beside each other in the same run
(spec 2.8)."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import FILES, Sidecar
from tests.integration.streams.arena import Arena
from tests.integration.waiting import eventually

pytestmark = pytest.mark.slow

HEADERS, BODIES, READS = 4000, 1000, 500
REQUESTS = 3000
MOST_S = 0.050
MOST_BYTES = 24 * 1024


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _p99(sidecar: Sidecar) -> float:
    """Return the 99th percentile of what one client waits for its answers, one after the other, in seconds."""
    request = f"GET {FILES}/a HTTP/1.1\r\nHost: x\r\nCookie: __session={sidecar.session('ana')}\r\n\r\n".encode()
    took = []
    with sidecar.connect() as client:
        for _ in range(REQUESTS):
            begin = time.perf_counter()
            client.send(request)
            assert client.read_response().status == 200
            took.append(time.perf_counter() - begin)
    return sorted(took)[REQUESTS * 99 // 100]


@contextlib.contextmanager
def _attack(sidecar: Sidecar, path: str, count: int, *options: str) -> Iterator[None]:
    """Hold *count* slow connections, as far as the sidecar lets them."""
    session = f"__session={sidecar.session('ana')}"
    url = f"http://127.0.0.1:{sidecar.port}{FILES}/{path}"
    common = ["slowhttptest", "-l", "120", "-r", "1000", "-p", "20", "-v", "0", "-j", session, "-u", url]
    arguments = [*common, "-c", str(count), *options]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def _wait_for_connections(sidecar: Sidecar, count: int) -> None:
    eventually(lambda: sidecar.metric("sidegate_connections") >= count * 0.97, f"{count} slow clients are there", 60)


def test_slow_clients_do_not_slow_others(make_sidecar: MakeSidecar, arena: Arena) -> None:
    """With 4,000 slow heads, 1,000 slow bodies and 500 slow readers held, another client hardly notices; a connection
    costs little memory; slow heads and bodies are ended by their deadlines.

    What is compared to is a sidecar beside it that is not attacked: the tools themselves take most of the machine.
    """
    # More than the usual time for a head, so that all of them are there at once while it is measured.
    settings = {"upstream": {"max_connections": 4000}, "limits": {"head_timeout_ms": 60_000}}
    sidecar, spared = [make_sidecar(upstream=arena.url, settings=settings).start() for _ in range(2)]
    quiet = _p99(sidecar)
    _p99(spared)
    before = _memory(sidecar.pid)
    with contextlib.ExitStack() as attacks:
        attacks.enter_context(_attack(sidecar, "a", HEADERS, "-H", "-i", "3"))
        _wait_for_connections(sidecar, HEADERS)
        attacks.enter_context(_attack(sidecar, "download", READS, "-X", "-n", "3"))
        attacks.enter_context(_attack(sidecar, "upload", BODIES, "-B", "-i", "3", "-s", "100000"))
        _wait_for_connections(sidecar, HEADERS + BODIES + READS)
        grown = (_memory(sidecar.pid) - before) / sidecar.metric("sidegate_connections")
        attacked, baseline = _p99(sidecar), _p99(spared)
        # Slow readers are carried by the buffers of the kernel for a while; only once these are full are their answers
        # short of the least rate.
        eventually(lambda: sidecar.metric("sidegate_connections") < READS + 50, "slow heads and bodies are ended", 90)
    shown = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in (
        ("attacked", attacked), ("spared", baseline), ("before", quiet)
    ))  # fmt: skip
    sys.stdout.write(f"p99 {shown}; {grown / 1024:.1f} KiB a connection\n")
    assert grown < MOST_BYTES
    assert attacked <= MOST_S
    assert attacked <= 2 * baseline, (baseline, attacked)
    assert sidecar.ask("GET", f"{FILES}/a", who="ana").status == 200
    reasons = {record["reason"] for record in sidecar.decisions()}
    assert {"granted", "request_timeout"} <= reasons
    assert sidecar.stop() == 0
