"""Many open streams of many principals through one sidecar: WebSockets, event streams, downloads and uploads.

An event loop in a thread carries both ends. The upstream goes on sending to everybody and every client goes on
uploading, as long as they can, so that a stream that ends was ended by somebody.
"""

import asyncio
import base64
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar

from tests.integration.sidecar import Sidecar
from tests.integration.waiting import DEADLINE_S, eventually

T = TypeVar("T")

BEAT_S: Final = 0.2
"""Between two things that are sent on each stream."""

ESTABLISHED: Final = 7
"""Beats after which a transfer has lasted for more than a second."""

_PHASES: Final = 10

_TURNS: Final = 10
"""Of the loop, until what was aborted is gone."""

_KEY: Final = base64.b64encode(b"0123456789abcdef").decode()
_ACCEPT: Final = base64.b64encode(
    hashlib.sha1(f"{_KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
).decode()
_SWITCH: Final = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Accept: {_ACCEPT}\r\n\r\n"
).encode()
_EVENTS: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_DOWNLOAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_MESSAGE: Final = b"\x82\x7e\x0c\x00" + b"m" * 3072
_EVENT: Final = b"d\r\ndata: event\n\n\r\n"
_BLOCK: Final = b"b" * 4096
_CHUNK: Final = b"1000\r\n" + _BLOCK + b"\r\n"


class Kind(StrEnum):
    """What is open."""

    WEBSOCKET = "ws"
    EVENTS = "events"
    DOWNLOAD = "download"
    UPLOAD = "upload"


class _Upstream(asyncio.Protocol):
    """One connection from the sidecar: reads a head, answers by the path's last segment, then sends at every beat.

    What is no :class:`Kind` is answered at once with two bytes.
    """

    def __init__(self, arena: "Arena") -> None:
        self._arena = arena
        self._head = b""
        self._beat: tuple[bytes, ...] = ()
        self._beats = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._arena.beating.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._arena.beating.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._beat:
            return
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        name = self._head.split(b" ", 2)[1].rsplit(b"/", 1)[1].decode()
        if name not in list(Kind):
            self._head = b""
            self._transport.write(_OK)
            return
        kind = Kind(name)
        match kind:
            case Kind.WEBSOCKET:
                # A message comes in two pieces: most of the time the sidecar is in the middle of a frame.
                self._begin(_SWITCH + _MESSAGE[:1000], _MESSAGE[1000:], _MESSAGE[:1000])
            case Kind.EVENTS:
                self._begin(_EVENTS, _EVENT)
            case Kind.DOWNLOAD:
                self._begin(_DOWNLOAD + _BLOCK, _BLOCK)
            case Kind.UPLOAD:
                self._begin(b"", b"")

    def _begin(self, answer: bytes, *beat: bytes) -> None:
        self._transport.write(answer)
        self._beat = beat

    def beat(self) -> None:
        """Send the next thing."""
        if self._beat:
            self._transport.write(self._beat[self._beats % len(self._beat)])
            self._beats += 1


