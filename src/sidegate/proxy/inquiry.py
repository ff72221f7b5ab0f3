"""Requests that another proxy forwards: decided and recorded here, answered at once (spec 6.6).

To the readers, the credentials, the engine and the trail such a request is one like any other: it comes in on a
connection made of memory, and goes out on another one whose far end answers with what an upstream would have been told.
So nothing is read, decided or refused in another way than on the data port.
"""

import asyncio
import re
from typing import TYPE_CHECKING, Final

from sidegate.core.model.value import value
from sidegate.proxy.arrival import Arrival
from sidegate.proxy.upstream import UpstreamAddress, UpstreamConnection, UpstreamPool
from sidegate.telemetry.tasks import TaskSet

if TYPE_CHECKING:
    from sidegate.proxy.gateway import Gateway

_HEAD_END: Final = b"\r\n\r\n"
_TOLD: Final = b"x-sidegate-"
_UNSENDABLE: Final = re.compile(rb"[\r\n\0]")
_OUR_FIELDS: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"connection"})
"""What is said about the connection and the message between two proxies, not about the request that is asked about."""
_OF_THE_MESSAGE: Final = frozenset({"date", "content-length", "connection"})


@value
class Inquiry:
    """A request that is asked about, as whoever forwards it describes it.

    Attributes:
        method: As it was sent.
        target: Path and query, as they were sent.
        host: Value of ``Host``.
        fields: Header fields in their order, each with its name and value.
        body: As far as it is known.
        source: Address of whoever asks, believed about the client as ``trusted_proxies`` says; None for a Unix socket.
    """

    method: bytes
    target: bytes
    host: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    source: str | None


@value
class Verdict:
    """What to answer.

    Attributes:
        status: 200 for an allow; a refusal's own status else.
        fields: Of an allow the identity headers for the upstream; of a refusal what the client should be told.
        body: Of a refusal, a problem document.
    """

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes


class Inquirer:
    """Has requests decided that are forwarded elsewhere.

    Args:
        gateway: With a :class:`TellingPool`; nobody else uses it.
    """

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway

    def start(self) -> None:
        """Begin to look at deadlines."""
        self._gateway.deadlines.start()

    def close(self) -> None:
        """End what is being asked."""
        self._gateway.deadlines.stop()
        for client in list(self._gateway.connections):
            client.shut_down()

    async def ask(self, inquiry: Inquiry) -> Verdict | None:
        """Decide, record, and return what to answer; None if it cannot be told apart from a broken connection."""
        head = _head_of(inquiry)
        if head is None:
            return None
        arrival = Arrival(is_relayed=inquiry.source is not None, source=inquiry.source)
        client = self._gateway.accept(arrival)
        caller = _Caller(client)
        client.connection_made(caller)
        try:
            client.data_received(head + inquiry.body)
            return _read_verdict(await caller.answered)
        finally:
            caller.abort()


class TellingPool(UpstreamPool):
    """Connections whose far end answers with what it was told about the request."""

    def __init__(self, *, limit: int, tasks: TaskSet) -> None:
        super().__init__(UpstreamAddress("memory", 0, None), limit=limit, connect_timeout_s=1.0, tasks=tasks)

    async def _open(self) -> UpstreamConnection:
        upstream = UpstreamConnection(self)
        upstream.connection_made(_Upstream(upstream))
        return upstream


class _Memory(asyncio.Transport):
    """One end of a connection made of memory."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._is_closing = False

    def is_closing(self) -> bool:
        return self._is_closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._lost)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        """What there is was delivered whole."""

    def resume_reading(self) -> None:
        """As above."""

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits to be taken."""

    def _lost(self) -> None:
        self._protocol.connection_lost(None)


class _Caller(_Memory):
    """Takes the answer.

    Attributes:
        answered: The answer, once its connection ends.
    """

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__(protocol)
        self._received = bytearray()
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._received += data

    def close(self) -> None:
        super().close()
        if not self.answered.done():
            self.answered.set_result(bytes(self._received))


class _Upstream(_Memory):
    """Answers once it has a head, with the fields of it that say who asked for what."""

    def __init__(self, protocol: UpstreamConnection) -> None:
        super().__init__(protocol)
        self._listener = protocol
        self._received = b""
        self._is_answered = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_answered:
            return
        self._received += bytes(data)
        head, end, _ = self._received.partition(_HEAD_END)
        if end:
            self._is_answered = True
            asyncio.get_running_loop().call_soon(self._answer, head)

    def _answer(self, head: bytes) -> None:
        told = [line for line in head.split(b"\r\n")[1:] if line.lower().startswith(_TOLD)]
        lines = b"".join(b"%b\r\n" % line for line in told)
        self._listener.data_received(b"HTTP/1.1 200 OK\r\n%bContent-Length: 0\r\nConnection: close\r\n\r\n" % lines)


def _head_of(inquiry: Inquiry) -> bytes | None:
    """Write *inquiry* as a head of HTTP/1.1; None if a part of it would be read as something else."""
    kept = [(name, content) for name, content in inquiry.fields if name.lower() not in _OUR_FIELDS]
    parts = [inquiry.method, inquiry.target, inquiry.host, *(part for field in kept for part in field)]
    if any(_UNSENDABLE.search(part) for part in parts):
        return None
    lines = [b"%b %b HTTP/1.1" % (inquiry.method, inquiry.target), b"Host: %b" % inquiry.host]
    lines += [b"%b: %b" % field for field in kept]
    if inquiry.body:
        lines.append(b"Content-Length: %d" % len(inquiry.body))
    return b"\r\n".join([*lines, b"Connection: close"]) + _HEAD_END


def _read_verdict(answer: bytes) -> Verdict | None:
    """Read an answer of ours; None if there is none: a bug of ours ended the connection."""
    head, end, body = answer.partition(_HEAD_END)
    if not end:
        return None
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = tuple((name, content.strip()) for name, _, content in (line.partition(":") for line in lines))
    kept = tuple(field for field in fields if field[0].lower() not in _OF_THE_MESSAGE)
    return Verdict(int(status.split(" ")[1]), kept, body)
