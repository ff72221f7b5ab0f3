"""What the upstream answers and what the client gets of it, byte for byte (spec 2.5)."""

import json
from collections.abc import Iterable

import pytest
from tests.exchange.conftest import MakeRig
from tests.exchange.rig import MemoryTransport, Rig, bytewise

PATH = b"/v1/orgs/acme/projects/p1/branches/x/files/a.json"
LINE = b" " + PATH + b" HTTP/1.1\r\nHost: h\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def ask(rig: Rig, cookie: bytes, method: bytes = b"GET", lines: bytes = b"") -> MemoryTransport:
    """Send a request on a new connection."""
    return await rig.say(method + LINE + cookie + lines + b"\r\n")


def cuttings(data: bytes) -> list[Iterable[int]]:
    """Return ways to cut *data*: not at all, everywhere, in the middle."""
    return [(), bytewise(data), (len(data) // 2,)]


def unchunked(body: bytes) -> bytes:
    """Return the payload of a chunked body that must be whole."""
    payload = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        payload += body[:length]
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]
        if not length:
            assert body == b""
            return payload


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        pytest.param(b"GET", OK, OK, id="length"),
        pytest.param(
            b"GET",
            b"HTTP/1.0 200\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
            id="1.0-without-phrase",
        ),
        pytest.param(
            b"GET",
            b"HTTP/1.1 200 OK\r\nx-B:  1 \r\nKeep-Alive: 5\r\nContent-Length: 0\r\nA: \r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx-B: 1\r\nContent-Length: 0\r\nA: \r\n\r\n",
            id="order-spelling-hop-by-hop",
        ),
        pytest.param(b"GET", b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n", id="204"),
        pytest.param(b"GET", b"HTTP/1.1 304 Not\r\nETag: x\r\n\r\n", b"HTTP/1.1 304 Not\r\nETag: x\r\n\r\n", id="304"),
        pytest.param(
            b"HEAD",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            id="head-of-nothing",
        ),
        pytest.param(
            b"GET",
            b"HTTP/1.1 100 C\r\n\r\n" + OK,
            OK,
            id="100-swallowed",
        ),
        pytest.param(
            b"GET",
            b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK,
            b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK,
            id="other-1xx-forwarded",
        ),
        pytest.param(
            b"GET", b"HTTP/1.1 103 E\r\n\r\n" * 16 + OK, b"HTTP/1.1 103 E\r\n\r\n" * 16 + OK, id="sixteen-1xx"
        ),
    ],
)
async def test_answers(rig: Rig, vera: bytes, method: bytes, answer: bytes, expected: bytes) -> None:
    """The answer reaches the client without hop-by-hop headers, however it is cut; both connections live on."""
    for number, cuts in enumerate(cuttings(answer), 1):
        client = await ask(rig, vera, method)
        await rig.feed(rig.upstream, answer, cuts)
        assert bytes(client.sent) == expected
        assert not client.ended
        assert not rig.upstream.closed
        assert len(rig.decisions()) == number
    assert rig.completions() == []


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        pytest.param(b"GET", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n", id="204"),
        pytest.param(
            b"GET",
            b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
            b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
            id="304",
        ),
        pytest.param(
            b"HEAD",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            id="head",
        ),
        pytest.param(
            b"HEAD",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            id="head-chunked",
        ),
    ],
)
async def test_announced_bodies(rig: Rig, vera: bytes, method: bytes, answer: bytes, expected: bytes) -> None:
    """HEAD, 204 and 304 have no body whatever the head says (spec 2.5); an upstream that announces one may send it a
    moment later, so that its connection serves nobody else."""
    for number, cuts in enumerate(cuttings(answer), 1):
        client = await ask(rig, vera, method)
        await rig.feed(rig.pool.opened[-1], answer, cuts)
        assert bytes(client.sent) == expected
        assert not client.ended
        assert len(rig.pool.opened) == number
        assert rig.pool.opened[-1].closed
    assert rig.completions() == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"5\r\nhello\r\n0\r\n\r\n", id="one-chunk"),
        pytest.param(b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n", id="extensions-and-trailers"),
    ],
)
async def test_chunked_answer(rig: Rig, vera: bytes, body: bytes) -> None:
    """A chunked answer is framed anew, without extensions and trailers; both connections live on."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Trailer\r\n\r\n" + body
    for cuts in cuttings(answer):
        client = await ask(rig, vera)
        await rig.feed(rig.upstream, answer, cuts)
        head, _, sent = bytes(client.sent).partition(b"\r\n\r\n")
        assert head == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
        assert unchunked(sent) == b"hello"
        assert not client.ended


async def test_answer_without_an_end(rig: Rig, vera: bytes) -> None:
    """A body that ends with its connection ends the client's connection in order, announced in the head."""
    client = await ask(rig, vera)
    await rig.feed(rig.upstream, b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhel")
    await rig.feed(rig.upstream, b"lo")
    before = client.ended
    rig.upstream.drop(None)
    await rig.settle()
    assert bytes(client.sent) == b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nhello"
    assert (before, client.ended, client.aborted) == (False, True, False)


async def test_chunked_answer_to_http_1_0(rig: Rig, vera: bytes) -> None:
    """HTTP/1.0 knows no chunks: the payload goes out plain and the connection ends it."""
    client = await rig.say(b"GET " + PATH + b" HTTP/1.0\r\nHost: h\r\n" + vera + b"\r\n")
    await rig.feed(
        rig.upstream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    )
    assert bytes(client.sent) == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
    assert client.ended


async def test_interim_answers_to_http_1_0(rig: Rig, vera: bytes) -> None:
    """HTTP/1.0 clients do not know interim answers and get none (RFC 9110 section 15.2)."""
    client = await rig.say(b"GET " + PATH + b" HTTP/1.0\r\nHost: h\r\n" + vera + b"\r\n")
    await rig.feed(rig.upstream, b"HTTP/1.1 103 E\r\n\r\n" + OK)
    assert client.sent.startswith(b"HTTP/1.1 200 OK\r\n")


INVALID = [
    pytest.param(b"garbage\r\n\r\n", id="no-http"),
    pytest.param(b"\r\n\r\n", id="empty-lines"),
    pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n", id="bare-lf"),
    pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="http2"),
    pytest.param(b"HTTP/1.1 099 Low\r\n\r\n", id="status-too-low"),
    pytest.param(b"HTTP/1.1 600 High\r\n\r\n", id="status-too-high"),
    pytest.param(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", id="blank-before-colon"),
    pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", id="folded"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", id="two-lengths"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", id="length-and-coding"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", id="unknown-coding"),
    pytest.param(b"HTTP/1.1 103 E\r\n\r\n" * 17, id="seventeen-interim-answers"),
    pytest.param(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", id="switch-not-asked-for"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000, id="endless-head"),
]


@pytest.mark.parametrize("answer", INVALID)
async def test_invalid_heads(rig: Rig, vera: bytes, answer: bytes) -> None:
    """A head that cannot be read in one way is 502 `upstream_invalid`; that upstream connection is dropped."""
    for number, cuts in enumerate(cuttings(answer)[: 3 if len(answer) < 1000 else 1]):
        client = await ask(rig, vera)
        await rig.feed(rig.pool.opened[number], answer, cuts)
        head, _, body = bytes(client.sent).rpartition(b"\r\n\r\n")
        assert b"HTTP/1.1 502 Bad Gateway\r\n" in head
        assert json.loads(body)["reason"] == "upstream_invalid"
        assert rig.pool.opened[number].aborted
        assert client.ended
        decisions, completions = rig.decisions(), rig.completions()
        assert [record["outcome"] for record in decisions] == ["allow"] * (number + 1)
        assert completions[-1]["decision_id"] == decisions[-1]["id"] == json.loads(body)["decision_id"]
        assert (completions[-1]["ended"], completions[-1]["reason"]) == ("upstream_failed", "upstream_invalid")


@pytest.mark.parametrize("cuts", [(), (1,), (65_000,), (65_536,), (65_600,)], ids=str)
async def test_head_that_is_too_long(rig: Rig, vera: bytes, cuts: Iterable[int]) -> None:
    """64 KiB are held per direction at most; that a longer head is whole with its last piece changes nothing."""
    client = await ask(rig, vera)
    head = b"HTTP/1.1 200 OK\r\nA: %b\r\nContent-Length: 0\r\n\r\n" % (b"x" * 65_536)
    await rig.feed(rig.pool.opened[-1], head, cuts)
    assert client.sent.startswith(b"HTTP/1.1 502 ")
    assert rig.pool.opened[-1].aborted


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        pytest.param(b"GET", OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!", id="two-answers"),
        pytest.param(b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", id="body-to-head"),
        pytest.param(b"GET", b"HTTP/1.1 204 No\r\n\r\nx", id="body-of-204"),
        pytest.param(b"GET", b"HTTP/1.1 304 Not\r\nContent-Length: 2\r\n\r\nok", id="body-of-304"),
        pytest.param(
            b"GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
            id="after-chunks",
        ),
    ],
)
async def test_bytes_after_the_end(rig: Rig, vera: bytes, method: bytes, answer: bytes) -> None:
    """Bytes after an answer reach neither this client nor the next; the upstream connection is dropped."""
    client = await ask(rig, vera, method)
    await rig.feed(rig.upstream, answer)
    assert client.sent.startswith(b"HTTP/1.1 502 ") or client.aborted
    assert rig.upstream.aborted
    other = await ask(rig, vera)
    assert len(rig.pool.opened) == 2
    rig.pool.opened[1].feed(OK)
    await rig.settle()
    assert other.sent == OK


async def test_upstream_speaks_unasked(rig: Rig, vera: bytes) -> None:
    """An idle upstream connection that speaks is dropped: its bytes would be paired with the next request (W-C)."""
    first = await ask(rig, vera)
    rig.upstream.feed(OK)
    await rig.settle()
    assert first.sent == OK
    rig.upstream.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!")
    await rig.settle()
    assert rig.upstream.aborted
    second = await ask(rig, vera)
    rig.pool.opened[1].feed(OK)
    await rig.settle()
    assert second.sent == OK


@pytest.mark.parametrize(
    ("head", "spoilt"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", None, id="length-cut-short"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", None, id="chunks-cut-short"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"zz\r\n", id="bad-chunk"),
    ],
)
async def test_truncated(rig: Rig, vera: bytes, head: bytes, spoilt: bytes | None) -> None:
    """A body that breaks off is never taken for whole: the connection is cut, and one completion record says so."""
    client = await ask(rig, vera)
    await rig.feed(rig.upstream, head)
    assert client.sent.endswith(b"half") or client.sent.endswith(b"half\r\n")
    if spoilt is None:
        rig.upstream.drop(None)
    else:
        rig.upstream.feed(spoilt)
    await rig.settle()
    assert client.aborted
    assert not client.sent.endswith(b"0\r\n\r\n")
    (completion,) = rig.completions()
    assert completion["reason"] == "upstream_invalid"
    assert completion["bytes_out"] == 4


