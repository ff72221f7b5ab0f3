"""Records go on being made while the Redis of the audit stream fails in every way (spec 5.4, 5.6): none is lost, none
is there twice once it is stored, and their order is that of the chain."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from tests.integration.audit.records import KEY, decision, records_of
from tests.integration.redis.servers import Cluster, RedisServer, SentinelSet, talk

from sidegate.audit.collecting import Collecting, CollectingSettings
from sidegate.audit.consumer import StreamConsumer
from sidegate.audit.lake_reader import LakeReader
from sidegate.audit.lake_writer import Lake
from sidegate.audit.layout import list_segments, split_lines
from sidegate.audit.shipper import Shipper
from sidegate.audit.sinks.redis import SHIPPED_KEY, STREAM_KEY, RedisStreamSink
from sidegate.audit.spool import SpoolLimits
from sidegate.audit.stream import open_stream, read_chains
from sidegate.audit.trail import AuditTrail, TrailSettings
from sidegate.audit.verify import verify, verify_stream
from sidegate.core.model.errors import DependencyError
from sidegate.core.model.units import Millis
from sidegate.core.trail.checkpoint import CheckpointSigner, key_id_of
from sidegate.core.trail.filter import RecordFilter
from sidegate.core.trail.record import encode_decision_record
from sidegate.redis_link.link import open_link
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.tasks import TaskSet

SIDECAR = "host-w0"
KEYS = {key_id_of(KEY.public_key()): KEY.public_key()}
SOME = 60
"""Records between one thing and the next."""


async def soon(seconds: float) -> None:
    """Wait a fraction: what a shipper waits for half a minute is there sooner in a test."""
    await asyncio.sleep(min(seconds, 0.02))


class Shipped:
    """A trail that grows all the while, on its way into the stream at *url* and from there into Parquet."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.lake = folder / "lake"
        self.spool = folder / "audit"
        limits = SpoolLimits(segment_bytes=20_000, reserve_bytes=0)
        settings = TrailSettings(self.spool, SIDECAR, limits, checkpoint_records=50)
        self._trail = AuditTrail(settings, CheckpointSigner(KEY), SystemClock())
        self._tasks = TaskSet()
        self._is_writing = True
        self._written = 0

    async def __aenter__(self) -> Self:
        self._trail.open()
        self._sink = RedisStreamSink(open_link(self.url, timeout=Millis(2000)), self._tasks)
        shipper = Shipper(self.spool / SIDECAR, SIDECAR, self._trail, self._sink, soon)
        self._link = open_stream(self.url)
        settings = CollectingSettings(flush=Millis(100), take_over=Millis(300_000), keep=Millis(3_600_000))
        consumer = StreamConsumer(self._link, "parquet", "one")
        collecting = Collecting(consumer, Lake(self.lake), settings, SystemClock().now)
        self._tasks.spawn(self._write(), "write")
        self._tasks.spawn(shipper.run(), "ship")
        self._tasks.spawn(collecting.run(asyncio.Event()), "collect")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.close()
        await self._trail.close()
        await self._sink.close()
        await self._link.close()

    async def go_on(self, records: int = SOME) -> None:
        """Wait until so many more were written."""
        enough = self._written + records
        await until(lambda: self._written >= enough)

    async def arrive(self) -> None:
        """Wait until what was written by now is in the stream."""
        lines = await asyncio.to_thread(self.spooled)
        await until(lambda: set(lines) <= set(self.streamed()))

    async def finish(self) -> None:
        """Write no more, and hold that all of it is where it belongs: in order, once, and whole."""
        self._is_writing = False
        await self.arrive()
        lines = await asyncio.to_thread(self.spooled)
        records = sorted(records_of(lines))
        assert len(records) == self._written
        assert await asyncio.to_thread(self.streamed) == lines
        assert await asyncio.to_thread(lambda: verify_stream(self.url, KEYS).findings) == ()
        await until(lambda: self.stored() == records)
        assert await asyncio.to_thread(lambda: verify(self.lake, KEYS).findings) == ()

    def spooled(self) -> list[bytes]:
        """Return the lines of the chain so far."""
        segments = list_segments(self.spool / SIDECAR)
        return [line for segment in segments for line in split_lines(segment.path.read_bytes())]

    def streamed(self) -> list[bytes]:
        """Return the lines in the stream, in its order, each once; none while Redis does not answer."""
        try:
            return [line for line, _ in read_chains(self.url).get(SIDECAR, [])]
        except DependencyError:
            return []

    def stored(self) -> list[bytes]:
        """Return the lines in Parquet; none before the first of them is there."""
        if not self.lake.exists():
            return []
        return sorted(entry.line for entry in LakeReader(self.lake).select(RecordFilter()))

    async def _write(self) -> None:
        clock = SystemClock()
        while self._is_writing:
            now = clock.now()
            self._trail.submit(encode_decision_record(decision(self._trail.next_id(now).decode(), now)))
            self._written += 1
            await asyncio.sleep(0.001)


