"""Changes as they happen: the event stream and the WebSocket."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientResponse, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer
from examples.datastore.app import build_app

Client = TestClient[web.Request, web.Application]

PROJECT = "/v1/orgs/acme/projects/p1"
MAIN = f"{PROJECT}/branches/main"


@pytest.fixture
async def patient(root: Path) -> AsyncIterator[Client]:
    """Return a client of a service whose streams send no heartbeat while a test lasts."""
    async with TestClient(TestServer(build_app(root, heartbeat_s=60))) as client:
        yield client


async def _next_event(stream: ClientResponse) -> dict[str, str]:
    event = {}
    while line := (await stream.content.readline()).decode().rstrip("\n"):
        name, _, value = line.partition(":")
        event[name] = value.strip()
    return event


async def test_events(patient: Client) -> None:
    """A stream begins with a comment and then brings every change of its project, and of no other."""
    async with patient.get(f"{PROJECT}/events") as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        assert await _next_event(stream) == {"": "open"}
        await patient.put("/v1/orgs/acme/projects/p2/branches/main/files/other.txt", data=b"x")
        await patient.put(f"{MAIN}/files/a.txt", data=b"abc")
        await patient.delete(f"{MAIN}/files/a.txt")
        written, deleted = await _next_event(stream), await _next_event(stream)
    assert written["event"] == "file.written"
    assert json.loads(written["data"]) == {"branch": "main", "path": "a.txt", "version": 1, "size": 3}
    assert (deleted["event"], json.loads(deleted["data"])) == ("file.deleted", {"branch": "main", "path": "a.txt"})


async def test_each_kind_of_change(patient: Client) -> None:
    """Every operation that changes something says so."""
    async with patient.get(f"{PROJECT}/events") as stream:
        await _next_event(stream)
        for method, path, body in (
            ("PUT", f"{MAIN}/files/a.txt", {}),
            ("POST", f"{MAIN}:move", {"source": "a.txt", "destination": "b.txt"}),
            ("PATCH", f"{MAIN}/files/b.txt", {"find": "{", "replace": "["}),
            ("DELETE", f"{MAIN}/trees/designs", {}),
            ("POST", f"{MAIN}:promote", {}),
            ("POST", f"{MAIN}:merge", {"source": "x"}),
            ("POST", f"{PROJECT}/branches/y", {"from": "x"}),
            ("DELETE", f"{PROJECT}/branches/y", {}),
            ("POST", f"{PROJECT}:share", {}),
            ("PUT", PROJECT, {"title": "t"}),
        ):
            assert (await patient.request(method, path, json=body)).ok
        events = [await _next_event(stream) for _ in range(10)]
    assert [event["event"] for event in events] == [
        "file.written", "file.moved", "file.written", "tree.deleted", "branch.promoted", "branch.merged",
        "branch.created", "branch.deleted", "project.shared", "project.updated",
    ]  # fmt: skip
    assert "/v1/shared/" not in events[8]["data"]


async def test_resume(patient: Client) -> None:
    """With the id of the last event seen, a reader gets exactly what it missed."""
    async with patient.get(f"{PROJECT}/events") as stream:
        await _next_event(stream)
        await patient.put(f"{MAIN}/files/a.txt", data=b"1")
        seen = await _next_event(stream)
    await patient.put(f"{MAIN}/files/b.txt", data=b"2")
    await patient.put(f"{MAIN}/files/c.txt", data=b"3")
    async with patient.get(f"{PROJECT}/events", headers={"Last-Event-ID": seen["id"]}) as stream:
        await _next_event(stream)
        missed = [json.loads((await _next_event(stream))["data"])["path"] for _ in range(2)]
    assert missed == ["b.txt", "c.txt"]


async def test_resume_from_unknown(patient: Client) -> None:
    """A reader whose last event is not known is told so, and goes on from now."""
    async with patient.get(f"{PROJECT}/events", headers={"Last-Event-ID": "deadbeef.1"}) as stream:
        assert await _next_event(stream) == {"": "open"}
        assert (await _next_event(stream))["event"] == "lost"
        await patient.put(f"{MAIN}/files/a.txt", data=b"1")
        assert (await _next_event(stream))["event"] == "file.written"


async def test_heartbeat(client: Client) -> None:
    """A silent stream shows that it is alive."""
    async with client.get(f"{PROJECT}/events") as stream:
        assert [await _next_event(stream) for _ in range(2)] == [{"": "open"}, {"": "still here"}]


async def test_socket(patient: Client) -> None:
    """A socket brings changes as JSON, answers ping with pong, and any binary message with itself."""
    async with patient.ws_connect(f"{PROJECT}/live") as socket:
        assert await socket.receive_json() == {"event": "open"}
        await socket.send_str("ping")
        assert await socket.receive_str() == "pong"
        await socket.send_bytes(b"\0\xff" * 70_000)
        assert await socket.receive_bytes() == b"\0\xff" * 70_000
        await patient.put(f"{MAIN}/files/a.txt", data=b"abc")
        change = await socket.receive_json()
    assert change["event"] == "file.written"
    assert change["data"] == {"branch": "main", "path": "a.txt", "version": 1, "size": 3}


async def test_unknown_project(client: Client) -> None:
    """There is nothing to follow in a project that does not exist."""
    assert (await client.get("/v1/orgs/acme/projects/p9/events")).status == 404
    assert (await client.get("/v1/orgs/acme/projects/p9/live")).status == 404


async def test_streams_end_with_the_service(root: Path) -> None:
    """A stop ends every stream at once: event streams by their end, sockets with 1001."""
    async with TestClient(TestServer(build_app(root, heartbeat_s=60))) as client:
        stream = await client.get(f"{PROJECT}/events")
        socket = await client.ws_connect(f"{PROJECT}/live")
        await _next_event(stream)
        await socket.receive_json()
        closing = asyncio.ensure_future(client.server.close())
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        assert await stream.content.read() == b""
        await closing


async def test_access_log(root: Path) -> None:
    """One JSON line per request holds the proxy's identity headers, and no link of a published copy."""
    log = io.StringIO()
    async with TestClient(TestServer(build_app(root, access_log=log))) as client:
        path = f"{MAIN}/files/secrets/keys.json"
        await client.get(path, headers={"X-Sidegate-Account": "user:ana", "Authorization": "Bearer x"})
        await client.get(f"/v1/shared/{'A' * 43}/a.txt")
    first, second = (json.loads(line) for line in log.getvalue().splitlines())
    assert ("GET", path, 200, {"account": "user:ana"}) == tuple(
        first[key] for key in ("method", "path", "status", "identity")
    )
    assert (second["path"], second["status"]) == ("/v1/shared/-", 404)
    assert "Bearer" not in log.getvalue()


class LineQueue(io.StringIO):
    """An access log whose lines can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def write(self, text: str) -> int:
        """Take one line."""
        self.lines.put_nowait(text)
        return len(text)


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[tuple[str, int]]:
    # As the command does it: the test server would cancel a handler whose client is gone.
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield host, port
    finally:
        await runner.cleanup()


async def test_client_that_goes_away(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A client that leaves half-way, reading or writing, is a line of the access log and not a fault."""
    log = LineQueue()
    # More than the socket buffers of both sides take, so that the service is still sending when the client goes.
    (root / "acme/p1/branches/main/files/big.bin").write_bytes(bytes(16 * 1024 * 1024))
    logged = []
    async with _serving(build_app(root, access_log=log)) as address, asyncio.timeout(20):
        for method, length in (("GET", 0), ("PUT", 9)):
            reader, writer = await asyncio.open_connection(*address)
            head = f"{method} {MAIN}/files/big.bin HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
            writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
            # The service has the request by now, and waits for the body or has begun with its own.
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            line = json.loads(await log.lines.get())
            logged.append((line["method"], line["status"]))
    assert logged == [("GET", 499), ("PUT", 499)]
    assert caplog.records == []
