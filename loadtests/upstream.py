"""The upstream of the load tests: answers every request with the same 100-byte JSON as cheaply as Python can.

It finds the ends of heads and nothing else, so it must only be given requests without bodies. ``GET /-/count`` answers
how many other requests it has had: what a proxy forwarded can then be held against what it recorded. What ends in
``/-/events`` is an event stream that does not end.
"""

import argparse
import asyncio
import gc
import json

import uvloop

BODY = json.dumps({"path": "designs/current/route.json", "size": 73, "note": "x" * 38}).encode()
assert len(BODY) == 100
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" + BODY

_COUNT = b"GET /-/count "
_EVENTS = b"/-/events HTTP/1.1\r\n"
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n"
)
_HEAD_END = b"\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection."""

    served = 0

    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._held:
            data = self._held + data
        if data.startswith(_COUNT):
            self._held = b""
            text = b"%d" % Upstream.served
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
            return
        if _EVENTS in data:
            self._transport.write(_STREAM)
            return
        heads = data.count(_HEAD_END)
        Upstream.served += heads
        if heads == 1 and data.endswith(_HEAD_END):
            self._held = b""
            self._transport.write(RESPONSE)
            return
        if heads:
            self._transport.write(RESPONSE * heads)
        self._held = data[data.rfind(_HEAD_END) + 4 :] if heads else data


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=1024)
    gc.freeze()
    gc.disable()
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
