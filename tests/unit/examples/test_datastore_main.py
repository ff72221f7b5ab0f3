"""The command: it listens where it is told, says so, and stops when it is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from examples.datastore.__main__ import parse_arguments

ROOT = Path(__file__).resolve().parents[3]
AS_MODULE = ["-m", "examples.datastore"]
AS_FOLDER = ["examples/datastore"]
KEYS = "/v1/orgs/acme/projects/p1/branches/main/files/secrets/keys.json"


@contextmanager
def _running(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("datastore listening on ")
            yield process, line.split()[-1]
        finally:
            process.kill()


async def _read(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as answer:
        return answer.status


@pytest.mark.parametrize("form", [pytest.param(AS_MODULE, id="module"), pytest.param(AS_FOLDER, id="folder")])
async def test_tcp(form: list[str], tmp_path: Path) -> None:
    """Both ways to start it are the same; the line it prints names the port; SIGTERM ends it with 0."""
    with _running(*form, "--listen", "127.0.0.1:0", "--root", str(tmp_path), "--seed") as (process, url):
        async with aiohttp.ClientSession() as session:
            assert await _read(session, f"{url}/healthz") == 200
            assert await _read(session, f"{url}{KEYS}") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


async def test_unix_socket(tmp_path: Path) -> None:
    """It listens on a Unix socket, also where one of an earlier run was left."""
    place = tmp_path / "datastore.sock"
    for _ in range(2):
        with _running(*AS_MODULE, "--listen", f"unix:{place}", "--root", str(tmp_path / "root")) as (_, address):
            assert address == f"unix:{place}"
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(place))) as session:
                assert await _read(session, "http://datastore/healthz") == 200


def test_defaults() -> None:
    """Without arguments it is a loopback service with an empty root and a silent log."""
    options = parse_arguments([])
    assert (options.listen, options.root, options.seed, options.access_log) == (
        "127.0.0.1:9000",
        Path("var/datastore"),
        False,
        False,
    )
