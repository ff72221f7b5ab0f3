"""An ASGI application that writes down what it read; for uvicorn and hypercorn."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.wire.real.journal import answer_for, write_entry


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Serve one request."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if event["type"] == "http.disconnect":
            return
    query = scope["query_string"]
    target = scope["raw_path"].split(b"?")[0] + (b"?" + query if query else b"")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    write_entry(scope["method"], target.decode("latin-1"), headers, body)
    text = answer_for(headers)
    lines = [(b"content-length", b"%d" % len(text)), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": lines})
    await send({"type": "http.response.body", "body": text})
