"""A forwarder as one writes it with aiohttp: no check of anything, bodies in memory. Something to compare with."""

import argparse
import asyncio
import gc

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

_NOT_FORWARDED = {"connection", "content-length", "transfer-encoding", "keep-alive"}


async def _serve(port: int, upstream: int) -> None:
    base = f"http://127.0.0.1:{upstream}"
    async with ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar()) as session:

        async def forward(request: web.BaseRequest) -> web.StreamResponse:
            headers = {name: text for name, text in request.headers.items() if name.lower() not in _NOT_FORWARDED}
            async with session.request(request.method, base + request.raw_path, headers=headers) as answer:
                kept = {name: text for name, text in answer.headers.items() if name.lower() not in _NOT_FORWARDED}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())

        runner = web.ServerRunner(web.Server(forward, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        gc.freeze()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    options = parser.parse_args()
    uvloop.run(_serve(options.port, options.upstream))


if __name__ == "__main__":
    main()
