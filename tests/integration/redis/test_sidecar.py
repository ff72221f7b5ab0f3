"""Real sidecars that follow a real Redis, and every way in which it goes away (spec 5.4)."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import MakeSidecar
from tests.integration.redis.conftest import MakeRedis
from tests.integration.redis.policies import Publishing
from tests.integration.redis.servers import FaultProxy, RedisServer
from tests.integration.sidecar import ACME, ROUTE_FILE, Sidecar
from tests.integration.upstream import LoggingUpstream
from tests.integration.waiting import RECOVERY_S, eventually

from sidegate.config.policy_file import read_policy
from sidegate.core.policy.document import PolicyDocument

DENIES = 'denies:\n  - {id: d1, who: user:ana, authorities: [write], on: "*"}\n'
MIN_REVISION = "X-Sidegate-Min-Revision: {}"


def document(text: str = ACME) -> PolicyDocument:
    """Read a policy file's text."""
    return read_policy(text.encode(), "acme.yaml").document


def publish(url: str, text: str = ACME) -> int:
    """Publish a policy file's text; returns its revision."""

    async def run() -> int:
        async with Publishing(url) as publisher:
            return (await publisher.publish(document(text))).revision

    return asyncio.run(run())


_sessions: dict[tuple[Path, str], str] = {}


def credential(sidecar: Sidecar, who: str) -> tuple[str]:
    """Return the header line of the one session of *who*, or of an API key."""
    if who.startswith("sg_"):
        return (f"X-API-Key: {who}",)
    token = _sessions.setdefault((sidecar.folder, who), sidecar.session(who))
    return (f"Cookie: __session={token}",)


def put(sidecar: Sidecar, who: str = "ana", *headers: str) -> tuple[int, str]:
    """Ask to write; returns the status and the reason of a refusal.

    A person has one session for the whole test: whether a session that was never seen may be used is not known while
    Redis is away, and another matter.
    """
    answer = sidecar.ask("PUT", ROUTE_FILE, who=None, headers=(*credential(sidecar, who), *headers))
    reason = json.loads(answer.body)["reason"] if answer.status >= 400 else ""
    return answer.status, reason


@pytest.fixture
def follow(make_sidecar: MakeSidecar) -> Callable[..., Sidecar]:
    """Return a maker of running sidecars that follow the Redis at an address."""

    def make(url: str, *, workers: int = 1, **policy: Any) -> Sidecar:
        # The default patience of 250 ms is for services: a test machine may be busy for longer.
        settings = {"policy": {"source": url, "timeout_ms": 2000, **policy}, "workers": workers}
        return make_sidecar(settings=settings, policies={}).start(workers)

    return make


Follow = Callable[..., Sidecar]


class TestServing:
    """Requests are decided by what was published."""

    def test_published_deny(self, redis: RedisServer, follow: Follow) -> None:
        """First use loads, an event changes, a revision can be asked for, and records name it."""
        first = publish(redis.url)
        sidecar = follow(redis.url)
        eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        assert put(sidecar, "nobody") == (403, "not_a_member")
        second = publish(redis.url, ACME + DENIES)
        assert put(sidecar, "ana", MIN_REVISION.format(second)) == (403, "denied_by_rule")
        assert put(sidecar, "ana", MIN_REVISION.format(second + 100_000)) == (503, "revision_unavailable")
        assert put(sidecar, "ana", MIN_REVISION.format("x")) == (400, "malformed_request")
        named = [record["revision"] for record in sidecar.decisions() if record["actor"]]
        assert named[0] == first
        assert second in named
        eventually(lambda: sidecar.metric("sidegate_snapshot_revision_lag") == 0, "nothing is behind")

    def test_api_key(self, redis: RedisServer, follow: Follow) -> None:
        """A key is found by its id; one that nobody has is a wrong one, not a missing policy."""
        sidecar = follow(redis.url)
        key, record = sidecar.mint_key("--account", "service:ci", "--org", "acme", "--authorities", "write")
        assert put(sidecar, key) == (401, "invalid_credential")
        publish(redis.url, ACME + f"keys:\n  - {json.dumps(record)}\n")
        eventually(lambda: put(sidecar, key) == (200, ""), "the key is known")
        publish(redis.url)
        eventually(lambda: put(sidecar, key) == (401, "invalid_credential"), "the key is gone")

    def test_workers(self, redis: RedisServer, follow: Follow) -> None:
        """Every worker follows for itself."""
        publish(redis.url)
        sidecar = follow(redis.url, workers=2)
        for _ in range(8):
            eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        revision = publish(redis.url, ACME + DENIES)
        for _ in range(8):
            assert put(sidecar, "ana", MIN_REVISION.format(revision)) == (403, "denied_by_rule")

    def test_preload(self, redis: RedisServer, follow: Follow) -> None:
        """A preloaded organization is decided even if Redis went before anybody asked."""
        publish(redis.url)
        sidecar = follow(redis.url, preload=["acme"])
        eventually(lambda: sidecar.metric("sidegate_subjects_cached") == 4, "all of it is loaded")
        assert put(sidecar) == (200, ""), sidecar.log.read_text()


