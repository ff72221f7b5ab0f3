"""`make bench-pauses`: every known cause of a pause of the event loop, provoked under a steady load, one by one.

    python -m loadtests.pauses
    python -m loadtests.pauses --only garbage,policy-folder --seconds 20 --where
    python -m loadtests.pauses --bindings 1000000 --only policy-folder,questions

Two things look for pauses, neither of them part of what is measured: a probe that notes every turn of the loop from
outside (:mod:`loadtests.turns`), and a client that sends at a constant rate and counts from when a request was due.
The probe tells the process's own time from what the machine gave others meanwhile, the client cannot: on a busy machine
give ``--realtime``, as root, which lets sidecar, upstream and client run before everything else.

With ``--where`` the stacks of long turns are printed.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests import pause_causes, pause_neighbours
from loadtests.openloop import Latency, run_pinned
from loadtests.pause_stage import Scene, Stage, provoking
from loadtests.peers import SidegateCompiled
from loadtests.processes import BenchError, Child, accepts, free_port, hurry
from loadtests.turns import Turns, build
from loadtests.variants import read_gauge
from rich.console import Console
from rich.table import Table

LIMIT_MS: Final = 5.0
"""Spec 7."""
_STACKS_SHOWN: Final = 3

CAUSES: Final[dict[str, Callable[[Stage], Scene]]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        pause_causes.quiet,
        pause_causes.garbage,
        pause_causes.policy_small,
        pause_causes.policy_folder,
        pause_causes.policy_large,
        pause_causes.policy_gone,
        pause_causes.policy_broken,
        pause_causes.accounts,
        pause_causes.rotation,
        pause_causes.checkpoints,
        pause_causes.synced,
        pause_causes.released,
        pause_causes.scrapes,
        pause_causes.questions,
        pause_causes.large_questions,
        pause_causes.taps,
        pause_causes.left,
        pause_causes.reset,
        pause_causes.idle_out,
        pause_causes.junk,
        pause_causes.json_bodies,
        pause_causes.pipelined,
        pause_causes.http2,
        pause_neighbours.keys_of_file,
        pause_neighbours.keys_by_url,
        pause_neighbours.redis_changes,
        pause_neighbours.redis_publications,
        pause_neighbours.redis_revocations,
        pause_neighbours.redis_outage,
        pause_neighbours.redis_emptied,
        pause_neighbours.certificates,
        pause_neighbours.streams_swept,
        pause_neighbours.streams_ended,
    )
}


@dataclass(frozen=True)
class Pause:
    """What one cause did.

    Attributes:
        name: Of the cause.
        about: For people.
        times: How often it was provoked.
        turns: What the probe saw.
        client: What the client saw.
        gauge_ms: ``sidegate_loop_lag_seconds`` at the end.
        stacks: What the loop was doing in long turns, if that was asked for.
    """

    name: str
    about: str
    times: int
    turns: Turns
    client: Latency
    gauge_ms: float
    stacks: str

    @property
    def is_short(self) -> bool:
        """Whether no turn was longer than it may be."""
        return self.turns.longest.own_ms <= LIMIT_MS

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        longest, over = self.turns.longest, self.turns.over
        return (
            self.name,
            str(self.times),
            f"{longest.own_ms:.1f}",
            f"{longest.cpu_ms:.1f}",
            f"{longest.wall_ms:.1f}",
            f"{over[2]} / {over[5]} / {over[10]} of {self.turns.count}",
            f"{self.client.p999_us / 1000:.1f}",
            f"{self.client.max_us / 1000:.1f}",
            f"{self.gauge_ms:.1f}",
            "met" if self.is_short else "NOT MET",
        )

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        longest = self.turns.longest
        return {
            "cause": self.name,
            "about": self.about,
            "times": self.times,
            "turns": self.turns.count,
            "longest_own_ms": longest.own_ms,
            "longest_cpu_ms": longest.cpu_ms,
            "longest_wall_ms": longest.wall_ms,
            "over_ms": self.turns.over,
            "client_p999_ms": self.client.p999_us / 1000,
            "client_max_ms": self.client.max_us / 1000,
            "gauge_ms": self.gauge_ms,
            "is_met": self.is_short,
        }


def observe(stage: Stage, name: str, *, seconds: float) -> Pause:
    """Provoke one cause again and again for *seconds*, under load.

    Raises:
        BenchError: The sidecar did not do what it should.
    """
    make = CAUSES[name]
    stage.over.clear()
    scene = make(stage)
    peer = scene.peer
    try:
        peer.start()
        if stage.realtime:
            hurry(peer.child.pid)
        scene.ready()
        request = peer.folder / "request.bin"
        request.write_bytes(scene.request)
        peer.watch.begin()
        with provoking(scene, stage.over) as times:
            client = run_pinned(
                peer.port,
                request,
                rate=scene.rate,
                seconds=seconds,
                core=stage.other,
                realtime=stage.realtime,
                tls=scene.tls,
                connections=scene.connections,
                also=scene.also,
            )
            turns = peer.watch.read()
        gauge_ms = read_gauge(peer, "sidegate_loop_lag_seconds") * 1000
        stacks = peer.stacks.read_text() if stage.where else ""
        return Pause(name, make.__doc__ or "", times(), turns, client, gauge_ms, stacks)
    finally:
        stage.over.set()
        peer.stop()
        for end in scene.over:
            end()


def print_pauses(found: list[Pause], console: Console) -> None:
    """Print the table, and the most frequent stacks of long turns."""
    table = Table(title=f"turns of the event loop, milliseconds; none may be longer than {LIMIT_MS:.0f} of its own")
    for title in (
        *("cause", "times", "longest, own", "computing", "in all", "turns > 2 / > 5 / > 10"),
        *("client p99.9", "client max", "loop lag", ""),
    ):
        table.add_column(title, justify="left" if title == "cause" else "right")
    for pause in found:
        table.add_row(*pause.row())
    console.print(table)
    for pause in found:
        seen = Counter(stack.strip() for stack in pause.stacks.split("Stack ")[1:])
        for stack, count in seen.most_common(_STACKS_SHOWN):
            console.print(
                f"\n{pause.name}, {count} times:\n{stack.partition(chr(10))[2]}", highlight=False, markup=False
            )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="pauses", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(CAUSES), help="which (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of load for each cause (%(default)s)")
    parser.add_argument("--bindings", type=int, default=100_000, help="of large policy folders (%(default)s)")
    parser.add_argument("--realtime", action="store_true", help="let what is measured run before all else")
    parser.add_argument("--compiled", action="store_true", help="measure the compiled copy")
    parser.add_argument("--where", action="store_true", help="say what long turns were doing")
    parser.add_argument("-o", "--output", type=Path, help="write the figures into this file as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in options.only.split(","):
        if name not in CAUSES:
            parser.error(f"`{name}` is not one of {', '.join(CAUSES)}")
    missing = SidegateCompiled.missing() if options.compiled else None
    if missing is not None:
        parser.error(f"there is no {missing}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    folder = Path(tempfile.mkdtemp(prefix="sidegate-pauses-"))
    port = free_port()
    command = [sys.executable, "-m", "loadtests.upstream", "--port", str(port)]
    upstream = Child("upstream", command, cores[-1], folder / "upstream.log")
    found: list[Pause] = []
    notes: list[str] = []
    try:
        upstream.wait_until(lambda: accepts(port))
        if options.realtime:
            hurry(upstream.pid)
        probe = build(folder)
        stage = Stage(
            *(folder, port, cores[0], cores[-1], probe),
            where=options.where,
            compiled=options.compiled,
            bindings=options.bindings,
            realtime=options.realtime,
        )
        for name in options.only.split(","):
            print(f"{name}: {CAUSES[name].__doc__}", file=sys.stderr, flush=True)
            try:
                found.append(observe(stage, name, seconds=options.seconds))
            except (BenchError, OSError, AssertionError) as error:
                notes.append(f"{name} gave no result: {error!r}")
                print("   ", notes[-1], file=sys.stderr, flush=True)
                continue
            print("   ", *found[-1].row(), sep="  ", file=sys.stderr, flush=True)
    finally:
        upstream.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print_pauses(found, Console(width=None if Console().is_terminal else 160))
    for note in notes:
        print(note)
    if options.output is not None:
        options.output.write_text(json.dumps([pause.as_json() for pause in found], indent=2) + "\n")
    return 1 if notes else 0


if __name__ == "__main__":
    sys.exit(main())
