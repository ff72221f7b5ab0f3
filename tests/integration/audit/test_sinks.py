"""Batches to a real Redis, a real NATS server and an HTTP endpoint; what each does when it is in trouble (spec 5.6)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import nats
import pytest
from tests.integration.audit.collector import Collector
from tests.integration.audit.nats_server import NatsServer
from tests.integration.redis.servers import FaultProxy, RedisServer

from sidegate.audit.nats_link import STREAM, SUBJECT
from sidegate.audit.ports import START, Batch, BehindError, Position
from sidegate.audit.sinks.http import HttpSink
from sidegate.audit.sinks.nats import NatsSink
from sidegate.audit.sinks.redis import STREAM_KEY, RedisStreamSink
from sidegate.core.model.errors import DependencyError
from sidegate.core.model.units import Millis
from sidegate.redis_link.link import Link, open_link, stream_entries
from sidegate.telemetry.tasks import TaskSet


def _batch(number: int, *, is_oldest: bool = False, data: bytes | None = None) -> Batch:
    """The batch that follows batch *number* - 1; batch 1 begins the spool."""
    begin = START if number == 1 else Position(1, 100 * (number - 1))
    lines = b'{"n":%d}\n' % number if data is None else data
    return Batch("host-w0", number, number, 1, lines, begin, Position(1, 100 * number), is_oldest)


# --- Redis ---


@pytest.fixture
async def open_redis_sink(redis: RedisServer) -> AsyncIterator[Callable[[], RedisStreamSink]]:
    """Return a maker of sinks for the test's Redis; each as another process would have it."""
    tasks, made = TaskSet(), list[RedisStreamSink]()

    def make() -> RedisStreamSink:
        made.append(RedisStreamSink(open_link(redis.url, timeout=Millis(5000)), tasks))
        return made[-1]

    yield make
    await tasks.close()
    for sink in made:
        await sink.close()


async def _entries(redis: RedisServer) -> list[dict[bytes, bytes]]:
    link: Link = open_link(redis.url, timeout=Millis(5000))
    found = await link.call("XRANGE", STREAM_KEY, "-", "+", doing="reading")
    await link.close()
    return [fields for _, fields in stream_entries(found)]