async def test_endless_body_that_is_reset(rig: Rig, vera: bytes) -> None:
    """A body that ends with its connection and is reset is not whole: the client's connection is cut."""
    client = await ask(rig, vera)
    await rig.feed(rig.upstream, b"HTTP/1.1 200 OK\r\n\r\nhalf")
    rig.upstream.drop(ConnectionResetError())
    await rig.settle()
    assert client.aborted


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", id="says-close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", id="1.0"),
    ],
)
async def test_upstream_connection_not_reused(rig: Rig, vera: bytes, answer: bytes) -> None:
    """An upstream that will close is not asked again on that connection; the client's lives on."""
    client = await ask(rig, vera)
    await rig.feed(rig.upstream, answer)
    assert b"Connection" not in client.sent
    assert not client.ended
    await rig.feed(client, b"GET" + LINE + vera + b"\r\n")
    assert len(rig.pool.opened) == 2
    assert rig.pool.opened[0].closed


async def test_early_answer(rig: Rig, ana: bytes) -> None:
    """A final answer while the body is still coming is forwarded, then both connections close (spec 2.5)."""
    client = await ask(rig, ana, b"PUT", b"Content-Length: 10\r\n")
    await rig.feed(client, b"half")
    await rig.feed(rig.upstream, b"HTTP/1.1 413 Too\r\nContent-Length: 0\r\n\r\n")
    assert bytes(client.sent) == b"HTTP/1.1 413 Too\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert client.ended
    assert rig.upstream.closed
    await rig.feed(client, b"other!" + b"GET" + LINE + ana + b"\r\n")
    assert len(rig.decisions()) == 1


