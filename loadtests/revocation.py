"""How soon a revocation is enforced everywhere (spec 5.3): real sidecars under requests, and many bare followers.

``python -m loadtests.revocation [ROUNDS]`` starts a redis-server, four sidecars and 96 followers on the loopback. In
each round a session is used at every sidecar, then revoked. Two times are measured from the moment at which that is
acknowledged: until the last request was sent that was still forwarded, per sidecar; until it was told, per follower.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import uvloop
from scripts.issuer import Issuer
from tests.integration.client import Client
from tests.integration.redis.servers import RedisServer, free_ports
from tests.integration.sidecar import ISSUER, ROUTE_FILE, Sidecar
from tests.integration.upstream import LoggingUpstream

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.units import Millis
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.opaque import NewSession, create_session, digest_session, revoke
from sidegate.credentials.redis_state import RedisState
from sidegate.credentials.redis_store import RedisStore
from sidegate.credentials.registry import RedisRegistry
from sidegate.redis_link.link import open_link
from sidegate.telemetry import clock
from sidegate.telemetry.tasks import TaskSet

SIDECARS: Final = 4
FOLLOWERS: Final = 96
FOLLOWER_PROCESSES: Final = 2
ROUNDS: Final = 100
_AFTER_S: Final = 0.15
_BETWEEN_S: Final = 0.002
"""Between two requests at one sidecar: a hundred followers on two cores need some of them too."""
_LIMITS: Final = SessionLimits(Millis(1_800_000), Millis(43_200_000))
_PATIENCE: Final = Millis(5000)


async def follow(url: str, followers: int) -> None:
    """Follow with so many states, each over connections of its own; print a line for each revocation told."""
    tasks = TaskSet()
    heard: list[tuple[str, int]] = []
    for number in range(followers):
        link = open_link(url, timeout=_PATIENCE)
        state = RedisState(RedisStore(link), clock.SystemClock(), tasks, patience=_PATIENCE)

        def told(event: Revoked) -> None:
            heard.append((event.id, time.monotonic_ns()))

        await link.look()
        link.start(tasks)
        await state.connect()
        state.subscribe(told)
        tasks.spawn(state.run(), f"follow_{number}")
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(heard), flush=True)
    os._exit(0)


class Asker(threading.Thread):
    """Asks one sidecar every few milliseconds with a session, on one connection."""

    def __init__(self, sidecar: Sidecar, cookie: str) -> None:
        super().__init__(daemon=True)
        self._sidecar = sidecar
        self._cookie = cookie
        self.sent: list[tuple[int, int]] = []
        self.used = threading.Event()
        self.stopping = threading.Event()

    def run(self) -> None:
        """Ask until stopped; note when each request was sent and how it was answered."""
        request = f"GET {ROUTE_FILE} HTTP/1.1\r\nHost: a\r\nCookie: __session={self._cookie}\r\n\r\n".encode()
        with self._sidecar.connect() as client:
            while not self.stopping.is_set():
                self.sent.append((time.monotonic_ns(), _ask(client, request)))
                self.used.set()
                time.sleep(_BETWEEN_S)


def _ask(client: Client, request: bytes) -> int:
    client.send(request)
    return client.read_response().status


def percentile(times: Sequence[float], share: float) -> float:
    """Return the time that *share* of all are not above."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(rounds: int) -> dict[str, object]:
    """Run everything once. The machine's load before it and after it is told: on a busy one the figures are its own."""
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        redis = RedisServer(root / "redis", free_ports(1)[0]).start()
        upstream = LoggingUpstream()
        shared = {"sessions": {"redis": redis.url, "opaque": {"store": "redis"}}}
        issuer = Issuer(ISSUER)
        sidecars = [Sidecar(root / f"s{number}", upstream.url, issuer, settings=shared) for number in range(SIDECARS)]
        command = [sys.executable, "-m", "loadtests.revocation", "--follow", redis.url]
        followers = [
            subprocess.Popen(
                [*command, str(FOLLOWERS // FOLLOWER_PROCESSES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(FOLLOWER_PROCESSES)
        ]
        try:
            for sidecar in sidecars:
                sidecar.start()
            for follower in followers:
                assert follower.stdout is not None
                assert follower.stdout.readline() == "ready\n"
            acknowledged, enforced = _rounds(redis.url, sidecars, rounds)
            told = [one for follower in followers for one in json.loads(follower.communicate("")[0])]
        finally:
            for sidecar in sidecars:
                sidecar.close()
            for follower in followers:
                follower.kill()
            redis.kill()
            upstream.close()
    loads.append(os.getloadavg()[0])
    heard = [max(0, at - acknowledged[name]) / 1e6 for name, at in told]
    assert len(heard) == rounds * FOLLOWERS, f"{len(heard)} of {rounds * FOLLOWERS} were told"
    return {
        "rounds": rounds,
        "load": loads,
        "sidecars_ms": {"p50": percentile(enforced, 0.5), "p99": percentile(enforced, 0.99), "max": max(enforced)},
        "followers_ms": {"p50": percentile(heard, 0.5), "p99": percentile(heard, 0.99), "max": max(heard)},
    }


def _rounds(url: str, sidecars: Sequence[Sidecar], rounds: int) -> tuple[dict[str, int], list[float]]:
    acknowledged: dict[str, int] = {}
    enforced: list[float] = []
    with closing(RedisRegistry(url)) as registry:
        for _ in range(rounds):
            new = NewSession("user:ana", "acme", _LIMITS)
            cookie = create_session(registry, new, os.urandom(32), clock.now())
            name = str(digest_session(cookie))
            askers = [Asker(sidecar, cookie.decode()) for sidecar in sidecars]
            for asker in askers:
                asker.start()
            for asker in askers:
                assert asker.used.wait(20)
            revoke(registry, RevokedKind.SESSION, name, clock.now())
            acknowledged[name] = time.monotonic_ns()
            time.sleep(_AFTER_S)
            for asker in askers:
                asker.stopping.set()
                asker.join()
                allowed = [at for at, status in asker.sent if status == 200]
                assert asker.sent[-1][1] == 401, asker.sent[-1]
                enforced.append(max(0, allowed[-1] - acknowledged[name]) / 1e6)
    return acknowledged, enforced


if __name__ == "__main__":
    if sys.argv[1:2] == ["--follow"]:
        uvloop.run(follow(sys.argv[2], int(sys.argv[3])))  # as sidecars do: half the CPU per event
    else:
        print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS), indent=2))
