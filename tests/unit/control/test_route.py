"""One route of the admin port."""

from aiohttp import web

from sidegate.control.route import Route


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response()


def test_a_route_reads_like_a_request_line() -> None:
    """As it is listed."""
    assert str(Route("GET", "/livez", "whether this process lives", _nothing)) == "GET /livez"
