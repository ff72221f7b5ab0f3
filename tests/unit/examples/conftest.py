"""The example DataStore under a temporary root, with the sample organizations."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from examples.datastore.app import build_app
from examples.datastore.seed import seed

Client = TestClient[web.Request, web.Application]

PROJECT = "/v1/orgs/acme/projects/p1"
MAIN = f"{PROJECT}/branches/main"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root that holds the samples."""
    root = tmp_path / "datastore"
    seed(root)
    return root


@pytest.fixture
async def client(root: Path) -> AsyncIterator[Client]:
    """Return a client of a service on that root."""
    async with TestClient(TestServer(build_app(root, heartbeat_s=0.05))) as client:
        yield client


@pytest.fixture(autouse=True)
def open_handles() -> Iterator[None]:
    """Fail a test after which more files are open than before: every path out of a handler closes its file."""
    yield
    leaked = [
        target
        for entry in Path("/proc/self/fd").iterdir()
        if "/datastore/acme/" in (target := str(entry.readlink()) if entry.is_symlink() else "")
    ]
    assert leaked == []
