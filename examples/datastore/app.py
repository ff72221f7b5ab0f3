"""Builds the service from its parts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import orjson
import yaml
from aiohttp import web

from examples.datastore.branches import Branches
from examples.datastore.disk import Disk
from examples.datastore.feed import Feeds
from examples.datastore.file_routes import FileRoutes
from examples.datastore.files import FileStore
from examples.datastore.live_routes import LiveRoutes
from examples.datastore.problems import Handler, problems_middleware
from examples.datastore.requests import json_response
from examples.datastore.tree_routes import TreeRoutes

OPENAPI_FILE = Path(__file__).with_name("openapi.yaml")
# Only JSON bodies are read into memory; the bodies of files are streamed and have no limit.
MAX_JSON_BODY_BYTES = 1024 * 1024
HEARTBEAT_S = 15.0
IDENTITY_PREFIX = "x-sidegate-"


def build_app(root: Path, access_log: TextIO | None = None, heartbeat_s: float = HEARTBEAT_S) -> web.Application:
    """
    Build the service.

    Args:
        root: Where everything is kept; made if it is not there.
        access_log: Where one line per request goes; nothing is logged without it.
        heartbeat_s: How long an event stream stays silent before it shows that it is alive.
    """
    disk, feeds = Disk(root), Feeds()
    files = FileStore(disk)
    branches = Branches(disk, files)
    live = LiveRoutes(branches, feeds, heartbeat_s)
    middlewares = [problems_middleware] if access_log is None else [_log_to(access_log), problems_middleware]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_JSON_BODY_BYTES)
    app.router.add_routes(FileRoutes(files, branches, feeds).routes())
    app.router.add_routes(TreeRoutes(disk, files, branches, feeds).routes())
    app.router.add_routes(live.routes())
    app.router.add_routes([web.get("/healthz", check_health), web.get("/openapi.json", Document().serve)])
    app.on_shutdown.append(live.close)
    return app


async def check_health(_: web.Request) -> web.StreamResponse:
    """Say that the loop turns."""
    return json_response({"status": "ok"})


def load_openapi() -> dict[str, Any]:
    """Read the service's own description."""
    document: dict[str, Any] = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))
    return document


class Document:
    """The description as JSON, read when first asked for: that takes a tenth of a second."""

    def __init__(self) -> None:
        self._body: bytes | None = None

    async def serve(self, _: web.Request) -> web.StreamResponse:
        """Return the service's description."""
        if self._body is None:
            self._body = orjson.dumps(load_openapi())
        return web.Response(body=self._body, content_type="application/json")


def _log_to(stream: TextIO) -> Any:  # noqa: ANN401 - aiohttp's own middleware type is private
    @web.middleware
    async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = None
        try:
            response = await handler(request)
        finally:
            stream.write(_describe(request, response) + "\n")
            stream.flush()
        return response

    return log_request


def _describe(request: web.Request, response: web.StreamResponse | None) -> str:
    # JSON, so that no header value can begin a line of its own.
    identity = {
        name.lower().removeprefix(IDENTITY_PREFIX): value
        for name, value in request.headers.items()
        if name.lower().startswith(IDENTITY_PREFIX)
    }
    line = {
        "time": datetime.now(UTC),
        "method": request.method,
        "path": _loggable_path(request),
        # Null where the service itself was stopped before there was an answer.
        "status": None if response is None else response.status,
        "bytes": None if response is None else response.content_length,
        "identity": identity,
    }
    return orjson.dumps(line).decode()


def _loggable_path(request: web.Request) -> str:
    # The token of a published copy is a credential, and a log is no place for one.
    return "/v1/shared/-" if request.path.startswith("/v1/shared/") else request.rel_url.raw_path