class Stream(asyncio.Protocol):
    """A client's end of one stream.

    Attributes:
        received: Every byte that came.
        ended_at: Monotonic seconds at which the connection was gone, if it is.
        was_reset: It was cut.
        beats: How much was sent or came.
    """

    def __init__(self, arena: "Arena", group: str, kind: Kind, request: bytes) -> None:
        self.group = group
        self.kind = kind
        self.received = bytearray()
        self.ended_at: float | None = None
        self.was_reset = False
        self.beats = 0
        self._arena = arena
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)
        if self.kind is Kind.UPLOAD:
            self._arena.beating.add(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.beats += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended_at = time.monotonic()
        self.was_reset = exc is not None
        self._arena.beating.discard(self)

    def beat(self) -> None:
        """Upload a little more."""
        self.transport.write(_CHUNK)
        self.beats += 1

    @property
    def close_frame(self) -> tuple[int, str] | None:
        """Code and reason of the close frame that ended a WebSocket between two frames; None if there is none."""
        _, _, data = bytes(self.received).partition(b"\r\n\r\n")
        while data.startswith(_MESSAGE):
            data = data[len(_MESSAGE) :]
        if len(data) < 4 or data[0] != 0x88 or data[1] != len(data) - 2:
            return None
        return int.from_bytes(data[2:4]), data[4:].decode()

    @property
    def is_whole(self) -> bool:
        """Whether a client could take what came for a whole message."""
        return self.received.endswith(b"0\r\n\r\n") or (not self.was_reset and self.kind is not Kind.WEBSOCKET)


class Arena:
    """Both ends of all streams.

    Attributes:
        streams: All that were opened.
        url: Of the upstream.
    """

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.beating: set[_Upstream | Stream] = set()
        self._phase = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="arena", daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._do(self._start())}"

    def open(self, sidecar: Sidecar, group: str, credential: str, kinds: Iterable[Kind], org: str = "acme") -> None:
        """Open one stream of each of *kinds*, and wait until all of them have lasted for more than a second."""
        self._do(self._open(sidecar, group, credential, kinds, org))

    def wait_until_established(self) -> None:
        """Wait until every stream has lasted for more than a second."""

        def established() -> bool:
            gone = [(one.kind, bytes(one.received[:300])) for one in self.streams if one.ended_at is not None]
            assert gone == []
            return all(one.beats >= ESTABLISHED for one in self.streams)

        eventually(established, "every stream has lasted for more than a second")

    def of(self, group: str) -> list[Stream]:
        """Return the streams of one group."""
        return [one for one in self.streams if one.group == group]

    def wait_until_ended(self, group: str) -> float:
        """Wait until every stream of *group* has ended; return when the last did, in monotonic seconds."""
        mine = self.of(group)
        assert mine
        eventually(lambda: all(one.ended_at is not None for one in mine), f"the streams of {group} have ended")
        return max(one.ended_at or 0.0 for one in mine)

    def call(self, told: Callable[[], None]) -> None:
        """Do something on the loop of the streams."""

        async def call() -> None:
            told()

        self._do(call())

    def close(self) -> None:
        """End everything."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def _do(self, coro: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(coro, self._loop)
        return done.result(DEADLINE_S)

    async def _start(self) -> int:
        listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        listening.setblocking(False)
        self._server = await self._loop.create_server(lambda: _Upstream(self), sock=listening)
        self._timer = self._loop.call_later(BEAT_S, self._beat)
        return int(listening.getsockname()[1])

    def _beat(self) -> None:
        """Beat those whose turn it is: not all at once, or each beat would be a burst that nobody meant."""
        self._timer = self._loop.call_later(BEAT_S / _PHASES, self._beat)
        self._phase = (self._phase + 1) % _PHASES
        for one in tuple(self.beating):
            if id(one) // 64 % _PHASES == self._phase:
                one.beat()

    async def _open(self, sidecar: Sidecar, group: str, credential: str, kinds: Iterable[Kind], org: str) -> None:
        for kind in kinds:
            stream = Stream(self, group, kind, _request(credential, kind, org))
            await self._loop.create_connection(partial(_as_it_is, stream), "127.0.0.1", sidecar.port)
            self.streams.append(stream)

    async def _stop(self) -> None:
        self._timer.cancel()
        self._server.close()
        for one in [*self.streams, *self.beating]:
            (one.transport if isinstance(one, Stream) else one._transport).abort()
        await self._server.wait_closed()
        for _ in range(_TURNS):
            await asyncio.sleep(0)


def _as_it_is(stream: Stream) -> Stream:
    return stream


def _request(credential: str, kind: Kind, org: str) -> bytes:
    lines = ["Host: gate.example", credential]
    if kind is Kind.WEBSOCKET:
        lines += [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {_KEY}",
        ]
    if kind is Kind.UPLOAD:
        lines.append("Transfer-Encoding: chunked")
    method = "PUT" if kind is Kind.UPLOAD else "GET"
    path = f"/v1/orgs/{org}/projects/p1/branches/x/files/{kind.value}"
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines]).encode() + b"\r\n\r\n"
