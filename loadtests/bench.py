"""`make bench`: what a request costs through Sidegate and through others, measured side by side in one run.

    python -m loadtests.bench
    python -m loadtests.bench --rounds 5 --seconds 5 --peers sidegate,envoy --scenarios allowed,denied -o bench.json

Workload M of spec 7: GET of a 100-byte JSON at a path of six segments, keep-alive, 32 connections, a signed session
cookie, a policy of 1,000 bindings. The proxies run on one core, wrk and the upstream on another. Rounds are taken in
turn (A B C A B C …), so that a busy moment of the machine does not fall on one proxy alone. Every answer must have the
right status and size, and Sidegate must have recorded every request, else there is no result. Latencies are those of a
client that keeps a constant rate, half of what the proxy takes.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from loadtests.chart import draw
from loadtests.contenders import PEERS
from loadtests.measurement import Added, Measurement, measure, measure_added
from loadtests.peers import Peer
from loadtests.processes import BenchError, Child, accepts, ask, free_port
from loadtests.report import BASE, Key, as_json, print_table, summarize
from loadtests.workload import SCENARIOS, Workload

UNAVAILABLE = 69


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (%(default)s)")
    parser.add_argument("--seconds", type=int, default=4, help="length of one measurement (%(default)s)")
    parser.add_argument("--peers", default=",".join(PEERS), help="which proxies (%(default)s)")
    parser.add_argument(
        "--scenarios",
        default=",".join(SCENARIOS),
        help="which requests; all but `allowed` only for Sidegate itself (%(default)s)",
    )
    parser.add_argument("--all-scenarios", action="store_true", help="all scenarios for every proxy that decides")
    parser.add_argument("--no-latency", action="store_true", help="leave the rounds at a constant rate out")
    parser.add_argument("-o", "--output", type=Path, help="write the figures into this file as JSON")
    parser.add_argument("--chart", type=Path, help="draw the CPU time into this file as SVG")
    parser.add_argument("--keep", type=Path, help="keep configurations and logs in this folder")
    options = parser.parse_args(arguments)
    for given, known in ((options.peers, PEERS), (options.scenarios, SCENARIOS)):
        for name in given.split(","):
            if name not in known:
                parser.error(f"`{name}` is not one of {', '.join(known)}")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return options


def main() -> int:
    """Measure and print."""
    options = parse_arguments()
    # Whoever ends it by SIGTERM wants what it started to be ended, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if shutil.which("wrk") is None or shutil.which("taskset") is None:
        print("bench: wrk and taskset are needed; run scripts/install-bench.sh", file=sys.stderr)
        return UNAVAILABLE
    cores = sorted(os.sched_getaffinity(0))
    notes = _notes(cores)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="sidegate-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"bench: {folder} is not empty; name another folder with --keep", file=sys.stderr)
        return 2
    try:
        measured, added, abouts = _run(options, folder, cores, notes)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    base: Key | None = (BASE, "allowed") if (BASE, "allowed") in measured else None
    rows = summarize(measured, added, abouts, base)
    print_table(rows, base, notes)
    found = as_json(rows, base, notes)
    if options.output is not None:
        options.output.write_text(json.dumps(found, indent=2) + "\n")
    if options.chart is not None:
        # As whoever draws from the file would see them.
        options.chart.write_text(draw(json.loads(json.dumps(found))["rows"]))
    return 0


def _notes(cores: list[int]) -> list[str]:
    if len(cores) > 1:
        return []
    return ["Only one CPU is at hand: load generator and upstream share it with the proxies. Times say little here."]


def _run(
    options: argparse.Namespace, folder: Path, cores: list[int], notes: list[str]
) -> tuple[dict[Key, list[Measurement]], dict[Key, list[Added]], dict[Key, str]]:
    workload = Workload(folder)
    core, other = cores[0], cores[-1]
    upstream = free_port()
    command = [sys.executable, "-m", "loadtests.upstream", "--port", str(upstream)]
    children = [Child("upstream", command, other, folder / "upstream.log")]
    measured: dict[Key, list[Measurement]] = {}
    added: dict[Key, list[Added]] = {}
    peers: list[Peer] = []
    abouts: dict[Key, str] = {}
    try:
        children[0].wait_until(lambda: accepts(upstream))
        _start_peers(options.peers.split(","), peers, workload, upstream, cores=(core, other), notes=notes)
        for number in range(options.rounds):
            for peer in peers:
                for name in _scenarios_of(peer, options):
                    _say(f"round {number + 1}/{options.rounds}: {peer.name} {name}")
                    result = measure(peer, workload, SCENARIOS[name], seconds=options.seconds, core=other)
                    measured.setdefault((peer.name, name), []).append(result)
                    if name == "allowed" and not options.no_latency:
                        later = measure_added(
                            peer,
                            workload,
                            SCENARIOS[name],
                            rate=result.per_second / 2,
                            seconds=options.seconds,
                            core=other,
                        )
                        added.setdefault((peer.name, name), []).append(later)
                    abouts[peer.name, name] = peer.about if name == "allowed" else SCENARIOS[name].about
        served = int(ask(upstream, b"GET /-/count HTTP/1.1\r\n\r\n").rpartition(b"\r\n")[2])
        notes.append(f"{sum(one.requests for all_ in measured.values() for one in all_):,} answers, all as expected; ")
        notes[-1] += f"the upstream served {served:,} requests, warm-ups included."
    finally:
        for peer in reversed(peers):
            peer.stop()
        for child in children:
            child.stop()
    return measured, added, abouts


def _start_peers(
    names: list[str], peers: list[Peer], workload: Workload, upstream: int, *, cores: tuple[int, int], notes: list[str]
) -> None:
    """Start what is named and installed; *peers* is filled as they start, so that all of them can be ended."""
    for name in names:
        missing = PEERS[name].missing()
        if missing is not None:
            notes.append(f"{name} was left out: it needs {missing}.")
            _say(notes[-1])
            continue
        peers.append(PEERS[name](workload, upstream, *cores))
        peers[-1].start()
    if not peers:
        raise BenchError("nothing is left to be measured")


def _scenarios_of(peer: Peer, options: argparse.Namespace) -> list[str]:
    chosen = options.scenarios.split(",")
    if peer.name in {"sidegate", "sidegate-compiled"} or (options.all_scenarios and peer.decides):
        return [str(name) for name in chosen]
    return ["allowed"]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
