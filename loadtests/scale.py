"""What size costs when policy is in Redis (spec 5.2, 5.3, 7): a million organizations, one with a million bindings.

    python -m loadtests.scale                                # everything on a redis-server of its own, some minutes
    python -m loadtests.scale --organizations 100000         # fewer
    python -m loadtests.scale --redis redis://127.0.0.1:6379 # one that generate_organizations has filled already

Prints one line of JSON for each measurement. Pauses are of the event loop of a follower: how much later than asked for
a timer fires, and how much of that is left without the time for which the machine ran somebody else.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from loadtests.generate_organizations import fill
from scripts.issuer import Issuer
from tests.integration.redis.servers import RedisServer, free_ports, talk
from tests.integration.sidecar import ISSUER, Sidecar
from tests.integration.upstream import LoggingUpstream

from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis
from sidegate.core.policy.document import BindingEntry
from sidegate.distribution.redis_publish import Publisher
from sidegate.distribution.redis_records import StoredSubject
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import SystemClock

ROUNDS = 20
EACH = 10
WORKING_SET = 10_000


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


def working_set(url: str) -> None:
    """Measure the memory of 10,000 subjects of as many organizations."""
    follower = Followed(url, "many")
    try:
        tell("working set of 10,000 organizations", **follower.ask("load", WORKING_SET))
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
    worst = max(pauses, key=lambda one: str(one["pause_own_ms"]).zfill(9))
    times.sort()
    tell(
        "change",
        accounts=accounts,
        publish_ms={"p50": round(times[len(times) // 2], 1), "max": round(times[-1], 1)},
        follower=worst,
    )
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
    finally:
        follower.close()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", help="one that is filled already; else one is started")
    parser.add_argument("--organizations", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=100_000, help="of the large organization, at least 20,000")
    parser.add_argument("--only", choices=("many", "large"), help="one of the two parts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers: list[RedisServer] = []

        def make(name: str) -> str:
            servers.append(RedisServer(Path(folder) / name, free_ports(1)[0]).start())
            return servers[-1].url

        try:
            if given.only != "large":
                few = make("few")
                asyncio.run(fill(few, 10))
                start_sidecar(Path(folder) / "sidecar-few", few)
                url = given.redis
                if url is None:
                    url = make("many")
                    asyncio.run(fill(url, given.organizations))
                start_sidecar(Path(folder) / "sidecar-many", url)
                working_set(url)
            if given.only != "many":
                large(make("large"), given.members)
        finally:
            for server in servers:
                server.kill()


if __name__ == "__main__":
    main()