class Fault:
    """A way to take Redis away and to bring it back as it was."""

    def __init__(self, name: str, take: Callable[..., None], give: Callable[..., None]) -> None:
        self.name = name
        self.take = take
        self.give = give


FAULTS = [
    Fault("frozen", lambda server, proxy: server.freeze(), lambda server, proxy: server.thaw()),
    Fault("cut-off", lambda server, proxy: proxy.cut(), lambda server, proxy: proxy.heal()),
    Fault("reset", lambda server, proxy: proxy.sever(), lambda server, proxy: proxy.heal()),
    Fault("killed-and-restored", lambda server, proxy: server.kill(), lambda server, proxy: server.launch()),
]


@pytest.fixture
def kept_redis(make_redis: MakeRedis) -> RedisServer:
    """Return a server that has its data again after it was killed."""
    return make_redis("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def network(kept_redis: RedisServer) -> Iterator[FaultProxy]:
    """Return a faulty network before ``kept_redis``."""
    proxy = FaultProxy(kept_redis.port)
    yield proxy
    proxy.close()


def wrong_keys(sidecar: Sidecar) -> list[str]:
    """Return what `/v1/snapshot` says is wrong."""
    return [error["key"] for error in json.loads(sidecar.ask_admin("/v1/snapshot").text)["errors"]]


def changes_of_state(sidecar: Sidecar) -> list[str]:
    """Return what the log says about the policy's Redis."""
    return [event["event"] for event in sidecar.events() if event["event"] in {"redis_lost", "redis_connected"}]


class TestAway:
    """In mid-flight, and at start: nobody is allowed what policy would not give, nobody waits long, all comes back."""

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
    def test_mid_flight(self, fault: Fault, kept_redis: RedisServer, network: FaultProxy, follow: Follow) -> None:
        """Known accounts are decided from memory, others refused; a change made meanwhile is in force after it."""
        publish(kept_redis.url)
        sidecar = follow(network.url, max_staleness={"default": "10m"})
        eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        fault.take(kept_redis, network)
        eventually(lambda: sidecar.metric("sidegate_redis_up") == 0, "the loss is seen")
        assert put(sidecar) == (200, "")
        assert put(sidecar, "vera") == (503, "policy_unavailable")
        probe = sidecar.ask_admin("/readyz?verbose")
        assert (probe.status, "[-]redis failed (not required): redis at redis://127.0.0.1" in probe.text) == (200, True)
        eventually(lambda: wrong_keys(sidecar) == ["policy.source"], "it says why")
        fault.give(kept_redis, network)
        eventually(kept_redis.answers, "redis is back")
        revision = publish(kept_redis.url, ACME + DENIES)
        eventually(lambda: put(sidecar) == (403, "denied_by_rule"), "the change is in force", RECOVERY_S)
        asked = MIN_REVISION.format(revision)
        eventually(lambda: put(sidecar, "vera", asked) == (403, "not_granted"), "others are decided", RECOVERY_S)
        eventually(lambda: "[+]redis ok" in sidecar.ask_admin("/readyz?verbose").text, "it is told", RECOVERY_S)
        (acme,) = json.loads(sidecar.ask_admin("/v1/snapshot").text)["organizations"]
        assert (acme["revision"], acme["subjects_cached"]) == (revision, 2)
        assert {name: acme["counts"][name] for name in ("members", "bindings", "denies")} == {
            "members": 2,
            "bindings": 3,
            "denies": 1,
        }
        changes = changes_of_state(sidecar)
        # Two links, of the policy and of sessions: each says once that it is there, and one line for each change.
        assert changes.count("redis_lost") in {1, 2}
        assert changes.count("redis_connected") == 2 + changes.count("redis_lost")

    def test_longer_than_allowed(self, own_redis: RedisServer, follow: Follow, upstream: LoggingUpstream) -> None:
        """The upstream is warned; after the limit what it is for is refused, whatever is in memory."""
        publish(own_redis.url)
        sidecar = follow(own_redis.url, max_staleness={"default": "20s", "write": "700ms"})
        eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        own_redis.freeze()
        eventually(lambda: put(sidecar) == (503, "policy_unavailable"), "writing is over")
        assert b"X-Sidegate-Policy-Age: " not in upstream.seen

        def warned() -> bool:
            assert sidecar.ask("GET", ROUTE_FILE, headers=credential(sidecar, "ana")).status == 200
            return b"X-Sidegate-Policy-Age: " in upstream.seen

        eventually(warned, "the upstream is warned")
        own_redis.thaw()
        eventually(lambda: put(sidecar) == (200, ""), "writing is back", RECOVERY_S)

    def test_empty_after_restart(self, own_redis: RedisServer, follow: Follow) -> None:
        """A Redis that comes back empty takes nobody's policy away, and is alarmed about; publishing mends it."""
        publish(own_redis.url)
        sidecar = follow(own_redis.url)
        eventually(lambda: put(sidecar) == (200, ""), "policy is loaded")
        own_redis.kill()
        own_redis.start()
        eventually(lambda: sidecar.metric("sidegate_snapshot_load_failures_total") >= 1, "it is alarmed about")
        assert put(sidecar, "vera")[0] == 503
        publish(own_redis.url, ACME + DENIES)
        eventually(lambda: put(sidecar) == (403, "denied_by_rule"), "the new one is in force", RECOVERY_S)

    def test_away_at_start(self, own_redis: RedisServer, follow: Follow, make_sidecar: MakeSidecar) -> None:
        """A sidecar starts without Redis, refuses everything, and begins to serve by itself."""
        publish(own_redis.url)
        own_redis.freeze()
        sidecar = make_sidecar(settings={"policy": {"source": own_redis.url}}, policies={})
        sidecar.launch()
        eventually(lambda: any(event["event"] == "redis_lost" for event in sidecar.events()), "it says what is wrong")
        own_redis.thaw()
        eventually(lambda: any(event["event"] == "redis_connected" for event in sidecar.events()), "it is found")

    def test_wrong_password(self, make_redis: MakeRedis, make_sidecar: MakeSidecar, tmp_path: Path) -> None:
        """Said in the log; with the right password, from a file, it serves."""
        server = make_redis("--requirepass", "right")
        publish(f"redis://:right@127.0.0.1:{server.port}")
        sidecar = make_sidecar(settings={"policy": {"source": f"redis://:wr0ng@127.0.0.1:{server.port}"}}, policies={})
        sidecar.launch()
        why = eventually(
            lambda: next((event["why"] for event in sidecar.events() if event["event"] == "redis_lost"), None), "said"
        )
        assert "set the password" in why
        assert "wr0ng" not in sidecar.log.read_text()
