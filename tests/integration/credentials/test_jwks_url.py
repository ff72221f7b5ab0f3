"""Fetching a key set over a real socket: whatever the issuer answers but a plain set is refused (spec 3.1)."""

import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.unit.core.identity.issuer import ALL, Issuer

from sidegate.core.model.errors import DependencyError
from sidegate.core.model.units import UnixMillis
from sidegate.credentials.jwks import MAX_DOCUMENT_BYTES, JwksSource, UrlFetcher, open_session
from sidegate.telemetry.clock import ManualClock


class Server:
    """An issuer's web server that answers as it is told."""

    def __init__(self) -> None:
        self.answer = web.Response(status=404)
        self.requests: list[web.Request] = []
        self.url = ""

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Give the set answer."""
        self.requests.append(request)
        return self.answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Run the server on a free port."""
    issuer_server = Server()
    app = web.Application()
    app.router.add_get("/jwks", issuer_server.respond)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer_server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield issuer_server
    await runner.cleanup()


@pytest.fixture
async def fetcher(server: Server) -> AsyncIterator[UrlFetcher]:
    """Return a fetcher of the server's set."""
    async with open_session() as session:
        yield UrlFetcher(server.url, session)


@pytest.mark.parametrize("content_type", ["application/json", "application/jwk-set+json", "application/x+json"])
async def test_fetch(server: Server, fetcher: UrlFetcher, content_type: str) -> None:
    """A plain answer is returned byte for byte, and nothing but the set was asked for."""
    server.answer = web.Response(body=b'{"keys": []}', content_type=content_type)
    assert await fetcher.fetch() == b'{"keys": []}'
    asked = server.requests[0].headers
    assert (asked["Accept-Encoding"], "Cookie" in asked or "Authorization" in asked) == ("identity", False)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        pytest.param(lambda: web.Response(status=404), "answered 404", id="not-found"),
        pytest.param(lambda: web.Response(status=204), "answered 204", id="empty"),
        pytest.param(lambda: web.Response(body=b"{}", content_type="text/html"), "text/html, not JSON", id="html"),
        pytest.param(
            lambda: web.Response(status=302, headers={"Location": "/jwks"}), "answered 302", id="redirect-not-followed"
        ),
        pytest.param(
            lambda: web.Response(
                body=gzip.compress(bytes(10**7)),
                content_type="application/json",
                headers={"Content-Encoding": "gzip"},
            ),
            "compressed",
            id="compressed-bomb",
        ),
        pytest.param(
            lambda: web.Response(body=bytes(MAX_DOCUMENT_BYTES + 1), content_type="application/json"),
            "larger than",
            id="too-large",
        ),
    ],
)
async def test_refused(server: Server, fetcher: UrlFetcher, answer: type[web.Response], what: str) -> None:
    """Anything else is a fault, and only the one request was made."""
    server.answer = answer()
    with pytest.raises(DependencyError, match=what):
        await fetcher.fetch()
    assert len(server.requests) == 1


async def test_largest(server: Server, fetcher: UrlFetcher) -> None:
    """An answer of the limit's size is read."""
    server.answer = web.Response(body=bytes(MAX_DOCUMENT_BYTES), content_type="application/json")
    document = await fetcher.fetch()
    assert document is not None
    assert len(document) == MAX_DOCUMENT_BYTES


async def test_unreachable() -> None:
    """Nobody listening is a fault with the address in it."""
    async with open_session() as session:
        with pytest.raises(DependencyError, match=r"fetching http://127\.0\.0\.1:1/jwks"):
            await UrlFetcher("http://127.0.0.1:1/jwks", session).fetch()


async def test_source_over_url(server: Server, fetcher: UrlFetcher) -> None:
    """The whole way: the set that the issuer serves verifies, and stays while the issuer is down."""
    issuer = Issuer()
    source = JwksSource(fetcher, ALL, ManualClock(UnixMillis(1_800_000_000_000)))
    server.answer = web.Response(body=issuer.jwks(), content_type="application/json")
    loaded = await source.refresh()
    server.answer = web.Response(status=500)
    kept = await source.refresh()
    assert (True, False, {"rsa", "ec", "ed"}) == (loaded, kept, set(source.current.by_kid))
