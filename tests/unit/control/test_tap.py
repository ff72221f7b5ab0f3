"""The tap on the admin port."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from sidegate.audit.layout import segment_path
from sidegate.control.tap import MAX_TAPS, Taps

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]


def _line(outcome: str, org: str = "acme") -> bytes:
    time = "2026-11-22T00:00:00.000Z"
    return orjson.dumps({"v": 1, "record": "decision", "time": time, "outcome": outcome, "org": org}) + b"\n"


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """The segment that one sidecar writes."""
    path = segment_path(tmp_path / "a", 1)
    path.parent.mkdir()
    path.write_bytes(_line("allow"))
    return path


def _write(segment: Path, *lines: bytes) -> None:
    with segment.open("ab") as file:
        file.write(b"".join(lines))


async def test_records_are_streamed_as_they_are(serve: Serve, tmp_path: Path, segment: Path) -> None:
    """From now on, one to a line, those that are asked for; an empty line says at once that the tap is open."""
    client = await serve(Taps(tmp_path, asyncio.Event()))
    response = await client.get("/v1/tap", params={"outcome": "deny", "org": "acme"})
    assert (response.status, response.content_type) == (200, "application/x-ndjson")
    assert response.headers["Cache-Control"] == "no-store"
    assert await response.content.readline() == b"\n"
    _write(segment, _line("allow"), _line("deny", "globex"), _line("deny"))
    assert await response.content.readline() == _line("deny")
    response.close()


async def test_what_is_passed_over_is_said(serve: Serve, tmp_path: Path, segment: Path) -> None:
    """In a line of its own, behind what was found."""
    client = await serve(Taps(tmp_path, asyncio.Event()))
    response = await client.get("/v1/tap")
    assert await response.content.readline() == b"\n"
    _write(segment, *[_line("deny")] * 1000)
    skipped = found = 0
    while skipped + found < 1000:
        members = orjson.loads(await response.content.readline())
        skipped += members.get("tap", {}).get("skipped", 0)
        found += "tap" not in members
    assert skipped > 0
    response.close()


@pytest.mark.usefixtures("segment")
async def test_stopping_ends_every_tap(serve: Serve, tmp_path: Path) -> None:
    """Nobody who watches holds up the end of the process."""
    stopping = asyncio.Event()
    client = await serve(Taps(tmp_path, stopping))
    response = await client.get("/v1/tap")
    assert await response.content.readline() == b"\n"
    stopping.set()
    assert await response.content.readline() == b""


async def test_there_are_only_so_many(serve: Serve, tmp_path: Path, segment: Path) -> None:
    """Each costs something; one that ends makes room."""
    client = await serve(Taps(tmp_path, asyncio.Event()))
    taps = [await client.get("/v1/tap") for _ in range(MAX_TAPS)]
    refused = await client.get("/v1/tap")
    assert (refused.status, (await refused.json())["detail"]) == (429, "4 taps are open already")
    for tap in taps:
        tap.close()
    while (again := await client.get("/v1/tap")).status == 429:
        _write(segment, _line("deny"))  # noticed when something is to be sent
    assert again.status == 200
    again.close()


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        pytest.param("outcom=deny", "`outcom` is no filter", id="unknown"),
        pytest.param("org=a&org=b", "`org` stands in the query twice", id="twice"),
        pytest.param("outcome=maybe", "`outcome` has no such value", id="outcome"),
        pytest.param("reason=because", "`reason` has no such value", id="reason"),
        pytest.param("authority=eat", "`authority` has no such value", id="authority"),
        pytest.param("divergent=1", "`divergent` is neither true nor false", id="flag"),
        pytest.param("target=p1@@", "`target`: ", id="target"),
    ],
)
async def test_question_that_cannot_be_read_is_refused(query: str, detail: str, serve: Serve, tmp_path: Path) -> None:
    """With what is wrong and what there is; a filter that is not understood must not show everything."""
    client = await serve(Taps(tmp_path, asyncio.Event()))
    response = await client.get(f"/v1/tap?{query}")
    assert response.status == 400
    assert (await response.json())["detail"].startswith(detail)


async def test_without_a_spool_there_is_nothing_to_watch(serve: Serve) -> None:
    """And it says which setting keeps it so."""
    client = await serve(Taps(None, asyncio.Event()))
    response = await client.get("/v1/tap")
    assert response.status == 409
    assert "audit.durability" in (await response.json())["hint"]


async def test_head_answers_without_a_stream(serve: Serve, tmp_path: Path) -> None:
    """Or it would never end."""
    client = await serve(Taps(tmp_path, asyncio.Event()))
    response = await client.head("/v1/tap")
    assert (response.status, response.content_type) == (200, "application/x-ndjson")
