"""Clients and upstreams that do not read: nothing piles up, and what they were sent is theirs if they take it in time
(spec 2.5, 2.8)."""

import pytest
from tests.exchange.conftest import MakeRig
from tests.exchange.rig import Rig

GET = b"GET /v1/orgs/acme/projects/p1/branches/x/files/a HTTP/1.1\r\nHost: h\r\n"
PUT = b"PUT /v1/orgs/acme/projects/p1/branches/x/files/a HTTP/1.1\r\nHost: h\r\n"
HEAD_OF_BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
BLOCK = b"x" * 50_000
HELD_MAX = 64 * 1024 + 1000
"""Above its high-water mark a buffer takes one piece more, which was read by then; heads come on top."""


async def test_pipelined_answers_do_not_pile_up(rig: Rig, vera: bytes) -> None:
    """A client that asks and does not read is asked for no more; once it reads, it gets every answer in order."""
    client = rig.connect()
    client.stall()
    refused = b"GET /nowhere HTTP/1.1\r\nHost: h\r\n" + vera + b"\r\n"
    for _ in range(20):
        await rig.feed(client, refused * 50)
    assert client.unsent < HELD_MAX
    assert not client.is_reading()
    assert len(rig.decisions()) < 1000
    for _ in range(200):
        client.take(64 * 1024)
        await rig.settle()
    assert client.sent.count(b"HTTP/1.1 403 ") == 1000
    assert len(rig.decisions()) == 1000


async def test_second_answer_waits_for_the_first(rig: Rig, vera: bytes) -> None:
    """An answer that begins while the one before is not taken yet is read from the upstream no faster for that."""
    client = rig.connect()
    client.stall()
    await rig.feed(client, (GET + vera + b"\r\n") * 2)
    # Just below the mark: the second request is forwarded while the first answer still lies here.
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 25000\r\n\r\n" + b"x" * 25_000)
    await rig.settle()
    rig.upstream.feed(HEAD_OF_BIG + b"x" * 20_000)
    await rig.settle()
    assert not rig.upstream.is_reading()
    for _ in range(10):
        rig.upstream.feed(BLOCK)
    await rig.settle()
    assert client.unsent < HELD_MAX
    client.take()
    await rig.settle()
    rig.upstream.feed(b"x" * (1_000_000 - 20_000 - 10 * len(BLOCK)))
    await rig.settle()
    assert client.sent.count(b"x") == 1_025_000
    assert rig.upstream.is_reading()


async def test_full_before_the_answer_begins(rig: Rig, vera: bytes) -> None:
    """A buffer that was full before an answer began holds the answer back too: nobody says it a second time."""
    client = rig.connect()
    client.stall()
    client.feed(GET + vera + b"\r\n")
    # Not decided yet: there is no answer that could be throttled.
    rig.gateway.connections.copy().pop().pause_writing()
    await rig.settle()
    rig.upstream.feed(HEAD_OF_BIG + b"x")
    await rig.settle()
    assert not rig.upstream.is_reading()
    rig.gateway.connections.copy().pop().resume_writing()
    await rig.settle()
    assert rig.upstream.is_reading()


@pytest.mark.parametrize("close", [pytest.param(b"Connection: close\r\n", id="close"), pytest.param(b"", id="keep")])
async def test_slow_client_gets_the_end(rig: Rig, vera: bytes, close: bytes) -> None:
    """A client that reads slowly gets all of an answer that is here whole, also when the connection ends with it."""
    client = rig.connect()
    client.stall()
    await rig.feed(client, GET + vera + close + b"\r\n")
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)
    await rig.settle()
    for _ in range(4):
        await rig.wait(9)
        client.take(12_000)
        await rig.settle()
    assert not client.aborted
    client.take()
    await rig.wait(13)
    assert client.closed == bool(close)


@pytest.mark.parametrize("close", [pytest.param(b"Connection: close\r\n", id="close"), pytest.param(b"", id="keep")])
@pytest.mark.parametrize("size", [pytest.param(1000, id="below-the-mark"), pytest.param(90_000, id="above-the-mark")])
async def test_client_that_never_reads_is_ended(rig: Rig, vera: bytes, close: bytes, size: int) -> None:
    """An answer that nobody takes does not keep its connection: it is cut, at the latest after being idle."""
    client = rig.connect()
    client.stall()
    await rig.feed(client, GET + vera + close + b"\r\n")
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    await rig.settle()
    await rig.wait(75)
    await rig.wait(12)
    assert (client.aborted, client.closed) == (True, True)


async def test_slow_reader_is_cut(make_rig: MakeRig, vera: bytes) -> None:
    """A client that takes less than the least rate of an answer in transit is cut (spec 2.8), and this is recorded."""
    rig = await make_rig()
    client = rig.connect()
    client.stall()
    await rig.feed(client, GET + vera + b"\r\n")
    rig.upstream.feed(HEAD_OF_BIG + BLOCK)
    await rig.settle()
    rig.upstream.feed(BLOCK)
    await rig.wait(11)
    assert not client.closed
    for _ in range(4):
        client.take(1000)
        await rig.wait(10)
    assert client.aborted
    assert rig.upstream.aborted
    assert [(one["ended"], one["reason"]) for one in rig.completions()] == [("limit_reached", "request_timeout")]


async def test_upstream_that_reads_slowly_is_not_reused(rig: Rig, ana: bytes) -> None:
    """An upstream that answers before it has read the request whole does not get the next one behind its rest."""
    client = await rig.say(GET + ana + b"\r\n")
    rig.upstream.feed(b"HTTP/1.1 204 No\r\n\r\n")
    await rig.settle()
    rig.upstream.stall()
    await rig.feed(client, PUT + ana + b"Content-Length: 10\r\n\r\n0123456789")
    rig.upstream.feed(b"HTTP/1.1 204 No\r\n\r\n")
    await rig.settle()
    assert rig.pool.opened[0].aborted
    await rig.feed(client, GET + ana + b"\r\n")
    assert len(rig.pool.opened) == 2
