"""Traffic for a history: a service that can be slow or away, and clients of several kinds."""

import asyncio
import contextlib
import math
import random
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + b'{"found": true}'
_CONNECTIONS: Final = 12
_WAVE_S: Final = 150.0


class Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  whatever *work* returns
        """Run *work* there and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Callable[[], object]:
        """Begin *work* there; returns what ends it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).cancel


class Service:
    """Stands behind a sidecar; answers everything alike.

    Args:
        background: Where it runs.

    Attributes:
        delay_s: Before each answer.
        port: On the loopback.
    """

    def __init__(self, background: Background) -> None:
        self._background = background
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.delay_s = 0.002
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._background.call(self._listen())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Go away, in the middle of whatever is asked."""
        self._background.call(self._leave())

    async def _leave(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].partition(b":")[2]))
                await asyncio.sleep(self.delay_s * random.expovariate(1))
                writer.write(_ANSWER)
        self._writers.discard(writer)
        writer.close()


@dataclass(frozen=True)
class Kind:
    """One kind of request.

    Attributes:
        request: All bytes of it.
        weight: How often, beside the others.
    """

    request: bytes
    weight: float

    @classmethod
    def make(cls, weight: float, line: str, *headers: str, body: bytes = b"") -> Self:
        """Write it down."""
        lines = [f"{line} HTTP/1.1", "Host: gate.example", *headers]
        if body or not line.startswith("GET"):
            lines.append(f"Content-Length: {len(body)}")
        return cls("\r\n".join(lines).encode() + b"\r\n\r\n" + body, weight)


class Clients:
    """Clients of one sidecar, on a few connections each kept open.

    Args:
        background: Where they run.
        kinds: What they send.
        per_second: On average; in waves.
        context: They speak TLS; None for not.

    Attributes:
        port: Of the sidecar.
    """

    def __init__(
        self,
        background: Background,
        port: int,
        kinds: Sequence[Kind],
        per_second: float,
        context: ssl.SSLContext | None,
    ) -> None:
        self.port = port
        self._kinds = list(kinds)
        self._weights = [kind.weight for kind in kinds]
        self._context = context
        self._pause_s = _CONNECTIONS / per_second
        self._began = time.monotonic()
        self._ends = [background.spawn(self._go_on()) for _ in range(_CONNECTIONS)]

    def stop(self) -> None:
        """Send nothing more."""
        for end in self._ends:
            end()

    async def _go_on(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self._context)
                try:
                    while True:
                        await asyncio.sleep(random.expovariate(1) * self._pause_s / self._wave())
                        (kind,) = random.choices(self._kinds, self._weights)
                        writer.write(kind.request)
                        if not await self._answer(reader):
                            break
                finally:
                    writer.close()
            await asyncio.sleep(0.2)

    def _wave(self) -> float:
        return 1 + 0.4 * math.sin((time.monotonic() - self._began) * 2 * math.pi / _WAVE_S)

    async def _answer(self, reader: asyncio.StreamReader) -> bool:
        """Read one answer; return whether another may be asked for."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.partition(b":")[2]))
        return b"connection: close" not in head