# Retries.


async def _with_idle_upstream(rig: Rig, cookie: bytes) -> None:
    client = await ask(rig, cookie)
    rig.upstream.feed(OK)
    await rig.settle()
    assert client.sent == OK


@pytest.mark.parametrize(
    ("method", "retried"),
    [
        pytest.param(b"GET", True, id="get"),
        pytest.param(b"HEAD", True, id="head"),
        pytest.param(b"POST", False, id="post"),
    ],
)
async def test_idle_connection_ends(rig: Rig, ana: bytes, vera: bytes, method: bytes, retried: bool) -> None:
    """A reused connection that ends without a byte: idempotent requests go out once more, with the same decision."""
    await _with_idle_upstream(rig, vera)
    client = await ask(rig, ana, method)
    rig.upstream.drop(None)
    await rig.settle()
    if retried:
        assert len(rig.pool.opened) == 2
        assert rig.pool.opened[1].sent == rig.pool.opened[0].sent[-len(rig.pool.opened[1].sent) :]
        rig.pool.opened[1].feed(b"HTTP/1.1 204 No\r\n\r\n")
        await rig.settle()
        assert client.sent == b"HTTP/1.1 204 No\r\n\r\n"
    else:
        assert len(rig.pool.opened) == 1
        assert client.sent.startswith(b"HTTP/1.1 502 ")
    assert len(rig.decisions()) == 2


