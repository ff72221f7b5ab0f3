"""`make bench-scenarios`: what spec 7 asks for beside workload M, each figure beside its target.

    python -m loadtests.scenarios
    python -m loadtests.scenarios --only audit,shadow --rounds 3 --seconds 2 -o scenarios.json

Configurations that are compared are measured in turn, and a ratio is the median of the ratios of single rounds. With
``--realtime`` (as root) whatever is measured for its pauses runs before everything else that the machine does, so that
a pause is its own; leave it out on a machine that has nothing else to do.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests import bodies
from loadtests.contenders import PEERS
from loadtests.measurement import measure
from loadtests.openloop import Latency, run_pinned
from loadtests.peers import Sidegate
from loadtests.processes import BenchError, Child, accepts, free_port, hurry
from loadtests.report import print_findings
from loadtests.targets import Finding
from loadtests.variants import Variant, audit_levels, read_gauge, replace_file, shadows, sources
from loadtests.workload import CONNECTIONS, SCENARIOS, Workload, policy_text
from rich.console import Console

IDLE_CONNECTIONS = 10_000
PUBLISHES = 20
_WORKERS = (2, 4)
_STEADY_RATE = 5000
"""Requests per second, with which a core has something to do and never too much."""
_MIB = 1 << 20
_SETTLE_S = 1.5


@dataclass
class Setting:
    """What every scenario is run with.

    Attributes:
        folder: For files, empty.
        upstream: Port of the upstream.
        upstream_pid: Its process.
        core: Of the proxies.
        other: Of everything else.
        rounds: How often each is measured.
        seconds: Length of one measurement.
        mib: Size of large bodies.
        realtime: What is measured for its pauses runs before everything else.
    """

    folder: Path
    upstream: int
    upstream_pid: int
    core: int
    other: int
    rounds: int
    seconds: int
    mib: int
    realtime: bool

    def workload(self, name: str) -> Workload:
        """Return a workload with files of its own."""
        folder = self.folder / name
        folder.mkdir()
        return Workload(folder)

    def hurry(self, *pids: int) -> None:
        """Let processes run before everything else, if that is wished for."""
        if self.realtime:
            hurry(*pids)

    def at_rate(self, port: int, request: Path, rate: float) -> Latency:
        """Send *request* to *port* at a constant rate."""
        return run_pinned(port, request, rate=rate, seconds=self.seconds, core=self.other, realtime=self.realtime)


def compare(
    setting: Setting, workload: Workload, peers: Mapping[str, Sidegate], scenario: str = "allowed"
) -> list[dict[str, float]]:
    """Return CPU per request of each, round by round, measured in turn."""
    try:
        for peer in peers.values():
            peer.start()
        return [
            {
                name: measure(peer, workload, SCENARIOS["allowed"], seconds=setting.seconds, core=setting.other).cpu_us
                for name, peer in peers.items()
            }
            for _ in range(setting.rounds)
        ]
    finally:
        for peer in peers.values():
            peer.stop()


def ratio(rounds: list[dict[str, float]], of: str, to: str) -> float:
    """Return the median of the ratios of single rounds."""
    return statistics.median(one[of] / one[to] for one in rounds)


def audit(setting: Setting) -> list[Finding]:
    """Levels of durability, beside none."""
    workload = setting.workload("audit")
    rounds = compare(setting, workload, audit_levels(workload, setting.upstream, setting.core))
    return [
        Finding("audit `process` / `memory`, CPU", ratio(rounds, "process", "memory"), most=1.1),
        Finding("audit `process` with all completions / `memory`, CPU", ratio(rounds, "process-completions", "memory")),
        Finding("audit `host` (synced) / `memory`, CPU", ratio(rounds, "host", "memory")),
    ]


def shadow(setting: Setting) -> list[Finding]:
    """A candidate on against off."""
    workload = setting.workload("shadow")
    rounds = compare(setting, workload, shadows(workload, setting.upstream, setting.core))
    return [
        Finding("candidate that concerns nobody / none, CPU", ratio(rounds, "nobody", "off"), most=1.01),
        Finding("candidate that concerns all / none, CPU", ratio(rounds, "all", "off"), most=1.1),
    ]


def redis(setting: Setting) -> list[Finding]:
    """Policy and sessions in Redis against embedded ones."""
    workload = setting.workload("redis")
    peers = sources(workload, setting.upstream, setting.core)
    if len(peers) == 1:
        raise BenchError("redis-server is not installed")
    rounds = compare(setting, workload, peers)
    return [Finding("policy and revocations in Redis / embedded, CPU", ratio(rounds, "redis", "embedded"))]


def refusals(setting: Setting) -> list[Finding]:
    """What refusals cost beside an allowed request, and what never seen paths and headers cost."""
    workload = setting.workload("refusals")
    peer = Variant(workload, setting.upstream, setting.core, "sidegate")
    wanted = {"denied": 0.5, "no-credential": 0.5, "junk-tokens": 1.5, "junk-token": 1.0}
    names = ("allowed", *wanted, "distinct-paths", "distinct-headers")
    try:
        peer.start()
        rounds = [
            {
                name: measure(peer, workload, SCENARIOS[name], seconds=setting.seconds, core=setting.other).cpu_us
                for name in names
            }
            for _ in range(setting.rounds)
        ]
    finally:
        peer.stop()
    return [Finding("allowed, CPU", statistics.median(one["allowed"] for one in rounds), "µs")] + [
        Finding(f"{name} / allowed, CPU", ratio(rounds, name, "allowed"), most=wanted.get(name)) for name in names[1:]
    ]


def large_bodies(setting: Setting) -> list[Finding]:
    """Large bodies in both directions, beside nginx."""
    workload = setting.workload("bodies")
    workload.allow_uploads()
    port = free_port()
    command = [sys.executable, "-m", "loadtests.bodies", "--serve", str(port)]
    upstream = Child("upstream", command, setting.other, setting.folder / "bodies.log")
    peers = {name: PEERS[name](workload, port, setting.core) for name in ("sidegate", "nginx")}
    findings = []
    try:
        upstream.wait_until(lambda: accepts(port))
        for peer in peers.values():
            peer.start()
        for is_upload in (False, True):
            rounds = [
                {
                    name: bodies.transfer(peer, workload, setting.mib * _MIB, is_upload=is_upload)
                    for name, peer in peers.items()
                }
                for _ in range(setting.rounds)
            ]
            way = "up" if is_upload else "down"
            speed = statistics.median(one["sidegate"].mib_per_second / one["nginx"].mib_per_second for one in rounds)
            grown = max(one["sidegate"].grown_mib for one in rounds)
            findings.append(Finding(f"body of {setting.mib} MiB {way}: throughput / nginx", speed, least=0.7))
            findings.append(Finding(f"body of {setting.mib} MiB {way}: memory grown", grown, "MiB", most=4))
    finally:
        for peer in peers.values():
            peer.stop()
        upstream.stop()
    return findings


def memory(setting: Setting) -> list[Finding]:
    """Resident memory: idle, and with 10,000 idle connections of which each has served a request."""
    workload = setting.workload("memory")
    limits = {"connections": IDLE_CONNECTIONS + 1000, "idle_timeout_ms": 600_000}
    peer = Variant(workload, setting.upstream, setting.core, "idle", {"limits": limits})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held: list[socket.socket] = []
    request = workload.request(SCENARIOS["allowed"], "127.0.0.1")
    try:
        peer.start()
        time.sleep(_SETTLE_S)
        idle = peer.child.usage().rss_bytes / _MIB
        for _ in range(IDLE_CONNECTIONS):
            client = socket.create_connection(("127.0.0.1", peer.port), timeout=30)
            client.sendall(request)
            if not client.recv(4096).startswith(b"HTTP/1.1 200"):
                raise BenchError("a connection was not served")
            held.append(client)
        time.sleep(_SETTLE_S)
        loaded = peer.child.usage().rss_bytes / _MIB
    finally:
        for client in held:
            client.close()
        peer.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return [
        Finding("resident, idle", idle, "MiB", most=60),
        Finding("resident, for 10,000 idle connections more", loaded - idle, "MiB", most=240),
    ]


def subjects(setting: Setting) -> list[Finding]:
    """Memory of 10,000 compiled subjects with twenty bindings each."""
    del setting
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.micro.subjects"], capture_output=True, text=True, timeout=300, check=True
    )
    return [Finding("10,000 compiled subjects with 20 bindings", json.loads(done.stdout)["mib"], "MiB", most=100)]


def start(setting: Setting) -> list[Finding]:
    """From the start of the process to the first `200` of `/readyz`."""
    workload = setting.workload("start")
    times, cpus = [], []
    for number in range(max(5, setting.rounds)):
        peer = Variant(workload, setting.upstream, setting.core, f"start-{number}")
        began = time.monotonic()
        try:
            peer.start()
            times.append((time.monotonic() - began) * 1000)
            cpus.append(peer.child.usage().cpu_s * 1000)
        finally:
            peer.stop()
    return [
        Finding("start to ready, 1,000 bindings, median", statistics.median(times), "ms", most=500),
        Finding("start to ready, 1,000 bindings, least", min(times), "ms", most=500),
        Finding("CPU time of a start, least", min(cpus), "ms"),
    ]


def workers(setting: Setting) -> list[Finding]:
    """What a request costs with more workers: all on one core, so that none of them works beside the load.

    At a constant rate below what they can do it is the core that changes from one to the other with every request; that
    is told, too, and not held against them, as it is not so where each has a core.
    """
    workload = setting.workload("workers")
    peers = {
        number: Variant(workload, setting.upstream, setting.core, f"workers-{number}", {"workers": number})
        for number in (1, *_WORKERS)
    }
    steady: list[dict[str, float]] = []
    full: list[dict[str, float]] = []
    try:
        for peer in peers.values():
            peer.start()
        request = peers[1].write("request.bin", workload.request(SCENARIOS["allowed"], "127.0.0.1").decode("ascii"))
        for _ in range(setting.rounds):
            steady.append({str(number): _cpu_at_rate(setting, peer, request) for number, peer in peers.items()})
            full.append(
                {
                    str(number): measure(
                        *(peer, workload, SCENARIOS["allowed"]),
                        seconds=setting.seconds,
                        core=setting.other,
                        connections=number * CONNECTIONS,
                    ).cpu_us
                    for number, peer in peers.items()
                }
            )
    finally:
        for peer in peers.values():
            peer.stop()
    rate = f"{_STEADY_RATE:,} a second"
    found = [Finding(f"1 worker, {rate}, CPU", statistics.median(one["1"] for one in steady), "µs")]
    for number in _WORKERS:
        what = f"{number} workers / 1, {rate}: requests per CPU"
        found.append(Finding(what, ratio(steady, "1", str(number))))
        what = f"{number} workers / 1, all they can, {CONNECTIONS} connections each: requests per CPU"
        found.append(Finding(what, ratio(full, "1", str(number)), least=0.9))
    return found


def _cpu_at_rate(setting: Setting, peer: Sidegate, request: Path) -> float:
    before = peer.child.usage()
    sent = run_pinned(
        peer.port, request, rate=_STEADY_RATE, seconds=setting.seconds, core=setting.other, realtime=setting.realtime
    ).sent
    return (peer.child.usage().cpu_s - before.cpu_s) * 1e6 / sent


def publish(setting: Setting) -> list[Finding]:
    """Policy that changes under load: how late the event loop is, and what clients see of it."""
    workload = setting.workload("publish")
    peer = Variant(workload, setting.upstream, setting.core, "publishing")
    over = threading.Event()
    published = 0

    def change() -> None:
        nonlocal published
        while not over.wait(setting.seconds / PUBLISHES):
            published += 1
            more = f"  - {{id: more{published}, who: user:u1, role: Viewer, on: p{published}}}\n"
            replace_file(peer.policy_file, policy_text() + more)

    try:
        peer.start()
        setting.hurry(peer.child.pid, setting.upstream_pid)
        request = peer.write("request.bin", workload.request(SCENARIOS["allowed"], "127.0.0.1").decode("ascii"))
        quiet = setting.at_rate(peer.port, request, 1000)
        before = read_gauge(peer, "sidegate_loop_lag_seconds") * 1000
        editor = threading.Thread(target=change)
        editor.start()
        try:
            busy = setting.at_rate(peer.port, request, 1000)
        finally:
            over.set()
            editor.join()
        lag = read_gauge(peer, "sidegate_loop_lag_seconds") * 1000
    finally:
        peer.stop()
    return [
        Finding("greatest loop lag before policy changes", before, "ms", most=5),
        Finding(f"greatest loop lag with {published} policy changes", lag, "ms", most=5),
        Finding("longest answer at 1,000/s, no change", quiet.max_us / 1000, "ms"),
        Finding("longest answer at 1,000/s, policy changes", busy.max_us / 1000, "ms"),
    ]


def latency(setting: Setting) -> list[Finding]:
    """What Sidegate adds at half load, at a constant rate."""
    workload = setting.workload("latency")
    peer = Variant(workload, setting.upstream, setting.core, "latency")
    p50s, p99s = [], []
    try:
        peer.start()
        request = peer.write("request.bin", workload.request(SCENARIOS["allowed"], "127.0.0.1").decode("ascii"))
        full = measure(peer, workload, SCENARIOS["allowed"], seconds=1, core=setting.other)
        setting.hurry(peer.child.pid, setting.upstream_pid)
        # Of the CPU that a request needs: what others take of the machine meanwhile is no part of it.
        rate = min(10_000.0, 0.5e6 / full.cpu_us)
        for _ in range(setting.rounds):
            direct = setting.at_rate(setting.upstream, request, rate)
            through = setting.at_rate(peer.port, request, rate)
            p50s.append(through.p50_us - direct.p50_us)
            p99s.append(through.p99_us - direct.p99_us)
    finally:
        peer.stop()
    return [
        Finding(f"added latency p50 at {rate:,.0f}/s", statistics.median(p50s), "µs", most=150),
        Finding(f"added latency p99 at {rate:,.0f}/s", statistics.median(p99s), "µs", most=1000),
    ]


SCENARIO_OF: dict[str, Callable[[Setting], list[Finding]]] = {
    "refusals": refusals,
    "audit": audit,
    "shadow": shadow,
    "redis": redis,
    "bodies": large_bodies,
    "memory": memory,
    "subjects": subjects,
    "start": start,
    "workers": workers,
    "publish": publish,
    "latency": latency,
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scenarios", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(SCENARIO_OF), help="which (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement (%(default)s)")
    parser.add_argument("--mib", type=int, default=1024, help="size of large bodies (%(default)s)")
    parser.add_argument("--realtime", action="store_true", help="let what is measured for pauses run before all else")
    parser.add_argument("-o", "--output", type=Path, help="write the figures into this file as JSON")
    options = parser.parse_args()
    # Whoever ends it by SIGTERM wants what it started to be ended, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in options.only.split(","):
        if name not in SCENARIO_OF:
            parser.error(f"`{name}` is not one of {', '.join(SCENARIO_OF)}")
    cores = sorted(os.sched_getaffinity(0))
    folder = Path(tempfile.mkdtemp(prefix="sidegate-scenarios-"))
    port = free_port()
    command = [sys.executable, "-m", "loadtests.upstream", "--port", str(port)]
    upstream = Child("upstream", command, cores[-1], folder / "upstream.log")
    setting = Setting(
        folder,
        port,
        upstream.pid,
        cores[0],
        cores[-1],
        options.rounds,
        options.seconds,
        options.mib,
        realtime=options.realtime,
    )
    findings: list[Finding] = []
    notes: list[str] = []
    try:
        upstream.wait_until(lambda: accepts(port))
        for name in options.only.split(","):
            print(f"{name}: {SCENARIO_OF[name].__doc__}", file=sys.stderr, flush=True)
            try:
                found = SCENARIO_OF[name](setting)
            except BenchError as error:
                notes.append(f"{name} gave no result: {error}")
                continue
            findings += found
            for finding in found:
                print("   ", *finding.row(), sep="  ", file=sys.stderr, flush=True)
    finally:
        upstream.stop()
        shutil.rmtree(folder, ignore_errors=True)
    console = Console(width=None if Console().is_terminal else 120)
    print_findings(findings, console)
    for note in notes:
        console.print(note, highlight=False)
    if options.output is not None:
        written = {"targets": [finding.as_json() for finding in findings], "notes": notes}
        options.output.write_text(json.dumps(written, indent=2) + "\n")
    return 1 if notes else 0


if __name__ == "__main__":
    sys.exit(main())
