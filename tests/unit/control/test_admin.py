"""The server itself."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector, web
from aiohttp.test_utils import TestClient

from sidegate.control.admin import AdminServer, admin_application
from sidegate.control.configuration import Configuration

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]

SETTINGS = {"listen": "127.0.0.1:8080", "sessions": {"secret": "***"}}


async def test_the_first_page_lists_the_routes(serve: Serve) -> None:
    """For who comes without knowing any; as text, or as JSON."""
    client = await serve(Configuration(lambda: SETTINGS))
    text = await (await client.get("/")).text()
    listed = await (await client.get("/", headers={"Accept": "application/json"})).json()
    assert "GET /v1/config  the settings in force, secrets masked\n" in text
    assert [route["path"] for route in listed["routes"]] == ["/v1/config"]


async def test_it_serves_on_a_socket_that_is_bound_already(tmp_path: Path) -> None:
    """A Unix socket too; after close nobody answers."""
    path = str(tmp_path / "admin.sock")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    server = AdminServer(admin_application([Configuration(lambda: SETTINGS)]))
    await server.start(listening)
    async with ClientSession(connector=UnixConnector(path)) as session, session.get("http://x/v1/config") as unnamed:
        assert unnamed.status == 421
    async with ClientSession(connector=UnixConnector(path)) as session, session.get("http://localhost/") as response:
        assert "GET /v1/config" in await response.text()
    await server.close()
    with pytest.raises(ConnectionError):
        await asyncio.open_unix_connection(path)


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_it_serves_on_tcp(family: int, address: str) -> None:
    """On any port of a loopback address; HEAD is GET without the body, and no header gives the software away."""
    listening = socket.socket(family)
    try:
        listening.bind((address, 0))
    except OSError:
        listening.close()
        pytest.skip("no such address here")
    port = listening.getsockname()[1]
    server = AdminServer(admin_application([Configuration(lambda: SETTINGS)]))
    await server.start(listening)
    host = f"[{address}]" if ":" in address else address
    async with ClientSession() as session, session.head(f"http://{host}:{port}/v1/config") as response:
        assert (response.status, await response.read(), response.headers["Server"]) == (200, b"", "sidegate")
    await server.close()