async def test_retried_once_only(rig: Rig, vera: bytes) -> None:
    """A fresh connection that ends as well is 502: nothing is tried for ever."""
    await _with_idle_upstream(rig, vera)
    client = await ask(rig, vera)
    rig.upstream.drop(None)
    await rig.settle()
    rig.pool.opened[1].drop(None)
    await rig.settle()
    assert len(rig.pool.opened) == 2
    assert client.sent.startswith(b"HTTP/1.1 502 ")


async def test_no_retry_after_a_byte(rig: Rig, vera: bytes) -> None:
    """Once a byte of an answer came, nothing is sent again."""
    await _with_idle_upstream(rig, vera)
    client = await ask(rig, vera)
    rig.upstream.feed(b"H")
    await rig.settle()
    rig.upstream.drop(None)
    await rig.settle()
    assert len(rig.pool.opened) == 1
    assert client.sent.startswith(b"HTTP/1.1 502 ")


async def test_no_retry_on_a_fresh_connection(rig: Rig, vera: bytes) -> None:
    """A connection opened for the request that ends without an answer is 502 at once."""
    client = await ask(rig, vera)
    rig.upstream.drop(None)
    await rig.settle()
    assert len(rig.pool.opened) == 1
    assert client.sent.startswith(b"HTTP/1.1 502 ")
    assert rig.completions()[-1]["reason"] == "upstream_unreachable"


# Time and reach.


