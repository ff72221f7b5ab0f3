"""One connection and many requests: order, keeping, ending, waiting (spec 2.1, 2.8)."""

import random
import re

import pytest
from tests.exchange.rig import MemoryTransport, Rig

PATH = b"/v1/orgs/acme/projects/p1/branches/x/files/"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(name: bytes, lines: bytes, version: bytes = b"1.1") -> bytes:
    """Return a GET of one file."""
    return b"GET " + PATH + name + b" HTTP/" + version + b"\r\nHost: h\r\n" + lines + b"\r\n"


def put(name: bytes, lines: bytes, body: bytes) -> bytes:
    """Return a PUT of one file."""
    return (
        b"PUT " + PATH + name + b" HTTP/1.1\r\nHost: h\r\n" + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )


def asked(rig: Rig) -> list[bytes]:
    """Return the names that were asked for upstream, in order."""
    return re.findall(rb"(?:GET|PUT) " + re.escape(PATH) + rb"(\S*) HTTP", rig.forwarded)


async def test_pipelined_in_order(rig: Rig, vera: bytes) -> None:
    """Pipelined requests are served one after the other; the next goes up when the one before is answered."""
    client = await rig.say(b"".join(get(b"%d" % number, vera) for number in range(5)))
    for number in range(5):
        assert asked(rig) == [b"%d" % served for served in range(number + 1)]
        rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        await rig.settle()
    assert client.sent == b"".join(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number for number in range(5))


async def test_reading_stops_while_serving(rig: Rig, vera: bytes) -> None:
    """What a client sends while its request is served is not read on and on (spec 2.1)."""
    client = await rig.say(get(b"a", vera))
    client.feed(get(b"b", vera))
    await rig.settle()
    assert not client.is_reading()
    rig.upstream.feed(OK)
    await rig.settle()
    assert asked(rig) == [b"a", b"b"]


async def test_refused_between_allowed(rig: Rig, vera: bytes) -> None:
    """A refusal by policy takes its place in the order of answers."""
    client = await rig.say(get(b"a", vera) + get(b"b", b"") + get(b"c", vera))
    rig.upstream.feed(OK)
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    assert re.findall(rb"HTTP/1\.1 (\d+)", bytes(client.sent)) == [b"200", b"401", b"200"]
    assert asked(rig) == [b"a", b"c"]


async def test_malformed_after_allowed(rig: Rig, vera: bytes) -> None:
    """A malformed request behind a good one: the good one is answered, then 400, then the end."""
    client = await rig.say(get(b"a", vera) + b"GARBAGE\r\n\r\n" + get(b"c", vera))
    rig.upstream.feed(OK)
    await rig.settle()
    assert re.findall(rb"HTTP/1\.1 (\d+)", bytes(client.sent)) == [b"200", b"400"]
    assert client.ended
    assert asked(rig) == [b"a"]


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        pytest.param(b"1.1", b"Connection: close\r\n", id="says-close"),
        pytest.param(b"1.1", b"Connection: keep-alive, CLOSE\r\n", id="says-both"),
        pytest.param(b"1.0", b"", id="1.0"),
        pytest.param(b"1.0", b"Connection: keep-alive\r\n", id="1.0-keep-alive-is-not-kept"),
    ],
)
async def test_closes_after_the_answer(rig: Rig, vera: bytes, version: bytes, lines: bytes) -> None:
    """A client that will close is told so, and nothing after its request is served."""
    client = await rig.say(get(b"a", vera + lines, version) + get(b"b", vera))
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert client.ended
    assert asked(rig) == [b"a"]
    assert len(rig.decisions()) == 1


async def test_half_closed_client_gets_its_answer(rig: Rig, vera: bytes) -> None:
    """A client that ends its sending side still gets its answer; then the connection is over."""
    client = await rig.say(get(b"a", vera))
    client.feed_end()
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.sent.endswith(b"ok")
    assert client.ended


async def test_half_closed_client_gets_all_its_answers(rig: Rig, vera: bytes) -> None:
    """Requests that came before the end of the client's side are all served, what is no whole request is not."""
    client = await rig.say(get(b"a", vera) + get(b"b", vera) + b"GET /")
    client.feed_end()
    for _ in range(2):
        rig.upstream.feed(OK)
        await rig.settle()
    assert client.sent == OK * 2
    assert client.ended
    assert asked(rig) == [b"a", b"b"]


async def test_client_ends_within_a_head(rig: Rig, vera: bytes) -> None:
    """A connection that ends within a head is over; there was no request, so there is no record."""
    client = await rig.say(get(b"a", vera)[:-10])
    client.feed_end()
    await rig.settle()
    assert client.closed
    assert rig.decisions() == []


@pytest.mark.parametrize("ended", [pytest.param(True, id="ended"), pytest.param(False, id="open")])
async def test_client_ends_within_a_body_that_nobody_reads_yet(rig: Rig, ana: bytes, ended: bool) -> None:
    """The rest of a body cannot come from a client that ended its side while a connection to the upstream was opened:
    nobody waits for it, and the upstream's connection is cut."""
    client = rig.connect()
    client.feed(put(b"a", ana, b"body")[:-1])
    if ended:
        client.feed_end()
    await rig.settle()
    assert (client.closed, rig.upstream.aborted) == (ended, ended)
    if ended:
        assert [record["ended"] for record in rig.completions()] == ["client_closed"]
    else:
        client.feed(b"y")
        await rig.settle()
        assert rig.forwarded.endswith(b"body"[:-1] + b"y")


async def test_client_leaves_while_waiting(rig: Rig, vera: bytes) -> None:
    """When a client leaves, its upstream connection is ended and not used again; the record stands."""
    client = await rig.say(get(b"a", vera))
    client.drop(ConnectionResetError())
    await rig.settle()
    assert rig.upstream.aborted
    (completion,) = rig.completions()
    assert completion["ended"] == "client_closed"


