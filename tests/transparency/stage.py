"""Both ends of exchanges, in one event loop: an upstream that is told what to send, and clients that are."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from tests.transparency.exchange import Exchange, Progress, Side

DEADLINE_S: Final = 20.0


class Ending(StrEnum):
    """How a client's connection was found when the exchange was over."""

    OPEN = "open"
    CLOSED = "closed"
    RESET = "reset"


@dataclass(frozen=True)
class Seen:
    """What both ends received.

    Attributes:
        upstream: Every byte from the client's side.
        client: Every byte from the upstream's side.
        ending: Of the client's connection.
    """

    upstream: bytes
    client: bytes
    ending: Ending


class End(asyncio.Protocol):
    """One end of one connection.

    Attributes:
        received: Every byte since the exchange began.
    """

    def __init__(self, stage: "Stage", side: Side) -> None:
        self._stage = stage
        self._side = side
        self.received = bytearray()
        self.ending = Ending.OPEN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._side is Side.UPSTREAM:
            self._stage.upstreams.add(self)

    def data_received(self, data: bytes) -> None:
        if self._side is Side.UPSTREAM and self._stage.active is not self:
            # The connection that this exchange goes by: a new one, or one that served another before.
            assert self._stage.active is None, "one exchange went by two connections to the upstream"
            self._stage.active = self
        self.received += data
        self._stage.progress[self._side].feed(data)
        self._stage.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ending = Ending.CLOSED if exc is None else Ending.RESET
        self._stage.upstreams.discard(self)
        self._stage.changed()


class Stage:
    """An upstream, and a place to play exchanges.

    Attributes:
        port: Of the upstream.
        upstreams: Its open connections.
        active: The one that the exchange being played goes by.
        progress: What has arrived at each side.
    """

    def __init__(self) -> None:
        self.port = 0
        self.upstreams: set[End] = set()
        self.active: End | None = None
        self.progress: dict[Side, Progress] = {}
        self._changed = asyncio.Event()

    async def start(self) -> "Stage":
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: End(self, Side.UPSTREAM), "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def close(self) -> None:
        """End everything."""
        self._server.close()
        for end in list(self.upstreams):
            end.transport.abort()
        await self._server.wait_closed()

    def _forget(self) -> None:
        # A call, so that a type checker does not take it to stay None while others run.
        self.active = None

    def changed(self) -> None:
        """Something has arrived."""
        self._changed.set()

    async def play(self, exchange: Exchange, port: int, cookie: bytes, *, is_direct: bool) -> Seen:
        """Play *exchange* against whoever listens at *port*: this stage itself, or Sidegate in front of it."""
        self._forget()
        self.progress = {Side.UPSTREAM: Progress(), Side.CLIENT: Progress(exchange.method)}
        sent = {Side.CLIENT: Progress(), Side.UPSTREAM: Progress(exchange.method)}
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: End(self, Side.CLIENT), "127.0.0.1", port)
        try:
            for number, step in enumerate(exchange.steps):
                # What the other side, and this one, sent before has to be there first.
                await self._arrived(exchange, sent, f"step {number} of {exchange.name}")
                if step.side is Side.CLIENT:
                    assert step.data is not None
                    data = step.data.replace(b"{cookie}", cookie)
                    client.transport.write(data)
                else:
                    assert self.active is not None, f"{exchange.name}: nothing has reached the upstream"
                    if step.data is None:
                        self.active.transport.close()
                        continue
                    data = step.data
                    self.active.transport.write(data)
                sent[step.side].feed(data)
            await self._arrived(exchange, sent, f"the end of {exchange.name}")
            ends = (exchange.closes and not is_direct) or exchange.steps[-1].data is None
            if ends:
                await self._until(lambda: client.ending is not Ending.OPEN, f"the connection of {exchange.name} ends")
            assert self.active is not None
            return Seen(bytes(self.active.received), bytes(client.received), client.ending)
        finally:
            client.transport.abort()
            if self.active is not None:
                self.active.received.clear()

    async def _arrived(self, exchange: Exchange, sent: dict[Side, Progress], what: str) -> None:
        def arrived() -> bool:
            there = self.progress
            up, down = there[Side.UPSTREAM], there[Side.CLIENT]
            asked, answered = sent[Side.CLIENT], sent[Side.UPSTREAM]
            return (
                (up.heads, up.payload, up.ends) == (asked.heads, asked.payload, asked.ends)
                and (down.heads, down.payload) == (answered.heads, answered.payload)
                # An end may be put differently: by the connection's, for clients that know no other.
                and (exchange.closes or down.ends == answered.ends)
            )

        await self._until(arrived, f"what was sent before {what} has arrived")

    async def _until(self, look: Callable[[], bool], what: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                while not look():
                    self._changed.clear()
                    await self._changed.wait()
                return
        counts = {
            side.name: (progress.heads, progress.payload, progress.ends) for side, progress in self.progress.items()
        }
        raise AssertionError(f"not within {DEADLINE_S} s: {what}; {counts}")
