"""`/v1/config`."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient

from sidegate.control.configuration import Configuration

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]

SETTINGS = {"listen": "127.0.0.1:8080", "sessions": {"secret": "***"}}


async def test_the_settings_are_answered_as_config_masks_them(serve: Serve) -> None:
    """Exactly what it is given; the admin port adds and removes nothing."""
    client = await serve(Configuration(lambda: SETTINGS))
    response = await client.get("/v1/config")
    assert (response.content_type, await response.json()) == ("application/json", SETTINGS)