async def _eventually(sink: RedisStreamSink, batch: Batch) -> None:
    """Send *batch* until it is taken, as the shipper does."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await sink.send(batch)
            except BehindError:
                raise
            except DependencyError:
                await asyncio.sleep(0.01)


async def test_batches_become_entries(redis: RedisServer, open_redis_sink: Callable[[], RedisStreamSink]) -> None:
    """Whole, in order, with whose they are and which; a batch that comes again is not added again."""
    sink = open_redis_sink()
    await sink.send(_batch(1, is_oldest=True))
    await sink.send(_batch(2))
    await sink.send(_batch(2))
    await open_redis_sink().send(_batch(2))
    assert await _entries(redis) == [
        {b"v": b"1", b"sidecar": b"host-w0", b"first": b"%d" % n, b"last": b"%d" % n, b"records": b"1",
         b"data": b'{"n":%d}\n' % n}
        for n in (1, 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "expected"), [pytest.param(0, None, id="nothing"), pytest.param(2, Position(1, 200), id="something")]
)
async def test_redis_that_lost_what_it_had_says_where_it_stands(
    kept: int, expected: Position | None, open_redis_sink: Callable[[], RedisStreamSink]
) -> None:
    """A batch that does not follow is not taken, unless the spool has nothing before it; nor is the question."""
    sink = open_redis_sink()
    for number in range(1, kept + 1):
        await sink.send(_batch(number, is_oldest=number == 1))
    for batch in (_batch(4), _batch(4, data=b"")):
        with pytest.raises(BehindError) as caught:
            await sink.send(batch)
        assert caught.value.position == expected
    await sink.send(_batch(4, is_oldest=True))
    await sink.send(_batch(5, data=b""))


async def test_spool_that_was_sent_before_is_taken_again(
    redis: RedisServer, open_redis_sink: Callable[[], RedisStreamSink]
) -> None:
    """A lost cursor or a new spool under an old name: twice is allowed, lost is not."""
    sink = open_redis_sink()
    for number in (1, 2, 3):
        await sink.send(_batch(number, is_oldest=number == 1))
    await sink.send(_batch(2, data=b'{"n":"other"}\n'))
    assert len(await _entries(redis)) == 4


async def test_redis_away_and_back(redis: RedisServer, open_redis_sink: Callable[[], RedisStreamSink]) -> None:
    """Killed: the batch is not acknowledged. Back, and empty: it says so."""
    sink = open_redis_sink()
    await sink.send(_batch(1, is_oldest=True))
    redis.kill()
    with pytest.raises(DependencyError):
        await sink.send(_batch(2))
    redis.start()
    with pytest.raises(BehindError) as caught:
        await _eventually(sink, _batch(2))
    assert caught.value.position is None


async def test_full_redis_refuses_and_keeps_everything(
    redis: RedisServer, open_redis_sink: Callable[[], RedisStreamSink]
) -> None:
    """``maxmemory``: nothing that was acknowledged goes; the batch comes again when there is room."""
    sink = open_redis_sink()
    await sink.send(_batch(1, is_oldest=True))
    redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    redis.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(DependencyError, match="maxmemory"):
        await sink.send(_batch(2))
    redis.command("CONFIG", "SET", "maxmemory", "0")
    await sink.send(_batch(2))
    assert [fields[b"first"] for fields in await _entries(redis)] == [b"1", b"2"]


async def test_something_else_under_the_key(redis: RedisServer, open_redis_sink: Callable[[], RedisStreamSink]) -> None:
    """Is an error that names it, and nothing is overwritten."""
    redis.command("SET", STREAM_KEY, "x")
    with pytest.raises(DependencyError, match="WRONGTYPE"):
        await open_redis_sink().send(_batch(1, is_oldest=True))
    assert redis.command("GET", STREAM_KEY) == "x"


async def test_frozen_redis_is_not_waited_for(redis: RedisServer) -> None:
    """SIGSTOP: a failure within the link's deadline. Thawed, it may have taken the batch; it is there once."""
    tasks = TaskSet()
    sink = RedisStreamSink(open_link(redis.url, timeout=Millis(1000)), tasks)
    await _eventually(sink, _batch(1, is_oldest=True))
    redis.freeze()
    with pytest.raises(DependencyError):
        await sink.send(_batch(2))
    redis.thaw()
    await _eventually(sink, _batch(2))
    await _eventually(sink, _batch(3))
    await tasks.close()
    await sink.close()
    assert [fields[b"first"] for fields in await _entries(redis)] == [b"1", b"2", b"3"]


async def test_network_that_is_cut(redis: RedisServer) -> None:
    """In mid-flight: what was sent and not answered is there once, in order."""
    proxy, tasks = FaultProxy(redis.port), TaskSet()
    sink = RedisStreamSink(open_link(proxy.url, timeout=Millis(1000)), tasks)
    await _eventually(sink, _batch(1, is_oldest=True))
    for number, (take, give) in enumerate(((proxy.cut, proxy.heal), (proxy.sever, proxy.heal)), 2):
        take()
        with pytest.raises(DependencyError):
            await sink.send(_batch(number))
        give()
        await _eventually(sink, _batch(number))
    await tasks.close()
    await sink.close()
    proxy.close()
    assert [fields[b"first"] for fields in await _entries(redis)] == [b"1", b"2", b"3"]


async def test_wrong_password(make_redis: Callable[..., RedisServer]) -> None:
    """Is told as such, and not what it was."""
    server = make_redis("--requirepass", "right")
    tasks = TaskSet()
    sink = RedisStreamSink(open_link(server.url.replace("//", "//:wrong-one@"), timeout=Millis(5000)), tasks)
    with pytest.raises(DependencyError, match="password") as caught:
        await sink.send(_batch(1, is_oldest=True))
    assert "wrong-one" not in str(caught.value)
    await tasks.close()
    await sink.close()


# --- HTTP ---


async def test_batches_are_posted(collector: Collector, tmp_path: Path) -> None:
    """As they are, with a key that is the same when the same batch comes again, and the token of the moment."""
    token = tmp_path / "token"
    token.write_text("first\n")
    sink = HttpSink(collector.url, token_file=token)
    assert (sink.name, sink.settle_s) == ("http", 0.0)
    await sink.send(_batch(1))
    assert collector.headers["Authorization"] == "Bearer first"
    token.write_text("second")
    await sink.send(_batch(1))
    await sink.send(_batch(2))
    await sink.close()
    assert collector.headers["Authorization"] == "Bearer second"
    assert collector.headers["Content-Type"] == "application/x-ndjson"
    (one, first), (again, second), (other, third) = collector.posts
    assert (first, second, third) == (_batch(1).data, _batch(1).data, _batch(2).data)
    assert one == again != other


