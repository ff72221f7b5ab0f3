"""The link against real servers of every kind, and against every way in which they go away."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.redis.conftest import MakeRedis
from tests.integration.redis.servers import Cluster, FaultProxy, RedisServer, SentinelSet
from tests.integration.waiting import RECOVERY_S

from sidegate.core.model.units import Millis
from sidegate.redis_link.errors import RedisAwayError, RedisRefusedError
from sidegate.redis_link.link import CONCURRENT_CALLS, Link, make_script, open_link, pairs
from sidegate.telemetry.log import LogFormat, configure_log
from sidegate.telemetry.tasks import TaskSet

OpenLink = Callable[..., Awaitable[Link]]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return what is logged."""
    stream = io.StringIO()
    configure_log(stream, LogFormat.JSON)
    yield stream
    configure_log()


def events(log: io.StringIO) -> list[str]:
    """Return the names of the events logged so far."""
    return [json.loads(line)["event"] for line in log.getvalue().splitlines()]


@pytest_asyncio.fixture
async def opened() -> AsyncIterator[OpenLink]:
    """Return a maker of links that are watched and have looked once."""
    tasks = TaskSet()
    links: list[Link] = []

    async def make(url: str, **options: Any) -> Link:
        link = open_link(url, **options)
        links.append(link)
        await link.look()
        link.start(tasks)
        return link

    yield make
    await tasks.close()
    for link in links:
        await link.close()


async def becomes(link: Link, *, up: bool, within_s: float = RECOVERY_S) -> None:
    """Wait until *link* says so."""
    changed = asyncio.Event()
    link.on_change(lambda _: changed.set())
    async with asyncio.timeout(within_s):
        while link.up is not up:
            await changed.wait()
            changed.clear()


ECHO = make_script("return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}")


async def exercise(link: Link) -> None:
    """Use every kind of command once."""
    assert await link.call("SET", "{a}k", "1", doing="setting") == b"OK"
    assert await link.call("GET", "{a}k", doing="getting") == b"1"
    assert await link.run_script(ECHO, ["{a}k"], ["z"], doing="running") == [b"{a}k", b"z", b"1"]
    assert await link.transact([("INCR", "{a}k"), ("GET", "{a}k")], key="{a}k", doing="counting") == [2, b"2"]
    many = await link.call_all([("HSET", "{a}h", "f", "v"), ("HGETALL", "{a}h")], key="{a}h", doing="asking")
    assert pairs(many[1]) == {b"f": b"v"}
    entry = await link.call("XADD", "{a}s", "*", "n", "1", doing="adding")
    assert await link.read_stream("{a}s", "0", count=9, block=Millis(50), doing="reading") == [(entry, {b"n": b"1"})]
    assert await link.read_stream("{a}s", "$", count=9, block=Millis(50), doing="reading") == []


class TestTopologies:
    """The same commands work whatever lies behind the address."""

    async def test_standalone(self, redis: RedisServer, opened: OpenLink) -> None:
        """One server."""
        link = await opened(redis.url)
        await exercise(link)
        assert link.up
        assert link.problem is None

    async def test_cluster(self, cluster: Cluster, opened: OpenLink) -> None:
        """Each key goes to the node that has its slot."""
        link = await opened(cluster.url, timeout=Millis(20_000))
        await exercise(link)
        for number in range(50):
            assert await link.call("SET", f"k{number}", number, doing="setting") == b"OK"

    @pytest.mark.slow
    async def test_sentinel_failover(self, sentinel_set: SentinelSet, opened: OpenLink, log: io.StringIO) -> None:
        """A master that dies is lost once, and its successor is found."""
        link = await opened(sentinel_set.url)
        await exercise(link)
        sentinel_set.master.kill()
        await becomes(link, up=False)
        await becomes(link, up=True, within_s=20)
        assert await link.call("SET", "after", "1", doing="setting") == b"OK"
        assert events(log) == ["redis_connected", "redis_lost", "redis_connected"]

    async def test_migrating_slot(self, cluster: Cluster, opened: OpenLink) -> None:
        """A key that has moved is found while its slot is on its way and afterwards."""
        link = await opened(cluster.url)
        assert await link.call("SET", "{m}k", "1", doing="setting") == b"OK"
        slot = int(cluster.nodes[0].command("CLUSTER", "KEYSLOT", "{m}k")[1:])
        old = cluster.node_of(slot)
        new = next(node for node in cluster.nodes if node is not old)
        await asyncio.to_thread(new.command, "CLUSTER", "SETSLOT", str(slot), "IMPORTING", cluster.id_of(old))
        await asyncio.to_thread(old.command, "CLUSTER", "SETSLOT", str(slot), "MIGRATING", cluster.id_of(new))
        assert await link.call("GET", "{m}k", doing="getting") == b"1"
        moved = await asyncio.to_thread(old.command, "MIGRATE", "127.0.0.1", str(new.port), "{m}k", "0", "1000")
        assert moved == "+OK"
        assert await link.call("GET", "{m}k", doing="getting") == b"1"
        for node in (new, old, *cluster.nodes):
            await asyncio.to_thread(node.command, "CLUSTER", "SETSLOT", str(slot), "NODE", cluster.id_of(new))
        assert await link.call("GET", "{m}k", doing="getting") == b"1"
        assert link.up


