"""From JetStream into Parquet: each record once, whoever dies; reading, following and checking it there (spec 5.8)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.integration.audit.nats_server import NatsServer
from tests.integration.audit.records import KEY, Chain, records_of

from sidegate.audit.collecting import Collecting, CollectingSettings
from sidegate.audit.lake_reader import LakeReader
from sidegate.audit.lake_writer import Lake
from sidegate.audit.nats_consumer import NatsConsumer
from sidegate.audit.ports import START as BEGIN
from sidegate.audit.ports import Batch, Position
from sidegate.audit.query import open_follower, open_reader, select_entries
from sidegate.audit.sinks.nats import NatsSink
from sidegate.audit.stream import read_entries
from sidegate.audit.verify import verify, verify_stream
from sidegate.cli.main import run
from sidegate.core.model.errors import DependencyError
from sidegate.core.model.units import Millis
from sidegate.core.trail.checkpoint import key_id_of
from sidegate.core.trail.filter import RecordFilter
from sidegate.telemetry import clock
from sidegate.telemetry.tasks import TaskSet

KEYS = {key_id_of(KEY.public_key()): KEY.public_key()}
LONG = Millis(86_400_000)

Collect = Callable[..., Collecting]


@pytest.fixture
async def collect(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Collect]:
    """Return a maker of members of one group that store in one folder."""
    members = []

    def make(*, take_over: Millis = LONG, keep: Millis = LONG) -> Collecting:
        members.append(NatsConsumer(nats_server.url, "parquet", take_over))
        settings = CollectingSettings(Millis(200), take_over, keep)
        return Collecting(members[-1], Lake(tmp_path / "lake"), settings, clock.now)

    yield make
    for member in members:
        await member.close()


def chain_of(records: int = 60, sidecar: str = "host-w0") -> Chain:
    """Return a chain, closed."""
    chain = Chain(sidecar)
    chain.add(records)
    chain.close()
    return chain


async def ship(server: NatsServer, lines: list[bytes], size: int = 7) -> None:
    """Publish *lines* of one sidecar, so many to a batch."""
    sink = NatsSink(server.url)
    for start in range(0, len(lines), size):
        data = lines[start : start + size]
        await sink.send(
            Batch("host-w0", start, start + len(data), len(data), b"".join(data), BEGIN, Position(1, start))
        )
    await sink.close()


def stored(folder: Path) -> list[bytes]:
    """Return the lines in Parquet."""
    return sorted(entry.line for entry in LakeReader(folder).select(RecordFilter()))


async def test_stream_becomes_parquet(nats_server: NatsServer, collect: Collect, tmp_path: Path) -> None:
    """Everything once, what is added later as well; in the stream it is read, followed and checked like anywhere."""
    chain = chain_of()
    await ship(nats_server, chain.lines[:30])
    await collect().drain()
    follower = await asyncio.to_thread(open_follower, nats_server.url)
    await ship(nats_server, chain.lines[30:])
    await collect().drain()
    await collect().drain()
    assert stored(tmp_path / "lake") == sorted(records_of(chain.lines))
    assert verify(tmp_path / "lake", KEYS).is_intact
    assert await asyncio.to_thread(lambda: verify_stream(nats_server.url, KEYS).is_intact)
    found = await asyncio.to_thread(
        lambda: [entry.line for entry in select_entries(open_reader(nats_server.url), RecordFilter())]
    )
    assert found == records_of(chain.lines)
    added = await asyncio.to_thread(follower.poll)
    assert [entry.line for entry in added if entry.line in found] == records_of(chain.lines[30:])
    await asyncio.to_thread(follower.close)


async def test_members_share_and_the_dead_are_inherited_from(
    nats_server: NatsServer, collect: Collect, tmp_path: Path
) -> None:
    """What one took and did not acknowledge goes to another after a while, and is stored once."""
    chain = chain_of()
    await ship(nats_server, chain.lines, 5)
    dead = NatsConsumer(nats_server.url, "parquet", Millis(1000))
    await dead.join()
    taken = await dead.take(6, Millis(1000))
    lines = [line for batch in taken[:3] for line in batch.data.splitlines(keepends=True)]
    await asyncio.to_thread(Lake(tmp_path / "lake").store, lines)
    await dead.close()
    stopping, tasks = asyncio.Event(), TaskSet()
    for number in range(2):
        tasks.spawn(collect(take_over=Millis(1000)).run(stopping), f"member{number}")
    async with asyncio.timeout(20):
        while await asyncio.to_thread(stored, tmp_path / "lake") != sorted(records_of(chain.lines)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stopping.set()
    async with asyncio.timeout(20):
        while len(tasks):  # noqa: ASYNC110  they end by themselves
            await asyncio.sleep(0.01)


async def test_killed_server(nats_server: NatsServer, collect: Collect, tmp_path: Path) -> None:
    """Collecting goes on by itself when the server is back with its files."""
    chain = chain_of()
    stopping, tasks = asyncio.Event(), TaskSet()
    await ship(nats_server, chain.lines[:30])
    tasks.spawn(collect().run(stopping), "member")
    async with asyncio.timeout(20):
        while not (tmp_path / "lake").exists() or not stored(tmp_path / "lake"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await asyncio.to_thread(nats_server.kill)
    with pytest.raises(DependencyError):
        await ship(nats_server, chain.lines[30:])
    await asyncio.to_thread(nats_server.start)
    await ship(nats_server, chain.lines[30:])
    async with asyncio.timeout(30):
        while await asyncio.to_thread(stored, tmp_path / "lake") != sorted(records_of(chain.lines)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await tasks.close()


async def test_only_what_every_group_has_is_trimmed(nats_server: NatsServer, collect: Collect) -> None:
    """Not what one has taken and not acknowledged, and not what is young enough to be kept."""
    await ship(nats_server, chain_of().lines, 5)
    other = NatsConsumer(nats_server.url, "other", LONG)
    await other.join()
    entries = await asyncio.to_thread(lambda: list(read_entries(nats_server.url)))
    await collect(keep=Millis(0)).drain()
    assert len(await asyncio.to_thread(lambda: list(read_entries(nats_server.url)))) == len(entries)
    taken = await other.take(4, Millis(1000))
    await other.acknowledge([batch.id for batch in taken[:3]])
    await collect().drain()
    assert len(await asyncio.to_thread(lambda: list(read_entries(nats_server.url)))) == len(entries)
    await collect(keep=Millis(0)).drain()
    left = await asyncio.to_thread(lambda: list(read_entries(nats_server.url)))
    assert [batch.id for batch in left] == [batch.id for batch in entries[3:]]
    await other.close()


def test_commands(nats_server: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`audit sink --once`, `audit verify` and `audit query` take the address of a NATS server."""
    chain = chain_of()
    asyncio.run(ship(nats_server, chain.lines))
    assert run(["audit", "sink", str(tmp_path / "lake"), "--from", nats_server.url, "--once"]) == 0
    assert "60 records stored" in capsys.readouterr().out
    assert run(["audit", "verify", nats_server.url, "--unsigned"]) == 0
    assert run(["audit", "query", nats_server.url, "--limit", "3"]) == 0
    assert capsys.readouterr().out.count("granted") == 3
    nats_server.kill()
    assert run(["audit", "query", nats_server.url]) == 69
