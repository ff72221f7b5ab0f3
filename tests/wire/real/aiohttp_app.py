"""An aiohttp server that writes down what it read: ``python -m tests.wire.real.aiohttp_app PORT``."""

import sys

from aiohttp import web
from tests.wire.real.journal import answer_for, write_entry


async def serve(request: web.BaseRequest) -> web.Response:
    """Serve one request."""
    body = await request.read()
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    write_entry(request.method, request.raw_path, headers, body)
    return web.Response(body=answer_for(headers))


if __name__ == "__main__":
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, handle_signals=True)
