"""What stays open or is large: bodies both ways with back-pressure, event streams, WebSockets (spec 2.5, 2.6)."""

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.integration.client import Client
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import FILES, ROUTE_FILE, Sidecar
from tests.integration.upstream import OK, Conversation, LoggingUpstream
from tests.integration.waiting import DEADLINE_S, eventually
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.server import ServerConnection, serve

LIVE = "/v1/orgs/acme/live"
MIB = 1 << 20
BIG = 48 * MIB
# What two kernels and one proxy may hold of a stream that nobody reads: socket buffers grow to some MiB.
HELD_MAX = 24 * MIB
PATIENT = {"limits": {"min_body_rate": 0}}
"""However long a busy machine lets one side wait, the other is not ended for it."""


def _request(sidecar: Sidecar, method: str, path: str, *lines: str, who: str = "ana") -> bytes:
    cookie = f"Cookie: __session={sidecar.session(who)}"
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: gate.example", cookie, *lines]).encode() + b"\r\n\r\n"


def _memory(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    with open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123 - a file of the kernel
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Pump:
    """An upstream script that sends a large body with a length, as fast as it is taken."""

    def __init__(self, chunked: bool) -> None:
        self.sent = 0
        self._chunked = chunked

    def __call__(self, conversation: Conversation) -> None:
        if conversation.read_request() is None:
            return
        block = bytes(range(256)) * 256
        framing = b"Transfer-Encoding: chunked" if self._chunked else b"Content-Length: %d" % BIG
        conversation.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
        for _ in range(BIG // len(block)):
            conversation.send(b"%x\r\n%b\r\n" % (len(block), block) if self._chunked else block)
            self.sent += len(block)
        if self._chunked:
            conversation.send(b"0\r\n\r\n")


@pytest.mark.parametrize("chunked", [pytest.param(False, id="length"), pytest.param(True, id="chunked")])
def test_large_download(make_sidecar: MakeSidecar, upstream: LoggingUpstream, chunked: bool) -> None:
    """A client that does not read stops the upstream; memory stays flat; then every byte arrives, in order."""
    pump = Pump(chunked)
    upstream.script = pump
    sidecar = make_sidecar(settings=PATIENT).start()
    sidecar.ask("GET", ROUTE_FILE)
    before = _memory(sidecar.pid)
    with sidecar.connect() as client:
        client.send(_request(sidecar, "GET", ROUTE_FILE))
        first = client.read_some(1)
        _wait_until_still(lambda: pump.sent)
        assert pump.sent < HELD_MAX
        assert _memory(sidecar.pid) - before < 8 * MIB
        client.unread(first)
        response = client.read_response()
    digest = hashlib.sha256(bytes(range(256)) * (BIG // 256)).digest()
    assert (response.status, hashlib.sha256(response.body).digest()) == (200, digest)
    assert _memory(sidecar.pid) - before < 8 * MIB


def _wait_until_still(count: Callable[[], int]) -> None:
    """Wait until *count* has not changed over some looks."""
    seen: list[int] = []

    def is_still() -> bool:
        seen.append(count())
        return seen[-1] > 0 and len(seen) > 30 and len(set(seen[-30:])) == 1

    eventually(is_still, "nothing moves any more")


@pytest.mark.parametrize("chunked", [pytest.param(False, id="length"), pytest.param(True, id="chunked")])
def test_large_upload(make_sidecar: MakeSidecar, upstream: LoggingUpstream, chunked: bool) -> None:
    """An upstream that does not read stops the client; memory stays flat; then every byte arrives, in order."""
    go = threading.Event()
    digests = []

    def script(conversation: Conversation) -> None:
        head = conversation.read_head()
        if head is None:
            return
        assert go.wait(DEADLINE_S)
        digest = hashlib.sha256()
        if chunked:
            for piece in conversation.iterate_chunks():
                digest.update(piece)
        else:
            left = BIG
            while left:
                piece = conversation.read_exactly(min(left, 65536))
                digest.update(piece)
                left -= len(piece)
        digests.append(digest.digest())
        conversation.send(OK)

    upstream.script = script
    sidecar = make_sidecar(settings=PATIENT).start()
    sidecar.ask("GET", ROUTE_FILE)
    before = _memory(sidecar.pid)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {BIG}"
    block = bytes(range(256)) * 256
    sent = 0
    with sidecar.connect() as client:

        def push() -> None:
            nonlocal sent
            client.send(_request(sidecar, "PUT", f"{FILES}/big", framing))
            for _ in range(BIG // len(block)):
                client.send(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
                sent += len(block)
            if chunked:
                client.send(b"0\r\n\r\n")

        pushing = threading.Thread(target=push)
        pushing.start()
        _wait_until_still(lambda: sent)
        assert sent < HELD_MAX
        assert _memory(sidecar.pid) - before < 8 * MIB
        go.set()
        assert client.read_response().status == 200
        pushing.join()
    assert digests == [hashlib.sha256(block * (BIG // len(block))).digest()]
    assert _memory(sidecar.pid) - before < 8 * MIB


def test_client_leaves_a_download(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """When the client goes, the upstream's transfer is ended, and one completion record says how far it came."""
    upstream.script = Pump(chunked=False)
    sidecar = make_sidecar().start()
    with sidecar.connect() as client:
        client.send(_request(sidecar, "GET", ROUTE_FILE))
        client.read_some()
        client.abort()
    eventually(lambda: sidecar.completions() or None, "a completion record")
    (completion,) = sidecar.completions()
    (decision,) = [record for record in sidecar.decisions() if record["outcome"] == "allow"]
    assert (completion["decision_id"], completion["ended"]) == (decision["id"], "client_closed")
    assert 0 < completion["bytes_out"] < BIG
    eventually(lambda: sidecar.metric("sidegate_requests_in_flight") == 0, "nothing is in flight")


def test_client_leaves_an_upload(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """When the client goes within its body, the upstream sees a cut connection, never a whole request."""
    ended = threading.Event()

    def script(conversation: Conversation) -> None:
        try:
            conversation.read_request()
        except ConnectionError:
            ended.set()

    upstream.script = script
    sidecar = make_sidecar().start()
    with sidecar.connect() as client:
        client.send(_request(sidecar, "PUT", f"{FILES}/new", "Content-Length: 1000") + b"half")
        eventually(lambda: b"half" in upstream.seen or None, "the first half has reached the upstream")
    assert ended.wait(DEADLINE_S)
    assert upstream.requests.empty()
    eventually(lambda: [line["ended"] for line in sidecar.completions()] == ["client_closed"], "a completion record")


def test_event_stream(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """Each event reaches the client as it is sent, without waiting for more; the stream has a completion record."""
    go = threading.Semaphore(0)

    def script(conversation: Conversation) -> None:
        conversation.read_request()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        conversation.send(head)
        for number in range(3):
            assert go.acquire(timeout=DEADLINE_S)
            event = b"data: %d\n\n" % number
            conversation.send(b"%x\r\n%b\r\n" % (len(event), event))
        conversation.send(b"0\r\n\r\n")

    upstream.script = script
    sidecar = make_sidecar().start()
    with sidecar.connect() as client:
        client.send(_request(sidecar, "GET", LIVE))
        client.read_until(b"\r\n\r\n")
        for number in range(3):
            go.release()
            client.read_until(b"data: %d\n\n" % number)
        client.read_until(b"0\r\n\r\n")
    eventually(lambda: [line["ended"] for line in sidecar.completions()] == ["completed"], "a completion record")


# WebSockets.


class EchoServer:
    """A WebSocket server of the `websockets` library that sends back what it gets."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.closed: list[int | None] = []
        self.paths: list[str] = []
        self._server = serve(self._echo, sock=self._listening, max_size=None)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _echo(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        with contextlib.suppress(ConnectionClosed):
            while True:
                connection.send(connection.recv())
        self.closed.append(connection.close_code)

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    """Return a running echo server."""
    server = EchoServer()
    yield server
    server.close()


async def test_websocket(make_sidecar: MakeSidecar, echo: EchoServer) -> None:
    """A real client and a real server talk through it: text, binary, large, pings, and the close code of both."""
    sidecar = make_sidecar(upstream=echo.url).start()
    headers = {"Cookie": f"__session={sidecar.session('ana')}"}
    large = os.urandom(4 * MIB)
    url = f"ws://127.0.0.1:{sidecar.port}{LIVE}?since=1"
    async with connect(url, additional_headers=headers, max_size=None) as socket_:
        for message in ("hello", b"\x00\xff", "", large):
            await socket_.send(message)
            assert await socket_.recv() == message
        await (await socket_.ping())
        await socket_.close(code=4001)
    eventually(lambda: echo.closed == [4001], "the close code has reached the server")
    assert echo.paths == [f"{LIVE}?since=1"]
    eventually(lambda: len(sidecar.completions()) == 1, "a completion record")
    completion = sidecar.completions()[0]
    assert completion["status"] == 101
    assert completion["bytes_in"] > 4 * MIB
    assert completion["bytes_out"] > 4 * MIB


async def test_many_websockets(make_sidecar: MakeSidecar, echo: EchoServer) -> None:
    """Connections do not mix: each gets its own messages back."""
    sidecar = make_sidecar(upstream=echo.url).start()
    headers = {"Cookie": f"__session={sidecar.session('ana')}"}

    async def talk(number: int) -> list[str | bytes]:
        async with connect(f"ws://127.0.0.1:{sidecar.port}{LIVE}", additional_headers=headers) as socket_:
            answers = []
            for part in range(20):
                await socket_.send(f"{number}-{part}")
                answers.append(await socket_.recv())
            return answers

    said = await asyncio.gather(*[talk(number) for number in range(16)])
    assert said == [[f"{number}-{part}" for part in range(20)] for number in range(16)]


async def test_websocket_refused(make_sidecar: MakeSidecar, echo: EchoServer) -> None:
    """Without a credential the handshake is answered 401 and nothing reaches the server."""
    sidecar = make_sidecar(upstream=echo.url).start()
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{sidecar.port}{LIVE}")
    assert refused.value.response.status_code == 401
    assert echo.paths == []


UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
KEY = base64.b64encode(b"0123456789abcdef").decode()
ACCEPT = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
)


def _shake(sidecar: Sidecar) -> Client:
    client = sidecar.connect()
    client.send(_request(sidecar, "GET", LIVE, *UPGRADE, f"Sec-WebSocket-Key: {KEY}"))
    return client


def test_tunnel_is_byte_for_byte(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """After the 101 bytes pass untouched, those that the upstream sent right behind it first."""

    def script(conversation: Conversation) -> None:
        head = conversation.read_head()
        assert head is not None
        assert f"Sec-WebSocket-Key: {KEY}\r\n".encode() in head
        assert head.lower().count(b"upgrade: websocket\r\n") == 1
        conversation.send(SWITCH.encode() + b"\x81\x02hi")
        conversation.send(b"\x81\x03" + conversation.read_exactly(3))

    upstream.script = script
    sidecar = make_sidecar().start()
    with _shake(sidecar) as client:
        head = client.read_response()
        assert (head.status, head.field("Sec-WebSocket-Accept"), head.field("Upgrade")) == (101, ACCEPT, "websocket")
        client.send(b"abc")
        assert client.read_to_end() == b"\x81\x02hi\x81\x03abc"


def test_early_bytes_do_not_pass(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """What the client sends before the 101 never reaches the upstream; the connection is ended."""
    go = threading.Event()

    def script(conversation: Conversation) -> None:
        conversation.read_head()
        assert go.wait(DEADLINE_S)
        conversation.send(SWITCH.encode())
        while conversation.receive():
            pass

    upstream.script = script
    sidecar = make_sidecar().start()
    with _shake(sidecar) as client:
        eventually(lambda: upstream.seen.endswith(b"\r\n\r\n"), "the handshake has reached the upstream")
        client.send(b"GET /smuggled HTTP/1.1\r\n\r\n")
        go.set()
        assert client.is_ended()
    assert b"smuggled" not in upstream.seen


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(SWITCH.replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), id="wrong-accept"),
        pytest.param(SWITCH.replace("Upgrade: websocket", "Upgrade: h2c"), id="other-protocol"),
        pytest.param(SWITCH.replace(f"Sec-WebSocket-Accept: {ACCEPT}\r\n", ""), id="no-accept"),
    ],
)
def test_wrong_switch(make_sidecar: MakeSidecar, upstream: LoggingUpstream, answer: str) -> None:
    """A tunnel opens only on the right 101; any other is 502."""

    def script(conversation: Conversation) -> None:
        conversation.read_head()
        conversation.send(answer.encode())
        conversation.receive()

    upstream.script = script
    sidecar = make_sidecar().start()
    with _shake(sidecar) as client:
        assert client.read_response().verdict == (502, "upstream_invalid")


def test_upgrade_declined(make_sidecar: MakeSidecar, upstream: LoggingUpstream) -> None:
    """An ordinary answer to a handshake is passed on, and both connections close after it."""

    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(OK)
        assert conversation.read_head() is None

    upstream.script = script
    sidecar = make_sidecar().start()
    with _shake(sidecar) as client:
        answer = client.read_response()
        assert (answer.status, answer.field("Connection")) == (200, "close")
        assert client.is_ended()
