"""What size costs when policy is in Redis (spec 5.2, 5.3, 7): a million organizations, one with a million bindings.

    python -m loadtests.scale                                # everything on a redis-server of its own, some minutes
    python -m loadtests.scale --organizations 100000         # fewer
    python -m loadtests.scale --redis redis://127.0.0.1:6379 # one that generate_organizations has filled already
    python -m loadtests.scale --only large --realtime        # the large organization alone; as root, before all else
    python -m loadtests.scale --only file                    # publishing it from files, YAML and JSON

Prints one line of JSON for each measurement. Pauses are of the event loop of a follower: how much later than asked for
a timer fires, and how much of that is left without the time for which the machine ran somebody else. With
``--realtime`` (as root) followers, and who changes single entries, run before everything else that the machine does.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from loadtests.generate_organizations import fill, write_large
from loadtests.processes import hurry
from scripts.issuer import Issuer
from tests.integration.redis.servers import RedisServer, free_ports, talk
from tests.integration.sidecar import ISSUER, Sidecar
from tests.integration.upstream import LoggingUpstream

from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis
from sidegate.core.policy.document import BindingEntry
from sidegate.core.policy.patch import PolicyPatch, Put
from sidegate.distribution.redis_publish import Publisher
from sidegate.distribution.redis_records import StoredSubject
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import SystemClock

ROUNDS = 20
EACH = 10
WORKING_SET = 10_000


is_realtime = False


def tell(what: str, **figures: object) -> None:
    """Print one measurement."""
    print(json.dumps({"what": what, **figures}), flush=True)


def start_sidecar(folder: Path, url: str) -> None:
    """Measure the start of a real sidecar that follows the Redis at *url*, and its memory."""
    upstream = LoggingUpstream()
    sidecar = Sidecar(folder, upstream.url, Issuer(ISSUER), settings={"policy": {"source": url}}, policies={})
    try:
        times: list[float] = []
        rss = 0.0
        for _ in range(5):
            began = time.monotonic()
            sidecar.start()
            times.append((time.monotonic() - began) * 1000)
            rss = _rss_mib(sidecar.pid)
            sidecar.stop()
        keys = talk(int(url.rpartition(":")[2]), "DBSIZE")[1:]
        tell("start", keys_in_redis=int(keys), ready_ms=round(min(times)), rss_mib=round(rss, 1))
    finally:
        sidecar.close()
        upstream.close()


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1]
    return int(status.split()[0]) / 1024


def follow(url: str, scenario: str) -> "subprocess.Popen[str]":
    """Start a follower; see :mod:`loadtests.scale_follower`."""
    command = [sys.executable, "-m", "loadtests.scale_follower", url, scenario]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Followed:
    """A follower in a process of its own, that is told what to do line by line."""

    def __init__(self, url: str, scenario: str) -> None:
        self._process = follow(url, scenario)
        if is_realtime:
            hurry(self._process.pid)

    def ask(self, *words: object) -> dict[str, object]:
        """Have it do something; returns what it measured."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        answer: dict[str, object] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def working_set(url: str, organizations: int) -> None:
    """Measure the memory of 10,000 subjects of as many organizations, and the pauses of loading them."""
    follower = Followed(url, "many")
    try:
        stride = max(1, organizations // WORKING_SET)
        tell("working set of 10,000 organizations", **follower.ask("load", WORKING_SET, stride))
    finally:
        follower.close()


async def publish_large(url: str, members: int, *, group: int) -> None:
    """Publish the organization ``large``: members with ten bindings each, and a group with so many of its own."""
    from loadtests.generate_organizations import large_organization  # noqa: PLC0415  it needs half a gigabyte

    document = large_organization(members, EACH)
    of_group = tuple(BindingEntry(f"g{n}", "group:all", "Viewer", parse_scope(f"q{n}")) for n in range(group))
    document = replace(document, bindings=(*document.bindings, *of_group))
    link = open_link(url, timeout=Millis(120_000))
    began = time.monotonic()
    await Publisher(link, SystemClock()).publish(document)
    tell("publish whole", bindings=len(document.bindings), seconds=round(time.monotonic() - began, 1))
    await link.close()


async def patch_group(url: str, follower: Followed, members: int) -> None:
    """Change one of the group's bindings, again and again, by the library and by the command, as its operator would."""
    if is_realtime:
        hurry(os.getpid())
    link = open_link(url, timeout=Millis(30_000))
    publisher = Publisher(link, SystemClock())
    times: list[float] = []
    pauses: list[dict[str, object]] = []
    used: list[dict[str, object]] = []
    for turn in range(ROUNDS):
        role = "Designer" if turn % 2 else "Viewer"
        given = BindingEntry(f"g{turn * 37 % members}", "group:all", role, parse_scope(f"q{turn}"))
        began, cpu = time.monotonic(), time.process_time()
        _, published = await publisher.patch(PolicyPatch("large", Put(bindings=(given,))))
        times.append((time.monotonic() - began) * 1000)
        cpu = time.process_time() - cpu
        pauses.append(await asyncio.to_thread(follower.ask, "await-group", published.revision, "user:u1"))
        pauses[-1]["publisher_cpu_ms"] = round(cpu * 1000, 1)
        # Every account in memory is compiled anew when it is next used.
        used.append(await asyncio.to_thread(follower.ask, "use", 1000))
    tell("change of a group's binding", **_summary(times), follower=_worst(pauses), applied_ms=_applied(pauses))
    tell("1,000 accounts used after it, 32 of them in each turn", follower=_worst(used))
    await link.close()
    command: list[float] = []
    bare: list[float] = []
    for turn in range(10):
        text = json.dumps(
            {
                "organization": "large",
                "put": {"bindings": [{"id": f"g{turn}", "who": "group:all", "role": "Reviewer", "on": f"q{turn}"}]},
            }
        )
        command.append(_run(text, "policy", "patch", "-", "--quiet", "--redis", url))
        bare.append(_run("", "policy", "patch", "--help"))
    tell("the same by the command", **_summary(command), help_alone_ms=_summary(bare)["publish_ms"])


def _run(text: str, *words: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "sidegate", *words], input=text, text=True, check=True, capture_output=True)
    return (time.monotonic() - began) * 1000