async def test_no_answer_in_time(make_rig: MakeRig, vera: bytes) -> None:
    """An upstream that does not answer in time is 504; the late answer goes nowhere."""
    rig = await make_rig()
    client = await ask(rig, vera)
    await rig.wait(29)
    assert client.sent == b""
    await rig.wait(2)
    assert client.sent.startswith(b"HTTP/1.1 504 ")
    assert rig.upstream.aborted
    assert rig.completions()[-1]["reason"] == "upstream_timeout"


async def test_unreachable(rig: Rig, vera: bytes) -> None:
    """An upstream that cannot be reached is 502."""
    rig.pool.failure = ConnectionRefusedError()
    client = await ask(rig, vera)
    assert client.sent.startswith(b"HTTP/1.1 502 ")
    assert json.loads(bytes(client.sent).rpartition(b"\r\n\r\n")[2])["reason"] == "upstream_unreachable"


async def test_slow_event_stream_lives(rig: Rig, vera: bytes) -> None:
    """The least rate of a body does not hold for event streams."""
    client = await ask(rig, vera)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    await rig.feed(rig.upstream, head)
    await rig.wait(120)
    await rig.feed(rig.upstream, b"3\r\n:\n\n\r\n0\r\n\r\n")
    assert client.sent.endswith(b"3\r\n:\n\n\r\n0\r\n\r\n")
    assert [line["ended"] for line in rig.completions()] == ["completed"]


async def test_slow_body_is_cut(rig: Rig, vera: bytes) -> None:
    """A response body below the least rate is cut, and the record says why."""
    client = await ask(rig, vera)
    await rig.feed(rig.upstream, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(3):
        await rig.wait(8)
        await rig.feed(rig.upstream, b"x")
    assert client.aborted
    assert [line["ended"] for line in rig.completions()] == ["limit_reached"]


async def test_slow_upload_is_cut(rig: Rig, ana: bytes) -> None:
    """A request body below the least rate is 408, and the upstream's connection is cut within the request."""
    client = await ask(rig, ana, b"PUT", b"Content-Length: 100000\r\n")
    for _ in range(3):
        await rig.wait(8)
        await rig.feed(client, b"x")
    assert client.sent.startswith(b"HTTP/1.1 408 ")
    assert rig.upstream.aborted


async def test_pool_limit(make_rig: MakeRig, vera: bytes) -> None:
    """Beyond the limit of upstream connections requests wait for one to be free, in order."""
    rig = await make_rig(settings={"upstream": {"url": "http://127.0.0.1:9", "max_connections": 2}})
    clients = [await ask(rig, vera) for _ in range(4)]
    assert len(rig.pool.opened) == 2
    for turn in range(2):
        for upstream in rig.pool.opened:
            upstream.feed(OK)
        await rig.settle()
        assert [bytes(client.sent) == OK for client in clients] == [True, True, turn == 1, turn == 1]
    assert len(rig.pool.opened) == 2


async def test_pool_limit_and_unreachable(make_rig: MakeRig, vera: bytes) -> None:
    """When connections cannot be opened, those that wait for one learn it too, at once."""
    rig = await make_rig(settings={"upstream": {"url": "http://127.0.0.1:9", "max_connections": 1}})
    rig.pool.failure = ConnectionRefusedError()
    clients = [rig.connect() for _ in range(4)]
    for client in clients:
        client.feed(b"GET" + LINE + vera + b"\r\n")
    await rig.settle()
    await rig.settle()
    assert [bytes(client.sent[:12]) for client in clients] == [b"HTTP/1.1 502"] * 4


async def test_waiting_client_leaves(make_rig: MakeRig, vera: bytes) -> None:
    """Who waits for an upstream connection and leaves takes none; the next one gets it."""
    rig = await make_rig(settings={"upstream": {"url": "http://127.0.0.1:9", "max_connections": 1}})
    clients = [await ask(rig, vera) for _ in range(3)]
    clients[1].drop(None)
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    rig.upstream.feed(OK)
    await rig.settle()
    assert [bytes(client.sent) for client in clients] == [OK, b"", OK]
    assert rig.forwarded.count(b"HTTP/1.1\r\n") == 2