async def until(is_reached: Callable[[], bool]) -> None:
    """Wait until something is so that may take a while to find out."""
    async with asyncio.timeout(40):
        while not await asyncio.to_thread(is_reached):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


class Fault:
    """A way in which one Redis fails, and how that ends."""

    def __init__(self, name: str, take: Callable[[RedisServer], object], give: Callable[[RedisServer], object]) -> None:
        self.name = name
        self.take = take
        self.give = give


def set_password(server: RedisServer) -> None:
    """Want a password from now on, of everybody."""
    server.command("CONFIG", "SET", "requirepass", "other")
    talk(server.port, "CLIENT", "KILL", "TYPE", "normal", password="other")


def overwrite(server: RedisServer) -> None:
    """Put something else under the stream's key: what was in it is gone."""
    server.command("SET", STREAM_KEY, "x")


FAULTS = [
    Fault(
        "maxmemory",
        lambda server: server.command("CONFIG", "SET", "maxmemory", "1"),
        lambda server: server.command("CONFIG", "SET", "maxmemory", "0"),
    ),
    Fault(
        "wrong-password",
        set_password,
        lambda server: talk(server.port, "CONFIG", "SET", "requirepass", "", password="other"),
    ),
    Fault("wrong-type", overwrite, lambda server: server.command("DEL", STREAM_KEY)),
    Fault("stream-deleted", lambda server: server.command("DEL", STREAM_KEY), lambda _: None),
    Fault("place-deleted", lambda server: server.command("DEL", SHIPPED_KEY), lambda _: None),
    Fault("restarted-empty", RedisServer.kill, RedisServer.start),
    Fault("frozen", RedisServer.freeze, RedisServer.thaw),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_one_redis(fault: Fault, redis: RedisServer, tmp_path: Path) -> None:
    """What was in it, what comes while it fails and what comes afterwards is all there, as if nothing had been."""
    async with Shipped(tmp_path, redis.url) as shipped:
        await shipped.go_on()
        await shipped.arrive()
        await asyncio.to_thread(fault.take, redis)
        await shipped.go_on()
        await asyncio.to_thread(fault.give, redis)
        await shipped.go_on()
        await shipped.finish()


@pytest.mark.slow
async def test_fail_over(tmp_path: Path) -> None:
    """Sentinel promotes a replica that lacks what the master had acknowledged last: it is sent again."""
    servers = SentinelSet(tmp_path / "sentinels")
    try:
        await asyncio.to_thread(servers.start)
        async with Shipped(tmp_path, servers.url) as shipped:
            await shipped.go_on()
            await shipped.arrive()
            servers.replica.freeze()
            await shipped.go_on()
            await shipped.arrive()
            servers.master.kill()
            servers.replica.thaw()
            await shipped.go_on()
            await until(lambda: "role:master" in servers.replica.command("INFO", "replication"))
            await shipped.go_on()
            await shipped.finish()
    finally:
        await asyncio.to_thread(servers.close)


@pytest.mark.slow
async def test_slot_migration(tmp_path: Path) -> None:
    """The slot goes to another node key by key while records are added, and while it is under way they wait."""
    cluster = Cluster(tmp_path / "cluster")
    try:
        await asyncio.to_thread(cluster.start)
        async with Shipped(tmp_path, cluster.url) as shipped:
            await shipped.go_on()
            await shipped.arrive()
            for _ in range(2):
                await migrate(cluster, shipped)
            await shipped.finish()
    finally:
        await asyncio.to_thread(cluster.close)


async def migrate(cluster: Cluster, shipped: Shipped) -> None:
    """Move both keys to another node, one after the other."""
    slot = int(cluster.nodes[0].command("CLUSTER", "KEYSLOT", STREAM_KEY)[1:])
    old = cluster.node_of(slot)
    new = next(node for node in cluster.nodes if node is not old)
    new.command("CLUSTER", "SETSLOT", str(slot), "IMPORTING", cluster.id_of(old))
    old.command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", cluster.id_of(new))
    for key in (STREAM_KEY, SHIPPED_KEY):
        await shipped.go_on()
        assert old.command("MIGRATE", "127.0.0.1", str(new.port), key, "0", "5000") == "+OK"
    await shipped.go_on()
    for node in (new, old, *cluster.nodes):
        node.command("CLUSTER", "SETSLOT", str(slot), "NODE", cluster.id_of(new))
    await shipped.go_on()