def _summary(times: list[float]) -> dict[str, object]:
    ordered = sorted(times)
    return {
        "publish_ms": {
            "min": round(ordered[0], 1),
            "p50": round(ordered[len(ordered) // 2], 1),
            "max": round(ordered[-1], 1),
        }
    }


def _worst(pauses: list[dict[str, object]]) -> dict[str, object]:
    return max(pauses, key=lambda one: float(str(one["pause_own_ms"])))


def _applied(pauses: list[dict[str, object]]) -> dict[str, object]:
    return cast("dict[str, object]", _summary([float(str(one["applied_ms"])) for one in pauses])["publish_ms"])


async def amend(url: str, follower: Followed, accounts: int) -> None:
    """Change one binding of each of so many accounts at once, again and again, and see what a follower does."""
    link = open_link(url, timeout=Millis(30_000))
    publisher = Publisher(link, SystemClock())
    times: list[float] = []
    pauses: list[dict[str, object]] = []
    for turn in range(ROUNDS if accounts == 1 else 3):
        names = [f"user:u{number}" for number in range(turn, turn + accounts)]
        began = time.monotonic()
        published = await publisher.amend("large", names, _another_project(f"p{turn}"))
        times.append((time.monotonic() - began) * 1000)
        pauses.append(await asyncio.to_thread(follower.ask, "await", published.revision, names[0]))
    tell("change", accounts=accounts, **_summary(times), follower=_worst(pauses))
    await link.close()


def _another_project(
    project: str,
) -> Callable[[Mapping[str, StoredSubject]], Mapping[str, StoredSubject]]:
    scope = parse_scope(project)

    def edit(stored: Mapping[str, StoredSubject]) -> Mapping[str, StoredSubject]:
        return {
            account: replace(subject, bindings=(replace(subject.bindings[0], on=scope), *subject.bindings[1:]))
            for account, subject in stored.items()
        }

    return edit


def large(url: str, members: int) -> None:
    """Measure one organization with so many members and ten times as many bindings."""
    asyncio.run(publish_large(url, members, group=0))
    follower = Followed(url, "large")
    try:
        tell("load", **follower.ask("load", WORKING_SET))
        tell("load one subject", **follower.ask("load-one", WORKING_SET, min(200, members - WORKING_SET)))
        asyncio.run(amend(url, follower, 1))
        asyncio.run(amend(url, follower, WORKING_SET))
        asyncio.run(publish_large(url, members, group=members))
        tell("replace header", **follower.ask("settle", WORKING_SET))
        asyncio.run(publish_large(url, members, group=members - 1))
        tell("replace header again", **follower.ask("settle", WORKING_SET))
        asyncio.run(patch_group(url, follower, members))
    finally:
        follower.close()


def from_file(url: str, folder: Path, members: int) -> None:
    """Measure publishing the large organization from a file, and publishing it again with one binding changed."""
    for suffix in ("json", "yaml"):
        file = folder / f"large.{suffix}"
        for role in ("Designer", "Reviewer"):
            write_large(file, members, EACH, role)
            began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-m", "sidegate", "policy", "publish", str(file), "--quiet", "--redis", url]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            tell(
                "publish a file",
                file=suffix,
                mib=file.stat().st_size >> 20,
                seconds=round(time.monotonic() - began, 1),
                cpu_s=round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 1),
                peak_mib=used.ru_maxrss >> 10,
            )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", help="one that is filled already; else one is started")
    parser.add_argument("--organizations", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=100_000, help="of the large organization, at least 20,000")
    parser.add_argument("--only", choices=("many", "large", "file"), help="one of the parts")
    parser.add_argument("--realtime", action="store_true", help="let what is measured run before all else; as root")
    given = parser.parse_args()
    if given.realtime:
        global is_realtime  # noqa: PLW0603  every follower that is started is to know
        is_realtime = True
    with tempfile.TemporaryDirectory() as folder:
        servers: list[RedisServer] = []

        def make(name: str) -> str:
            servers.append(RedisServer(Path(folder) / name, free_ports(1)[0]).start())
            return servers[-1].url

        try:
            if given.only in {None, "many"}:
                few = make("few")
                asyncio.run(fill(few, 10))
                start_sidecar(Path(folder) / "sidecar-few", few)
                url = given.redis
                if url is None:
                    url = make("many")
                    asyncio.run(fill(url, given.organizations))
                start_sidecar(Path(folder) / "sidecar-many", url)
                working_set(url, given.organizations)
            if given.only in {None, "large"}:
                large(make("large"), given.members)
            if given.only in {None, "file"}:
                from_file(make("file"), Path(folder), given.members)
        finally:
            for server in servers:
                server.kill()


if __name__ == "__main__":
    main()