class Fault:
    """A way to take Redis away and give it back."""

    def __init__(self, name: str, take: Callable[[RedisServer], None], give: Callable[[RedisServer], None]) -> None:
        self.name = name
        self.take = take
        self.give = give


FAULTS = [
    Fault("stopped", RedisServer.freeze, RedisServer.thaw),
    Fault("killed", RedisServer.kill, lambda server: server.launch()),
]


class TestAway:
    """Nobody waits long, everybody is told, and it is found back by itself."""

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
    async def test_server_gone(self, fault: Fault, own_redis: RedisServer, opened: OpenLink, log: io.StringIO) -> None:
        """A call fails within its deadline, later ones at once; one line for each change."""
        link = await opened(own_redis.url)
        fault.take(own_redis)
        with pytest.raises(RedisAwayError, match="redis failed while getting"):
            await link.call("GET", "k", doing="getting")
        await becomes(link, up=False)
        before = time.process_time()
        for _ in range(1000):
            with pytest.raises(RedisAwayError):
                await link.call("GET", "k", doing="getting")
        assert time.process_time() - before < 5  # refused without a packet, let alone a deadline each
        assert link.problem is not None
        assert link.gauge() == 0
        fault.give(own_redis)
        await becomes(link, up=True)
        assert await link.call("GET", "k", doing="getting") is None
        assert events(log) == ["redis_connected", "redis_lost", "redis_connected"]

    @pytest.mark.parametrize("how", ["cut", "sever"])
    async def test_network_gone(self, how: str, fault_proxy: FaultProxy, opened: OpenLink, log: io.StringIO) -> None:
        """A network that drops or resets is the same as a server that is gone."""
        link = await opened(fault_proxy.url)
        getattr(fault_proxy, how)()
        with pytest.raises(RedisAwayError):
            await link.call("GET", "k", doing="getting")
        await becomes(link, up=False)
        fault_proxy.heal()
        await becomes(link, up=True)
        assert events(log) == ["redis_connected", "redis_lost", "redis_connected"]

    async def test_wrong_password(self, make_redis: MakeRedis, opened: OpenLink, log: io.StringIO) -> None:
        """Said clearly, without the password."""
        server = make_redis("--requirepass", "right")
        link = await opened(f"redis://:wr0ng-secret@127.0.0.1:{server.port}")
        assert not link.up
        assert link.problem is not None
        assert "set the password" in link.problem
        assert "wr0ng-secret" not in log.getvalue() + link.problem

    async def test_right_password(self, make_redis: MakeRedis, opened: OpenLink) -> None:
        """The one from the settings goes before the one in the address."""
        server = make_redis("--requirepass", "right")
        link = await opened(f"redis://:wrong@127.0.0.1:{server.port}", password="right")
        await exercise(link)

    async def test_burst_is_bounded(self, own_redis: RedisServer, opened: OpenLink) -> None:
        """A thousand callers at once share a few connections, and all fail within one deadline."""
        # Long enough for a busy machine: what is counted is connections, not time.
        link = await opened(own_redis.url, timeout=Millis(20_000))
        await asyncio.gather(*(link.call("GET", f"k{n}", doing="getting") for n in range(1000)))
        clients = await link.call("CLIENT", "LIST", doing="counting")
        assert isinstance(clients, bytes)
        assert 1 < clients.count(b"name=sidegate") <= CONCURRENT_CALLS + 1
        impatient = await opened(own_redis.url)
        own_redis.freeze()
        calls = (impatient.call("GET", f"k{n}", doing="getting") for n in range(1000))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in found} == {RedisAwayError}
        own_redis.thaw()

    async def test_blocking_read_ends(self, own_redis: RedisServer, opened: OpenLink) -> None:
        """A read that waits for entries notices that its server is gone."""
        link = await opened(own_redis.url)
        reading = asyncio.ensure_future(link.read_stream("s", "$", count=1, block=Millis(30_000), doing="following"))
        await link.call("PING", doing="asking")
        own_redis.kill()
        with pytest.raises(RedisAwayError, match="following"):
            await reading


class TestRefused:
    """An answer that is an error is told from no answer."""

    async def test_wrong_type(self, redis: RedisServer, opened: OpenLink) -> None:
        """The code says what it was; the link stays up."""
        link = await opened(redis.url, timeout=Millis(20_000))
        await link.call("SET", "k", "text", doing="setting")
        with pytest.raises(RedisRefusedError) as caught:
            await link.call("HGET", "k", "f", doing="reading")
        assert caught.value.code == "WRONGTYPE"
        with pytest.raises(RedisRefusedError):
            await link.transact([("HGET", "k", "f")], key="k", doing="reading")
        with pytest.raises(RedisRefusedError):
            await link.call_all([("GET", "k"), ("HGET", "k", "f")], key="k", doing="reading")
        assert link.up

    async def test_out_of_memory(self, make_redis: MakeRedis, opened: OpenLink) -> None:
        """A full server refuses writes and goes on answering reads."""
        server = make_redis("--maxmemory", "1mb", "--maxmemory-policy", "noeviction")
        link = await opened(server.url)
        with pytest.raises(RedisRefusedError) as caught:
            await link.call("SET", "k", "v" * 2_000_000, doing="setting")
        assert caught.value.code == "OOM"
        assert await link.call("GET", "l", doing="getting") is None
        assert link.up
