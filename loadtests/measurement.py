"""One measurement: wrk against one proxy for some seconds, its answers checked, the proxy's CPU time counted; then, at
half of what it took, how long answers take when requests come at a constant rate."""

import itertools
import json
import subprocess
from dataclasses import dataclass

from loadtests.openloop import Latency, run_pinned
from loadtests.peers import Peer
from loadtests.processes import BenchError, ask
from loadtests.upstream import BODY
from loadtests.workload import CONNECTIONS, Scenario, Workload

_MAX_RATE = 10_000.0
"""Above it the client that keeps the rate, and the upstream beside it, would need all of their core."""
_numbers = itertools.count(1, 100_000_000)


@dataclass(frozen=True)
class Measurement:
    """What one run of wrk cost and brought.

    Attributes:
        requests: Answered ones.
        cpu_us: CPU time of the proxy's process tree per request.
        per_second: Requests per second.
        rss_bytes: Resident memory of the process tree at the end.
        records: Decisions put on disk meanwhile; None where none are kept.
    """

    requests: int
    cpu_us: float
    per_second: float
    rss_bytes: int
    records: int | None


@dataclass(frozen=True)
class Added:
    """What a proxy adds to the latency of the upstream, at the same rate.

    Attributes:
        rate: Requests per second.
        through: By way of the proxy.
        direct: To the upstream itself, just before.
    """

    rate: float
    through: Latency
    direct: Latency

    @property
    def p50_us(self) -> float:
        """Between the medians."""
        return self.through.p50_us - self.direct.p50_us

    @property
    def p99_us(self) -> float:
        """Between the 99th percentiles."""
        return self.through.p99_us - self.direct.p99_us


def check_answer(peer: Peer, workload: Workload, scenario: Scenario) -> int:
    """Look at single answers before they are counted by the thousand.

    Returns:
        The size of one response in bytes, which is the same for every request of a scenario.

    Raises:
        BenchError: The status or the body is wrong.
    """
    request = workload.request(scenario, "127.0.0.1")
    sizes = set()
    for _ in range(20):
        response = ask(peer.port, request)
        head, _, body = response.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status != scenario.status:
            raise BenchError(f"{peer.name} answers {scenario.name} with {status}, not {scenario.status}:\n{body!r}")
        if status == 200 and body != BODY:
            raise BenchError(f"{peer.name} answers {scenario.name} with another body than the upstream's: {body!r}")
        sizes.add(len(response))
    if len(sizes) != 1:
        raise BenchError(f"{peer.name} answers {scenario.name} in several sizes: {sorted(sizes)}")
    return sizes.pop()


def measure(
    peer: Peer, workload: Workload, scenario: Scenario, *, seconds: int, core: int, connections: int = CONNECTIONS
) -> Measurement:
    """Load *peer* and hold every answer to what it must be.

    Raises:
        BenchError: An answer was wrong, or a record is missing.
    """
    script = workload.lua(scenario, peer.folder / f"{scenario.name}.lua")
    size = check_answer(peer, workload, scenario)
    _wrk(peer, script.as_posix(), seconds=1, core=core, connections=connections)
    records_before = peer.records()
    before = peer.child.usage()
    result = _wrk(peer, script.as_posix(), seconds=seconds, core=core, connections=connections)
    after = peer.child.usage()
    requests = result["requests"]
    _hold_answers(peer, scenario, result, size, in_flight=connections)
    records_after = peer.records()
    records = None
    if records_before is not None and records_after is not None:
        records = records_after - records_before
        # Also what was still in flight when wrk stopped has its record, and so may what the warm-up left in flight.
        if not requests <= records <= requests + 2 * connections:
            raise BenchError(f"{peer.name} answered {requests} requests of {scenario.name} and recorded {records}")
    return Measurement(
        requests=requests,
        cpu_us=(after.cpu_s - before.cpu_s) * 1e6 / requests,
        per_second=requests * 1e6 / result["duration_us"],
        rss_bytes=after.rss_bytes,
        records=records,
    )


def measure_added(peer: Peer, workload: Workload, scenario: Scenario, *, rate: float, seconds: int, core: int) -> Added:
    """Load *peer* and its upstream at the same constant rate, one after the other.

    Raises:
        BenchError: An answer was wrong or did not come.
    """
    rate = min(rate, _MAX_RATE)
    request = peer.write("request.bin", workload.request(scenario, "127.0.0.1").decode("ascii"))
    direct = run_pinned(peer.upstream, request, rate=rate, seconds=seconds, core=core)
    return Added(rate, run_pinned(peer.port, request, rate=rate, seconds=seconds, core=core), direct)


def _hold_answers(peer: Peer, scenario: Scenario, result: dict[str, int], size: int, *, in_flight: int) -> None:
    requests = result["requests"]
    if not requests:
        raise BenchError(f"{peer.name} answered nothing of {scenario.name}:\n{peer.child.tail()}")
    # wrk counts every status above 399.
    expected = 0 if scenario.status < 400 else requests
    if result["failed_status"] != expected or result["failed_socket"]:
        failed = f"{result['failed_status']} answers above 399 and {result['failed_socket']} socket errors"
        raise BenchError(f"{peer.name}: {failed} in {requests} requests of {scenario.name}, which are {expected}")
    # Every response has the same size, so another body anywhere shows in the sum.
    if not 0 <= result["bytes"] - requests * size <= in_flight * size:
        raise BenchError(f"{peer.name}: {requests} answers of {size} bytes are not {result['bytes']} bytes")


def _wrk(peer: Peer, script: str, *, seconds: int, core: int, connections: int) -> dict[str, int]:
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["--timeout", "10s", "-s", script, f"http://127.0.0.1:{peer.port}/", "--", str(next(_numbers))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            result: dict[str, int] = json.loads(line)
            return result
    raise BenchError(f"wrk did not report:\n{done.stdout}\n{done.stderr}")
