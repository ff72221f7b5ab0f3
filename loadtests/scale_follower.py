"""A follower of policy in Redis that measures itself; told what to do on standard input by :mod:`loadtests.scale`."""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from sidegate.app.garbage import leave_alone
from sidegate.core.engine.decide import decide
from sidegate.core.model.authority import Authority
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.distribution.ports import Fetched, Want
from sidegate.distribution.redis_cache import PolicyCache
from sidegate.distribution.redis_follower import ChangeFollower
from sidegate.distribution.redis_source import RedisPolicies, SourceLimits
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.log import LogLevel, configure_log
from sidegate.telemetry.tasks import TaskSet

_EVERY_S = 0.000_5
_AT_ONCE = 32
_TASKS = Path("/proc/self/task")


def _delayed_ns() -> int:
    """Return for how long threads of this process could run and the machine ran somebody else."""
    total = 0
    for task in _TASKS.iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[1])
        except OSError:
            continue  # it has just ended
    return total


class Pauses:
    """The longest that a timer of the loop was late."""

    def __init__(self) -> None:
        self.longest = self.longest_own = 0.0

    async def watch(self) -> None:
        """Look again and again."""
        delayed = _delayed_ns()
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_EVERY_S)
            late = time.perf_counter() - began - _EVERY_S
            now = _delayed_ns()
            own = late - (now - delayed) / 1e9
            delayed = now
            self.longest, self.longest_own = max(self.longest, late), max(self.longest_own, own)

    def take(self) -> dict[str, object]:
        """Return the longest ones since the last time, in milliseconds."""
        found = {"pause_ms": round(self.longest * 1000, 1), "pause_own_ms": round(self.longest_own * 1000, 1)}
        self.longest = self.longest_own = 0.0
        return dict(found)


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)


class Follower:
    """What a sidecar has of policy, without a proxy.

    Args:
        url: Of Redis.
        scenario: ``many`` organizations with two members each, or one ``large`` one.
        folder: For the cache on disk.
    """

    def __init__(self, url: str, scenario: str, folder: Path) -> None:
        self._scenario = scenario
        self._stride = 1
        self._clock = SystemClock()
        self._link = open_link(url, timeout=Millis(5000))
        self.policies = RedisPolicies(
            self._link, self._clock, limits=SourceLimits(subjects=20_000, patience=Millis(5000))
        )
        self._changes = ChangeFollower(self._link, self.policies, self._clock)
        self._cache = PolicyCache(
            folder, "w0", url, max_bytes=1 << 27, max_read_bytes=1 << 27, max_age=Millis(900_000), clock=self._clock
        )
        self.pauses = Pauses()

    async def run(self) -> None:
        """Follow, and do what is asked line by line."""
        tasks = TaskSet()
        self._link.start(tasks)
        self.policies.start(tasks)
        self._changes.start(tasks)
        self._cache.start(self.policies, tasks)
        tasks.spawn(self.pauses.watch(), "pauses")
        while self.policies.checked_at is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # As every process of a sidecar does once it has started.
        leave_alone()
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            self.pauses.take()
            answer = await self.do(*line.split())
            print(json.dumps({**answer, **self.pauses.take()}), flush=True)

    async def do(self, what: str, *words: str) -> dict[str, object]:
        """Do one thing; returns its figures."""
        match what:
            case "load":
                self._stride = int(words[1]) if len(words) > 1 else 1
                before, began = _rss_mib(), time.monotonic()
                await self._load_all(int(words[0]))
                seconds = time.monotonic() - began
                await asyncio.sleep(2)  # the cache on disk is written meanwhile
                return {
                    "subjects": self.policies.subjects_cached,
                    "seconds": round(seconds, 1),
                    "grown_mib": round(_rss_mib() - before, 1),
                    "rss_mib": round(_rss_mib(), 1),
                }
            case "load-one":
                times = [await self._timed(int(words[0]) + number) for number in range(int(words[1]))]
                times.sort()
                return {"p50_ms": round(times[len(times) // 2], 2), "max_ms": round(times[-1], 2)}
            case "await-group":
                began = time.monotonic()
                while self.policies.missing("large", words[1], int(words[0])) is not None:
                    await self._fetch(Want("large", words[1], int(words[0])))
                applied = time.monotonic() - began
                await asyncio.sleep(0.5)
                return {"applied_ms": round(applied * 1000, 1)}
            case "use":
                await self._load_all(int(words[0]))
                await asyncio.sleep(0.5)
                return {}
            case "await":
                began = time.monotonic()
                while self.policies.missing("large", words[1], int(words[0])) is not None:
                    await self._fetch(Want("large", words[1], int(words[0])))
                await asyncio.sleep(0.3)
                return {"applied_ms": round((time.monotonic() - began - 0.3) * 1000, 1)}
            case "settle":
                before = time.monotonic()
                await asyncio.sleep(3)
                await self._load_all(int(words[0]))
                await asyncio.sleep(3)
                return {"seconds": round(time.monotonic() - before - 6, 1), "rss_mib": round(_rss_mib(), 1)}
            case _:
                raise ValueError(what)

    async def _timed(self, number: int) -> float:
        began = time.perf_counter()
        await self._use(number)
        return (time.perf_counter() - began) * 1000

    async def _load_all(self, count: int) -> None:
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                await self._use(number)

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def _use(self, number: int) -> None:
        """Decide about one account, fetched first."""
        org, account = (
            ("large", f"user:u{number}") if self._scenario == "large" else (f"org{number * self._stride}", "user:ana")
        )
        while self.policies.missing(org, account, 0) is not None:
            await self._fetch(Want(org, account))
        credential = VerifiedCredential(
            kind=CredentialKind.SESSION, id="s", account=account, org=org, issued_at=UnixMillis(0)
        )
        query = Query(credential, Authority.READ, parse_target(org, "p1@main:a"), None)
        decide(self.policies.current, query, self._clock.now())
        await asyncio.sleep(0)

    async def _fetch(self, want: Want) -> None:
        told: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self.policies.fetch(want, told.set_result)
        await told


if __name__ == "__main__":
    configure_log(level=LogLevel.WARNING)
    with tempfile.TemporaryDirectory() as kept:
        uvloop.install()
        asyncio.run(Follower(sys.argv[1], sys.argv[2], Path(kept)).run())
