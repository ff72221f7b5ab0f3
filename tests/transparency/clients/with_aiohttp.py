"""aiohttp's client."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
from tests.integration.waiting import DEADLINE_S
from tests.transparency.comparing import Got, got
from tests.transparency.store import BODY, NAMES


def use(folder: str, token: str) -> list[Got]:
    """Ask for everything below *folder*."""
    return asyncio.run(_use(folder, token))


async def _use(folder: str, token: str) -> list[Got]:
    made = []
    limit = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, timeout=limit) as client:
        for method, name, options in (
            *(("GET", name, {"allow_redirects": False}) for name in NAMES),
            ("GET", "elsewhere", {}),
            ("GET", "data.json", {"params": {"a": "b c", "d": "ü"}}),
            ("HEAD", "big", {}),
            ("GET", "big", {"headers": {"Range": "bytes=7-9"}}),
            ("PUT", "put", {"data": BODY}),
            ("PUT", "expect", {"data": BODY, "expect100": True}),
            ("POST", "chunks", {"data": _pieces()}),
            ("POST", "packed", {"data": BODY, "compress": "gzip"}),
            ("POST", "json", {"json": {"a": "ü"}}),
            ("DELETE", "gone", {}),
        ):
            async with client.request(method, f"{folder}/{name}", **options) as answer:  # type: ignore[arg-type]
                made.append(got(f"{method} {name}", answer.status, list(answer.headers.items()), await answer.read()))
    return made


async def _pieces() -> AsyncIterator[bytes]:
    for at in range(0, len(BODY), 10_000):
        yield BODY[at : at + 10_000]
