"""The floor: what a forwarder on asyncio.Protocol, httptools and uvloop costs that checks nothing at all.

It parses every request and response with llhttp, writes the request head anew and streams the response; it keeps
connections alive on both sides. Whatever Sidegate costs above this is what Sidegate does. It is a measuring stick and
no proxy: no limits, no back-pressure, no errors, requests without bodies only.
"""

import argparse
import asyncio
import gc

import httptools
import uvloop


class _Up(asyncio.Protocol):
    """One connection to the upstream, used by one client connection at a time."""

    def __init__(self, idle: list["_Up"]) -> None:
        self._idle = idle
        self.client: _Client | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def send(self, client: "_Client", head: bytes) -> None:
        self.client = client
        self._head: list[bytes] = []
        self._out: list[bytes] = []
        self._done = False
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(head)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.append(b"%b: %b\r\n" % (name, value))

    def on_headers_complete(self) -> None:
        self._out.append(b"HTTP/1.1 %d OK\r\n%b\r\n" % (self._parser.get_status_code(), b"".join(self._head)))

    def on_body(self, body: bytes) -> None:
        self._out.append(body)

    def on_message_complete(self) -> None:
        self._done = True

    def data_received(self, data: bytes) -> None:
        client = self.client
        assert client is not None
        self._parser.feed_data(data)
        if self._out:
            client.transport.write(b"".join(self._out))
            self._out.clear()
        if self._done:
            self.client = None
            self._idle.append(self)


class _Client(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, idle: list[_Up], port: int) -> None:
        self._idle = idle
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._head: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.append(b"%b: %b\r\n" % (name, value))

    def on_message_complete(self) -> None:
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (self._parser.get_method(), self._url, b"".join(self._head))
        self._begin()
        if self._idle:
            self._idle.pop().send(self, head)
        else:
            self._pending = asyncio.ensure_future(self._connect(head))

    async def _connect(self, head: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, up = await loop.create_connection(lambda: _Up(self._idle), "127.0.0.1", self._port)
        up.send(self, head)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)


async def _serve(port: int, upstream: int) -> None:
    idle: list[_Up] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Client(idle, upstream), "127.0.0.1", port)
    gc.freeze()
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    options = parser.parse_args()
    uvloop.run(_serve(options.port, options.upstream))


if __name__ == "__main__":
    main()
