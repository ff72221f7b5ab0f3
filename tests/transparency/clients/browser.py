"""Headless Chromium on a page that fetches, listens to an EventSource and talks through a WebSocket."""

import asyncio
import gzip
import hashlib
import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from queue import Queue
from typing import Final

from aiohttp import WSMsgType, web
from tests.transparency.comparing import sidecar_for
from tests.transparency.exchanges import ROUTES
from tests.transparency.store import BIG, DATA

_FOLDER: Final = "/v1/orgs/acme/projects/p1/branches/x/files"
_PAGE: Final = Path(__file__).with_name("page.html")
_LOGIN: Final = "- get: /login\n  public: true\n"
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--proxy-server=direct://",
)  # fmt: skip
_DEADLINE_S: Final = 120.0


class Site:
    """Serves the page and what it asks for, in a thread.

    Attributes:
        port: Where.
        results: What pages told.
        asked: (method, path) of every request but the result.
    """

    def __init__(self) -> None:
        self.results: Queue[str] = Queue()
        self.asked: list[tuple[str, str]] = []
        self.token = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_DEADLINE_S)

    def close(self) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(_DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> int:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/login", self._login)
        app.router.add_route("*", _FOLDER + "/{name}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _login(self, request: web.Request) -> web.Response:
        del request
        cookie = {"Set-Cookie": f"__session={self.token}; Path=/; HttpOnly", "Location": f"{_FOLDER}/page.html"}
        return web.Response(status=303, headers=cookie)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "result":
            self.results.put(await request.text())
            return web.Response()
        self.asked.append((request.method, request.path_qs))
        if name == "live":
            return await self._talk(request)
        if name == "events":
            return await self._events(request)
        return await self._answer(request, name)

    async def _answer(self, request: web.Request, name: str) -> web.Response:
        if request.method != "GET":
            body = await request.read()
            return web.json_response({"sum": hashlib.sha256(body).hexdigest()}, status=201)
        match name:
            case "page.html":
                return web.Response(body=_PAGE.read_bytes(), content_type="text/html")
            case "data.json":
                if request.headers.get("If-None-Match") == '"v1"':
                    return web.Response(status=304, headers={"ETag": '"v1"'})
                return web.Response(body=DATA, content_type="application/json", headers={"ETag": '"v1"'})
            case "packed":
                return web.Response(body=gzip.compress(DATA * 50, mtime=0), headers={"Content-Encoding": "gzip"})
            case "big" if "Range" in request.headers:
                placed = {"Content-Range": f"bytes 5-9/{len(BIG)}"}
                return web.Response(status=206, body=BIG[5:10], headers=placed)
            case "big":
                return web.Response(body=BIG)
            case "elsewhere":
                return web.Response(status=302, headers={"Location": "data.json?from=elsewhere"})
            case _:
                return web.Response(status=404)

    @staticmethod
    async def _events(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await answer.prepare(request)
        for number in range(20):
            await answer.write(f"id: {number}\nevent: site\ndata: € {number}\n\n".encode())
        await answer.write(b"event: end\ndata:\n\n")
        return answer

    @staticmethod
    async def _talk(request: web.Request) -> web.WebSocketResponse:
        talk = web.WebSocketResponse(protocols=["chat"])
        await talk.prepare(request)
        async for message in talk:
            if message.data == "close":
                await talk.close(code=4000, message=b"as asked")
            elif message.type is WSMsgType.TEXT:
                await talk.send_str(message.data)
            else:
                await talk.send_bytes(message.data)
        return talk


def _visit(folder: Path, port: int, site: Site) -> list[object]:
    # With a port for debuggers it stays until it is ended.
    flags = (*_FLAGS, "--remote-debugging-port=0", f"--user-data-dir={folder}")
    command = ["chromium", *flags, f"http://127.0.0.1:{port}/login"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            told = site.results.get(timeout=_DEADLINE_S)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    return list(json.loads(told))


def compare(folder: Path) -> tuple[int, list[str]]:
    """Visit the page without Sidegate and with it; return the number of requests and what differs."""
    site = Site()
    try:
        with sidecar_for(folder, site.port, routes=ROUTES + _LOGIN) as (sidecar, token):
            site.token = token
            made, asked = [], []
            for name, port in (("direct", site.port), ("through", sidecar.port)):
                site.asked.clear()
                made.append(_visit(folder / name, port, site))
                asked.append(sorted(one for one in site.asked if "favicon" not in one[1]))
    finally:
        site.close()
    found = [f"{one}, and {other} with Sidegate" for one, other in zip(*made, strict=False) if one != other]
    found += [] if len(made[0]) == len(made[1]) else [f"{made[0]}, and {made[1]} with Sidegate"]
    found += [] if asked[0] == asked[1] else [f"asked for {asked[0]}, and {asked[1]} with Sidegate"]
    found += [f"it failed: {one}" for one in made[1] if isinstance(one, list) and one[0] == "failed"]
    return len(asked[1]), found
