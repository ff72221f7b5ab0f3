"""A data path in memory with an upstream that reads strictly and answers with what it saw.

Everything is real but the sockets: gateway, credentials, policy, spool. The upstream's answer names the request that it
answers, so that an answer which reaches anybody else is seen.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.exchange.rig import MemoryPool, MemoryTransport, Rig
from tests.integration.sidecar import Json
from tests.wire.strict import IncompleteError, Message, read_chunks, read_head, read_request

from sidegate.proxy.upstream import UpstreamConnection

Answer = Callable[[Message], bytes]


def echo(request: Message) -> bytes:
    """Answer with the decision that let *request* pass, and its target."""
    body = request.value(b"X-Sidegate-Decision") + b" " + request.target
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head if request.method == b"HEAD" else head + body


class ReadingTransport(MemoryTransport):
    """The upstream's end of a connection: reads requests strictly, answers each one when it is whole.

    Attributes:
        requests: Read whole.
        heads: Of the requests whose body may still be coming, and of all others.
        broken: What could not be read.
    """

    def __init__(self, protocol: UpstreamConnection, answer: Answer) -> None:
        self.requests: list[Message] = []
        self.heads: list[Message] = []
        self.broken: list[BaseException] = []
        self._unread = b""
        self._head_read = False
        self._answer = answer
        super().__init__(protocol, None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes of the proxy."""
        super().write(data)
        self._unread += bytes(data)
        try:
            self._read()
        except IncompleteError:
            pass
        except BaseException as error:  # noqa: BLE001 - for the test to see, not for the proxy that writes
            self.broken.append(error)

    def _read(self) -> None:
        while self._unread:
            if not self._head_read:
                start, fields, _ = read_head(self._unread)
                self.heads.append(Message(start, fields, b"", chunked=False))
                self._head_read = True
            request, rest = read_request(self._unread)
            if request.chunked:
                read_chunks(self._unread.partition(b"\r\n\r\n")[2], plain=True)
            self._unread = rest
            self._head_read = False
            self.requests.append(request)
            self._loop.call_soon(self.feed, self._answer(request))


class ReadingPool(MemoryPool):
    """A pool whose connections end at strict readers."""

    answer: Answer = staticmethod(echo)

    async def _open(self) -> UpstreamConnection:
        upstream = UpstreamConnection(self)
        self.opened.append(ReadingTransport(upstream, self.answer))
        return upstream


@dataclass
class Play:
    """What became of the bytes that one client sent.

    Attributes:
        sent: What the client sent.
        received: What it got.
        records: Decision records made meanwhile, in order.
        forwarded: Heads of the requests that reached the upstream meanwhile, in order of their connections.
        whole: The same requests as far as they were whole, by decision id.
        broken: What the upstream could not read.
        ended: The proxy ended the connection.
        aborted: By cutting it.
    """

    sent: bytes
    received: bytes = b""
    records: list[Json] = field(default_factory=list)
    forwarded: list[Message] = field(default_factory=list)
    whole: dict[bytes, Message] = field(default_factory=dict)
    broken: list[BaseException] = field(default_factory=list)
    ended: bool = False
    aborted: bool = False


class SpoolTail:
    """Decision records that were added to a spool since the last look."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._read_to: dict[Path, int] = {}

    def poll(self) -> list[Json]:
        """Return them, in order."""
        found: list[Json] = []
        for segment in sorted(self._spool.rglob("*.ndjson")):
            at = self._read_to.get(segment, 0)
            with segment.open("rb") as lines:
                lines.seek(at)
                data = lines.read()
            end = data.rfind(b"\n") + 1
            self._read_to[segment] = at + end
            found += [json.loads(line) for line in data[:end].splitlines()]
        return [record for record in found if record["record"] == "decision"]


class Bench:
    """Plays bytes of clients and says what became of them."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        settings: Any = rig.pool
        self.pool = ReadingPool(settings._tasks, settings._limit)
        rig.pool = self.pool
        rig.gateway.pool = self.pool
        self._tail = SpoolTail(rig.files.spool)
        self._tail.poll()

    async def play(self, data: bytes, cuts: Iterable[int] = (), client: MemoryTransport | None = None) -> Play:
        """Send *data*, cut at *cuts*, and let everything happen that follows from it.

        Args:
            client: A connection that goes on; without it a new one is made, and dropped at the end.
        """
        own = client is None
        if client is None:
            client = self.rig.connect()
        client.sent.clear()
        await self.rig.feed(client, data, cuts)
        play = Play(data, bytes(client.sent), self._tail.poll(), ended=client.ended, aborted=client.aborted)
        if own and not client.closed:
            client.drop(None)
            await self.rig.settle()
            play.records += self._tail.poll()
        for transport in self.pool.opened:
            assert isinstance(transport, ReadingTransport)
            play.forwarded += transport.heads
            play.whole |= {request.value(b"X-Sidegate-Decision"): request for request in transport.requests}
            play.broken += transport.broken
            transport.heads.clear()
            transport.requests.clear()
            transport.broken.clear()
            transport.sent.clear()
        self.pool.opened[:] = [transport for transport in self.pool.opened if not transport.closed]
        return play
