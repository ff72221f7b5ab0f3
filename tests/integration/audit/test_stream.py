"""From the stream in Redis into Parquet: each record once, whoever dies; and reading the stream itself (spec 5.8)."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.integration.audit.records import KEY, Chain, records_of
from tests.integration.redis.servers import Cluster, RedisServer
from tests.integration.waiting import eventually

from sidegate.audit.collecting import Collecting, CollectingSettings
from sidegate.audit.consumer import StreamConsumer
from sidegate.audit.lake_reader import LakeReader
from sidegate.audit.lake_writer import Lake
from sidegate.audit.ports import START as BEGIN
from sidegate.audit.ports import Batch, Position
from sidegate.audit.query import open_follower, open_reader, select_entries
from sidegate.audit.sinks.redis import STREAM_KEY, RedisStreamSink
from sidegate.audit.stream import open_stream
from sidegate.audit.verify import verify, verify_stream
from sidegate.cli.main import run
from sidegate.core.model.units import Millis
from sidegate.core.trail.checkpoint import key_id_of
from sidegate.core.trail.filter import RecordFilter
from sidegate.redis_link.link import open_link
from sidegate.telemetry import clock
from sidegate.telemetry.tasks import TaskSet

KEYS = {key_id_of(KEY.public_key()): KEY.public_key()}
_NEVER = Millis(86_400_000)
_AT_ONCE = Millis(0)

Collect = Callable[..., Collecting]


@pytest.fixture
async def collect(redis: RedisServer, tmp_path: Path) -> AsyncIterator[Collect]:
    """Return a maker of members of one group that store in one folder."""
    links = []

    def make(name: str = "one", *, take_over: Millis = _NEVER, keep: Millis = _NEVER) -> Collecting:
        links.append(open_stream(redis.url))
        settings = CollectingSettings(Millis(200), take_over, keep)
        return Collecting(StreamConsumer(links[-1], "parquet", name), Lake(tmp_path / "lake"), settings, clock.now)

    yield make
    for link in links:
        await link.close()


def _batches(chain: Chain, size: int) -> list[Batch]:
    found, begin = [], BEGIN
    for start in range(0, len(chain.lines), size):
        lines = chain.lines[start : start + size]
        end = Position(1, begin.offset + sum(map(len, lines)))
        found.append(Batch(chain.sidecar, 0, 0, len(lines), b"".join(lines), begin, end, begin == BEGIN))
        begin = end
    return found


async def _ship(redis: RedisServer, batches: list[Batch]) -> None:
    tasks = TaskSet()
    sink = RedisStreamSink(open_link(redis.url, timeout=Millis(5000)), tasks)
    for batch in batches:
        await sink.send(batch)
    await tasks.close()
    await sink.close()


def _stored(folder: Path) -> list[bytes]:
    return sorted(entry.line for entry in LakeReader(folder).select(RecordFilter()))


def _chain(sidecar: str = "host-w0", records: int = 60) -> Chain:
    chain = Chain(sidecar)
    chain.add(records)
    chain.close()
    return chain


async def test_stream_becomes_parquet(redis: RedisServer, collect: Collect, tmp_path: Path) -> None:
    """Everything once, acknowledged, and what is added later as well; nothing is stored twice for coming twice."""
    chain = _chain()
    batches = _batches(chain, 7)
    await _ship(redis, batches[:4])
    await collect().drain()
    await _ship(redis, [*batches[4:], *batches])
    second = collect()
    await second.drain()
    assert _stored(tmp_path / "lake") == sorted(records_of(chain.lines))
    assert redis.command("XPENDING", STREAM_KEY, "parquet") == "*4"
    assert verify(tmp_path / "lake", KEYS).is_intact
    assert await asyncio.to_thread(lambda: verify_stream(redis.url, KEYS).is_intact)


async def test_members_share_what_is_added(redis: RedisServer, collect: Collect, tmp_path: Path) -> None:
    """Each entry goes to one of them; together they store all of it, once."""
    chains = [_chain("host-w0"), _chain("host-w1")]
    running = [collect(name) for name in ("one", "two", "three")]
    stopping = asyncio.Event()
    tasks = TaskSet()
    for number, member in enumerate(running):
        tasks.spawn(member.run(stopping), f"member{number}")
    for chain in chains:
        await _ship(redis, _batches(chain, 3))
    async with asyncio.timeout(20):
        while sum(member.records for member in running) < 120:  # noqa: ASYNC110  threads work meanwhile
            await asyncio.sleep(0.01)
    stopping.set()
    async with asyncio.timeout(20):
        while len(tasks):  # noqa: ASYNC110  they end by themselves
            await asyncio.sleep(0.01)
    assert _stored(tmp_path / "lake") == sorted(line for chain in chains for line in records_of(chain.lines))
    assert sum(member.records for member in running) == 120


async def test_what_the_dead_had_taken_is_taken_over(redis: RedisServer, collect: Collect, tmp_path: Path) -> None:
    """Whether they had stored it or not: each record is stored once."""
    chain = _chain()
    await _ship(redis, _batches(chain, 5))
    link = open_stream(redis.url)
    dead = StreamConsumer(link, "parquet", "dead")
    await dead.join()
    taken = await dead.take(6, None)
    await asyncio.to_thread(
        Lake(tmp_path / "lake").store, [line for batch in taken[:3] for line in batch.data.splitlines(keepends=True)]
    )
    await collect("living").drain()
    assert len(_stored(tmp_path / "lake")) < 60  # not idle for long enough
    await collect("heir", take_over=_AT_ONCE).drain()
    await link.close()
    assert _stored(tmp_path / "lake") == sorted(records_of(chain.lines))
    assert redis.command("XLEN", STREAM_KEY) == f":{len(_batches(chain, 5))}"


async def test_only_what_every_group_has_is_trimmed(redis: RedisServer, collect: Collect) -> None:
    """Not what one has taken and not acknowledged, and not what one has not taken yet."""
    await _ship(redis, _batches(_chain(), 5))
    link = open_stream(redis.url)
    other = StreamConsumer(link, "other", "slow")
    await other.join()
    all_there = redis.command("XLEN", STREAM_KEY)
    await collect(keep=_AT_ONCE).drain()
    assert redis.command("XLEN", STREAM_KEY) == all_there
    taken = await other.take(5, None)
    await other.acknowledge([batch.id for batch in taken[:2]])
    assert await other.trim(1 << 60) == 2
    await other.acknowledge([batch.id for batch in taken[2:]])
    assert await other.trim(1 << 60) == 2  # up to the last one that was delivered
    assert await other.trim(0) == 0
    await link.close()


async def test_redis_that_was_emptied_is_begun_again(redis: RedisServer, collect: Collect, tmp_path: Path) -> None:
    """The group is gone with it; what is shipped again is not stored twice."""
    chain = _chain()
    await _ship(redis, _batches(chain, 20))
    collecting, stopping, tasks = collect(), asyncio.Event(), TaskSet()
    tasks.spawn(collecting.run(stopping), "member")
    async with asyncio.timeout(20):
        while collecting.records < 60:  # noqa: ASYNC110  a thread works meanwhile
            await asyncio.sleep(0.01)
    redis.kill()
    redis.start()
    more = _chain("host-w1", 5)
    await _ship(redis, [*_batches(chain, 20), *_batches(more, 20)])
    async with asyncio.timeout(20):
        while collecting.records < 65:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
    stopping.set()
    await tasks.close()
    assert _stored(tmp_path / "lake") == sorted(records_of([*chain.lines, *more.lines]))


async def test_folder_that_cannot_be_written(redis: RedisServer, collect: Collect, tmp_path: Path) -> None:
    """Nothing is acknowledged; when it can, everything is stored."""
    chain = _chain()
    await _ship(redis, _batches(chain, 20))
    (tmp_path / "lake").touch()
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        await collect().drain()
    (tmp_path / "lake").unlink()
    await collect().drain()
    assert _stored(tmp_path / "lake") == sorted(records_of(chain.lines))


async def test_entry_of_somebody_else_does_not_stop_it(redis: RedisServer, collect: Collect, tmp_path: Path) -> None:
    """Something else writes to the stream: it is told, and passed over."""
    redis.command("XADD", STREAM_KEY, "*", "hello", "world")
    redis.command("XADD", STREAM_KEY, "*", "v", "1", "sidecar", "x", "data", "no record")
    await _ship(redis, _batches(_chain(), 60))
    await collect().drain()
    assert len(_stored(tmp_path / "lake")) == 60


async def test_cluster(tmp_path: Path) -> None:
    """Shipped, collected, trimmed, asked and checked in a Cluster like in one server."""
    cluster, tasks, chain = Cluster(tmp_path / "cluster"), TaskSet(), _chain()
    try:
        url = (await asyncio.to_thread(cluster.start)).url
        sink = RedisStreamSink(open_link(url, timeout=Millis(5000)), tasks)
        for batch in _batches(chain, 9):
            await sink.send(batch)
        await tasks.close()
        await sink.close()
        assert await asyncio.to_thread(lambda: verify_stream(url, KEYS).is_intact)
        link = open_stream(url)
        settings = CollectingSettings(Millis(200), _NEVER, _AT_ONCE)
        lake = Lake(tmp_path / "lake")
        await Collecting(StreamConsumer(link, "parquet", "one"), lake, settings, clock.now).drain()
        await link.close()
    finally:
        await asyncio.to_thread(cluster.close)
    assert _stored(tmp_path / "lake") == sorted(records_of(chain.lines))


# --- reading the stream ---


async def test_stream_is_asked_like_a_spool(redis: RedisServer) -> None:
    """By the same filters; what came twice is found once; what is added is followed."""
    chain = Chain()
    chain.add(3)
    chain.add(2, org="globex")
    await _ship(redis, _batches(chain, 2))
    await _ship(redis, [Batch(chain.sidecar, 0, 0, 1, chain.lines[1], is_oldest=True)])

    def ask() -> list[Any]:
        reader = open_reader(redis.url)
        found = select_entries(reader, RecordFilter(org="globex"), newest_first=True, limit=9)
        return [entry.members["seq"] for entry in found]

    assert sorted(await asyncio.to_thread(ask)) == [4, 5]
    follower = await asyncio.to_thread(open_follower, redis.url)
    assert await asyncio.to_thread(follower.poll) == []
    added = chain.add(1)
    await _ship(redis, [Batch(chain.sidecar, 0, 0, 1, b"".join(added), is_oldest=True)])
    assert [entry.line for entry in await asyncio.to_thread(follower.poll)] == added
    await asyncio.to_thread(follower.close)


@pytest.mark.parametrize(
    ("lose", "findings"),
    [
        pytest.param(slice(0, 20), [], id="trimmed-from-the-front"),
        pytest.param(slice(21, 22), ["record 20 is missing"], id="from-within"),
    ],
)
async def test_stream_is_checked_as_far_as_it_goes(redis: RedisServer, lose: slice, findings: list[str]) -> None:
    """Trimming is no finding, a hole is."""
    chain = _chain()
    del chain.lines[lose]
    await _ship(redis, _batches(chain, 20))
    report = await asyncio.to_thread(lambda: verify_stream(redis.url, KEYS))
    assert [finding.text for finding in report.findings] == findings


# --- the commands ---


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sidegate", "audit", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_killed_sink_process(redis: RedisServer, tmp_path: Path) -> None:
    """``kill -9`` of a real process while it stores; another takes over, and everything is there once."""
    chain, more = _chain(records=2000), _chain("host-w1", 10)
    asyncio.run(_ship(redis, _batches(chain, 40)))
    folder = tmp_path / "lake"
    process = subprocess.Popen(
        [sys.executable, "-m", "sidegate", "audit", "sink", folder, "--from", redis.url, "--flush", "1ms"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: any(folder.rglob("*.parquet")), "something is stored")
    process.kill()
    process.wait()
    asyncio.run(_ship(redis, _batches(more, 40)))
    done = _run("sink", str(folder), "--from", redis.url, "--once", "--flush", "0s", "--take-over", "0s")
    assert done.returncode == 0, done.stderr
    assert _stored(folder) == sorted(records_of([*chain.lines, *more.lines]))


def test_sink_process_ends_in_order(redis: RedisServer, tmp_path: Path) -> None:
    """SIGTERM: what was taken is stored at once, and the group has one member less."""
    chain = _chain()
    asyncio.run(_ship(redis, _batches(chain, 20)))
    folder = tmp_path / "lake"
    process = subprocess.Popen(
        [sys.executable, "-m", "sidegate", "audit", "sink", folder, "--from", redis.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    eventually(lambda: redis.command("XPENDING", STREAM_KEY, "parquet", "-", "+", "9") == "*4", "it has taken them")
    process.terminate()
    said, _ = process.communicate(timeout=20)
    assert (process.returncode, said.decode()) == (0, f"60 records stored in {folder}\n")
    assert redis.command("XINFO", "CONSUMERS", STREAM_KEY, "parquet") == "*0"
    assert _stored(folder) == sorted(records_of(chain.lines))


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Call a command of `sidegate audit`; return its exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code = run(["audit", *arguments])
        return code, capsys.readouterr().out

    return call


def test_commands_over_stream_and_parquet(
    redis: RedisServer, tmp_path: Path, ask: Callable[..., tuple[int, str]]
) -> None:
    """`sink`, `query`, `tail`, `export`, `verify` and `prune` answer alike, wherever the records are."""
    chain = _chain()
    asyncio.run(_ship(redis, _batches(chain, 20)))
    folder, key = str(tmp_path / "lake"), tmp_path / "key.pub"
    key.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert ask("sink", folder, "--from", redis.url, "--once") == (0, f"60 records stored in {folder}\n")
    for trail in (folder, redis.url):
        _, found = ask("query", trail, "--actor", "user:ana", "--limit", "3", "-o", "json")
        assert [record["seq"] for record in json.loads(found)] == [58, 59, 60]
        _, newest = ask("tail", trail, "-n", "2", "-o", "json")
        assert [json.loads(line)["seq"] for line in newest.splitlines()] == [59, 60]
        code, verdict = ask("verify", trail, "--key", str(key))
        assert (code, "intact" in verdict) == (0, True), verdict
        _, events = ask("export", trail, "--format", "ocsf")
        assert {json.loads(line)["type_uid"] for line in events.splitlines()} == {600302}
        assert ask("export", trail)[1].encode() == b"".join(records_of(chain.lines))
    exported = str(tmp_path / "all.parquet")
    assert ask("export", redis.url, "--format", "parquet", "--out", exported) == (0, "")
    assert len(ask("export", exported, "--format", "csv")[1].splitlines()) == 61
    _, pruned = ask("prune", folder, "--older-than", "0s", "--dry-run", "-o", "json")
    assert json.loads(pruned)["removed"] is False
    redis.kill()
    assert ask("query", redis.url)[0] == 69


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("query", "none"), id="no-trail"),
        pytest.param(("verify", "redis://127.0.0.1:1"), id="stream-without-key"),
        pytest.param(("export", ".", "--format", "parquet"), id="parquet-to-a-terminal"),
        pytest.param(("sink", "lake", "--from", "lake"), id="no-stream"),
        pytest.param(("sink", "lake", "--from", "redis://h", "--take-over", "1s"), id="take-over-too-soon"),
        pytest.param(("prune", ".", "--older-than", "soon"), id="no-age"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: tuple[str, ...], ask: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read or written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.parquet").touch()
    if arguments[0] == "export":
        arguments = ("export", "x.parquet", *arguments[2:])
    assert ask(*arguments) == (2, "")