@pytest.mark.parametrize(
    ("status", "headers", "what", "retry_after_s"),
    [
        pytest.param(500, {}, "it answered 500", None, id="broken"),
        pytest.param(429, {"Retry-After": "7"}, "it answered 429", 7.0, id="busy"),
        pytest.param(503, {"Retry-After": "86400"}, "it answered 503", 30.0, id="long-busy"),
        pytest.param(503, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, "it answered 503", None, id="date"),
        pytest.param(400, {}, "it answered 400", None, id="refused"),
        pytest.param(307, {"Location": "/elsewhere"}, "redirects are not followed", None, id="redirected"),
    ],
)
async def test_what_is_not_acknowledged_comes_again(
    status: int, headers: dict[str, str], what: str, retry_after_s: float | None, collector: Collector
) -> None:
    """Nothing but 2xx counts, and nothing is sent where a redirect leads."""
    sink = HttpSink(collector.url)
    collector.answers = [(status, headers)]
    with pytest.raises(DependencyError, match=what) as caught:
        await sink.send(_batch(1))
    assert caught.value.retry_after_s == retry_after_s
    await sink.send(_batch(1))
    await sink.close()
    assert (len(collector.posts), collector.other_requests) == (1, 0)


async def test_endpoint_that_is_not_there(collector: Collector) -> None:
    """Is a failure like any other."""
    sink = HttpSink(collector.url)
    await collector.close()
    with pytest.raises(DependencyError, match="posting records of `host-w0`"):
        await sink.send(_batch(1))
    await sink.close()


async def test_token_that_is_not_there(collector: Collector, tmp_path: Path) -> None:
    """Nothing is posted without it."""
    sink = HttpSink(collector.url, token_file=tmp_path / "none")
    with pytest.raises(DependencyError, match="No such file"):
        await sink.send(_batch(1))
    await sink.close()
    assert collector.posts == []


# --- NATS ---


async def _messages(server: NatsServer) -> list[bytes]:
    client = await nats.connect(server.url)
    stream = client.jetstream()
    info = await stream.stream_info(STREAM)
    found = [(await stream.get_msg(STREAM, number)) for number in range(1, info.state.last_seq + 1)]
    await client.close()
    assert {message.subject for message in found} <= {SUBJECT}
    return [message.data or b"" for message in found]


async def test_batches_are_published_once(nats_server: NatsServer) -> None:
    """The stream is made; a batch that comes again, also from another process, is kept once."""
    sink, other = NatsSink(nats_server.url), NatsSink(nats_server.url)
    assert (sink.name, sink.settle_s) == ("nats", 0.0)
    for one, number in ((sink, 1), (sink, 1), (other, 1), (other, 2)):
        await one.send(_batch(number))
    await sink.close()
    await other.close()
    assert await _messages(nats_server) == [_batch(1).data, _batch(2).data]


async def test_nats_server_that_is_killed(nats_server: NatsServer) -> None:
    """Away it is a failure; back it has what it acknowledged, and takes what comes again."""
    sink = NatsSink(nats_server.url)
    await sink.send(_batch(1))
    nats_server.kill()
    for _ in range(2):
        with pytest.raises(DependencyError, match="publishing records of `host-w0`"):
            await sink.send(_batch(2))
    nats_server.start()
    await sink.send(_batch(2))
    await sink.close()
    assert await _messages(nats_server) == [_batch(1).data, _batch(2).data]


async def test_full_nats_stream_refuses(nats_server: NatsServer) -> None:
    """What was acknowledged stays, as the stream is made to refuse instead of dropping."""
    sink = NatsSink(nats_server.url)
    await sink.send(_batch(1))
    client = await nats.connect(nats_server.url)
    stream = client.jetstream()
    config = (await stream.stream_info(STREAM)).config
    config.max_msgs = 1
    await stream.update_stream(config)
    await client.close()
    with pytest.raises(DependencyError, match="maximum messages exceeded"):
        await sink.send(_batch(2))
    await sink.close()
    assert await _messages(nats_server) == [_batch(1).data]
