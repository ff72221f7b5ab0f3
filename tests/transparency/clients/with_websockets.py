"""The websockets library at both ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from tests.integration.waiting import DEADLINE_S
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

_CHAT = Subprotocol("chat")
CONNECTIONS = 3
_LARGE = bytes(number % 256 for number in range(300_000))


def _echo(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        _answer(connection)


def _answer(connection: ServerConnection) -> None:
    for message in connection:
        if message == "close":
            connection.close(4321, "as asked")
            return
        if message == "ping":
            assert connection.ping(b"hear me").wait(DEADLINE_S)
            connection.send("heard")
        elif message == "pieces":
            connection.send(part for part in ("one ", "two ", "three"))
        else:
            connection.send(message)


@contextmanager
def echoing() -> Iterator[int]:
    """Serve WebSockets that say what they hear; gives the port."""
    server: Server
    with serve(_echo, "127.0.0.1", 0, subprotocols=[_CHAT]) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield int(server.socket.getsockname()[1])
        server.shutdown()
        thread.join()


def use(folder: str, token: str) -> list[object]:
    """Talk below *folder*; return all that was heard."""
    return asyncio.run(_use(folder.replace("http:", "ws:"), token))


async def _use(folder: str, token: str) -> list[object]:
    heard: list[object] = []
    lines = {"Authorization": f"Bearer {token}"}
    for compression in ("deflate", None):
        async with connect(
            f"{folder}/live", additional_headers=lines, subprotocols=[_CHAT], compression=compression, proxy=None
        ) as talk:
            heard += [talk.subprotocol, [type(one).__name__ for one in talk.protocol.extensions]]
            for message in ("", "grüße", b"\x00\xff", _LARGE, "x" * 70_000, "ping", "pieces"):
                await talk.send(message)
                heard.append(await talk.recv())
            await talk.send(part for part in (b"a", b"b", b"c"))
            heard.append(await talk.recv())
            await (await talk.ping(b"there?"))
            await talk.send("close")
            try:
                await talk.recv()
            except ConnectionClosed as closed:
                heard.append(str(closed.rcvd))
    async with connect(f"{folder}/live", additional_headers=lines, subprotocols=[_CHAT], proxy=None) as talk:
        await talk.close(3999, "enough")
        heard.append((talk.close_code, talk.close_reason))
    return heard