async def test_client_leaves_before_the_record(rig: Rig, vera: bytes) -> None:
    """A client that leaves before its record is written: recorded, nothing forwarded."""
    client = rig.connect()
    client.feed(get(b"a", vera))
    client.vanish()
    await rig.settle()
    assert rig.pool.opened == []
    assert len(rig.decisions()) == 1


# Expect.


async def test_expect_is_answered_by_the_proxy(rig: Rig, ana: bytes) -> None:
    """100 comes once the request is allowed and never goes upstream; the body follows it up."""
    request = put(b"a", ana + b"Expect: 100-continue\r\n", b"hello")
    client = await rig.say(request[:-5])
    assert client.sent == CONTINUE
    assert b"Expect" not in rig.forwarded
    await rig.feed(client, b"hello")
    assert rig.forwarded.endswith(b"\r\n\r\nhello")
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == CONTINUE + OK


async def test_expect_of_a_refused_request(rig: Rig, vera: bytes) -> None:
    """A refused request gets its refusal and no 100."""
    client = await rig.say(put(b"a", vera + b"Expect: 100-continue\r\n", b"hello")[:-5])
    assert client.sent.startswith(b"HTTP/1.1 403 ")


async def test_expect_with_the_body_at_once(rig: Rig, ana: bytes) -> None:
    """A client that does not wait needs no 100 (RFC 9110 section 10.1.1)."""
    client = await rig.say(put(b"a", ana + b"Expect: 100-continue\r\n", b"hello"))
    assert client.sent == b""
    assert rig.forwarded.endswith(b"\r\n\r\nhello")


# Time.


async def test_head_deadline_is_in_total(rig: Rig, vera: bytes) -> None:
    """A head must be whole within ten seconds from its first byte, however steadily bytes come."""
    client = rig.connect()
    request = get(b"a", vera)
    for place in range(9):
        client.feed(request[place : place + 1])
        await rig.wait(1)
    assert client.sent == b""
    client.feed(request[9:10])
    await rig.wait(2)
    assert client.sent.startswith(b"HTTP/1.1 408 ")
    assert [record["reason"] for record in rig.decisions()] == ["request_timeout"]


async def test_second_head_has_its_own_deadline(rig: Rig, vera: bytes) -> None:
    """The beginning of a next request that came along with the first is held to the deadline from when it is read."""
    client = await rig.say(get(b"a", vera) + b"GET /")
    await rig.wait(20)
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == OK
    await rig.wait(9)
    assert client.sent == OK
    await rig.wait(2)
    assert client.sent.startswith(OK + b"HTTP/1.1 408 ")


async def test_idle_connections_end(rig: Rig, vera: bytes) -> None:
    """A connection without a request ends after the idle timeout, quietly, new or used."""
    fresh = rig.connect()
    used = await rig.say(get(b"a", vera))
    rig.upstream.feed(OK)
    await rig.settle()
    await rig.wait(74)
    before = (fresh.closed, used.closed)
    await rig.wait(2)
    assert (before, fresh.closed, used.closed) == ((False, False), True, True)
    assert fresh.sent == b""
    assert used.sent == OK
    assert len(rig.decisions()) == 1


async def test_lingering_is_bounded(rig: Rig) -> None:
    """After a refusal that closes, what still comes is thrown away, up to a limit of bytes and of time."""
    client = await rig.say(b"GARBAGE\r\n\r\n")
    assert client.ended
    assert not client.closed
    for _ in range(5):
        client.feed(b"x" * 65536)
    await rig.settle()
    assert client.aborted
    assert len(rig.decisions()) == 1


# Cuts.


def _split(stream: bytes, rng: random.Random) -> list[int]:
    return sorted(rng.sample(range(1, len(stream)), rng.randint(0, 12)))


class Answerer:
    """Answers every request that is whole upstream, once."""

    def __init__(self) -> None:
        self._answered: dict[MemoryTransport, int] = {}

    def answer(self, rig: Rig) -> bool:
        """Answer what can be answered now; whether there was anything."""
        found = False
        for upstream in rig.pool.opened:
            sent = bytes(upstream.sent)
            whole = sent.count(b"\r\n\r\n") - (sent.count(b"PUT ") - sent.count(b"hello"))
            if whole > self._answered.get(upstream, 0):
                self._answered[upstream] = whole
                upstream.feed(OK)
                found = True
        return found


@pytest.mark.parametrize("seed", range(25))
async def test_cuts_do_not_matter(rig: Rig, vera: bytes, ana: bytes, seed: int) -> None:
    """A stream of good, refused and malformed requests gets the same answers however it is cut."""
    stream = (
        get(b"a", vera)
        + put(b"b", ana, b"hello")
        + get(b"c", b"")
        + put(b"d", vera, b"")
        + get(b"e", vera + b"X: y\r\n")
        + b"GET /../x HTTP/1.1\r\nHost: h\r\n\r\n"
        + get(b"never", vera)
    )
    rng = random.Random(seed)
    answerer = Answerer()
    client: MemoryTransport = rig.connect()
    last = 0
    for place in [*_split(stream, rng), len(stream)]:
        client.feed(stream[last:place])
        last = place
        await rig.settle()
        while answerer.answer(rig):
            await rig.settle()
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", bytes(client.sent))
    assert statuses == [b"200", b"200", b"401", b"403", b"200", b"400"]
    assert asked(rig) == [b"a", b"b", b"e"]
    assert [record["reason"] for record in rig.decisions()] == [
        "granted",
        "granted",
        "no_credential",
        "not_granted",
        "granted",
        "ambiguous_path",
    ]
