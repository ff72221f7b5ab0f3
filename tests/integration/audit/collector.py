"""An HTTP endpoint that keeps what is posted to it, and answers as it is told."""

from aiohttp import web


class Collector:
    """Listens on a free port of the loopback.

    Attributes:
        posts: Idempotency key and body of what was acknowledged, in order.
        headers: Of the last request.
        answers: Status and headers of the next answers; 204 once there are none.
    """

    def __init__(self) -> None:
        self.posts: list[tuple[str, bytes]] = []
        self.headers: dict[str, str] = {}
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.other_requests = 0
        self.url = ""
        application = web.Application(client_max_size=1 << 30)
        application.router.add_post("/in", self._take)
        application.router.add_route("*", "/{other:.*}", self._count_other)
        self._runner = web.AppRunner(application)

    async def start(self) -> None:
        """Listen."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/in"

    async def close(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers = dict(request.headers)
        status, headers = self.answers.pop(0) if self.answers else (204, {})
        if status < 300:
            self.posts.append((request.headers["Idempotency-Key"], body))
        return web.Response(status=status, headers=headers)

    async def _count_other(self, _request: web.Request) -> web.Response:
        self.other_requests += 1
        return web.Response(status=204)
