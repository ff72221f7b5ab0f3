"""An upstream that keeps every byte it gets and answers as a test tells it to."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, Queue

from tests.integration.waiting import DEADLINE_S


@dataclass(frozen=True)
class Received:
    """One request as the upstream got it.

    Attributes:
        raw_head: Every byte up to the empty line and with it.
        body: Without chunked framing.
    """

    raw_head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.raw_head.partition(b"\r\n")[0]

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Header fields in order, spelling as they came."""
        lines = self.raw_head[:-4].split(b"\r\n")[1:]
        return [(name, value[1:]) for name, _, value in (line.partition(b":") for line in lines)]

    def values(self, name: str) -> list[str]:
        """Return every value of one field."""
        return [value.decode("latin-1") for field, value in self.fields if field.decode().lower() == name.lower()]

    @property
    def decision(self) -> str:
        """The decision that let it pass."""
        (decision,) = self.values("X-Sidegate-Decision")
        return decision


class Conversation:
    """One connection from the proxy, for the test's own script to read and write.

    Attributes:
        received: Every byte so far.
        requests: Every request that was read whole.
    """

    def __init__(self, connection: socket.socket, upstream: "LoggingUpstream") -> None:
        self._socket = connection
        self._socket.settimeout(DEADLINE_S)
        self._upstream = upstream
        self._held = b""
        self.received = b""
        self.requests: list[Received] = []

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def receive(self, size: int = 65536) -> bytes:
        """Return what has come, at least a byte; nothing at the end."""
        if self._held:
            held, self._held = self._held, b""
            return held
        data = self._socket.recv(size)
        self.received += data
        return data

    def read_head(self) -> bytes | None:
        """Read a request head; None at the end of the connection."""
        while b"\r\n\r\n" not in self._held:
            data = self._socket.recv(65536)
            if not data:
                assert not self._held, f"the proxy ended its connection within a head: {self._held!r}"
                return None
            self.received += data
            self._held += data
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def read_request(self) -> Received | None:
        """Read a whole request; None at the end of the connection."""
        head = self.read_head()
        if head is None:
            return None
        probe = Received(head, b"")
        if probe.values("Transfer-Encoding"):
            body = b"".join(self.iterate_chunks())
        else:
            (length,) = probe.values("Content-Length") or ["0"]
            body = self.read_exactly(int(length))
        request = Received(head, body)
        self.requests.append(request)
        self._upstream.requests.put(request)
        return request

    def read_exactly(self, size: int) -> bytes:
        """Read *size* bytes."""
        pieces, have = [self._held], len(self._held)
        while have < size:
            data = self._socket.recv(1 << 18)
            if not data:
                raise ConnectionError(f"the proxy ended its connection after {have} of {size} bytes of a body")
            if len(self.received) < 1 << 20:
                self.received += data
            pieces.append(data)
            have += len(data)
        whole = b"".join(pieces)
        self._held = whole[size:]
        return whole[:size]

    def close(self) -> None:
        """Close in order."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def abort(self) -> None:
        """Close with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._socket.close()

    def iterate_chunks(self) -> Iterator[bytes]:
        """Read a chunked body, chunk by chunk."""
        while size := int(self._read_line(), 16):
            piece = self.read_exactly(size)
            assert self._read_line() == b"", "the proxy wrote a malformed chunk"
            yield piece
        assert self._read_line() == b"", "the proxy wrote trailers"

    def _read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.read_exactly(1)
        return line[:-2]


Script = Callable[[Conversation], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def answer_ok(conversation: Conversation) -> None:
    """Answer every request with 200 and two bytes."""
    while conversation.read_request() is not None:
        conversation.send(OK)


class LoggingUpstream:
    """Listens on a free port; each connection is served by the script in force when it was opened.

    Attributes:
        script: What is done with the next connections.
        conversations: Every connection so far.
        requests: Requests read whole, for `next_request`.
        failures: What went wrong in scripts; a test that leaves any fails.
        tls: Spoken on the next connections; None for none. The url says https if there was one at first.
        handshakes: What went wrong in handshakes.
    """

    def __init__(self, script: Script = answer_ok, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.tls = tls
        self.handshakes: list[ssl.SSLError] = []
        self.conversations: list[Conversation] = []
        self.requests: Queue[Received] = Queue()
        self.failures: list[BaseException] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listening.getsockname()[1])
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name="upstream", daemon=True)
        self._accepting.start()

    def next_request(self) -> Received:
        """Return the next request that was read whole."""
        try:
            return self.requests.get(timeout=DEADLINE_S)
        except Empty:
            raise AssertionError("no request reached the upstream") from None

    @property
    def seen(self) -> bytes:
        """Every byte that any connection brought."""
        return b"".join(conversation.received for conversation in self.conversations)

    def close(self) -> None:
        """End all connections and wait for their scripts."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(DEADLINE_S)
        for conversation in self.conversations:
            conversation.close()
        for thread in self._threads:
            thread.join(DEADLINE_S)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(self.script, self.tls, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, script: Script, tls: ssl.SSLContext | None, connection: socket.socket) -> None:
        if tls is not None:
            try:
                connection.settimeout(DEADLINE_S)
                connection = tls.wrap_socket(connection, server_side=True)
            except ssl.SSLError as error:
                self.handshakes.append(error)
                return
            except OSError:
                return  # the proxy left before it was done
        conversation = Conversation(connection, self)
        self.conversations.append(conversation)
        try:
            script(conversation)
        except (ConnectionError, TimeoutError, OSError, ValueError):
            pass  # The proxy left; whether it may is for the test to say.
        except BaseException as error:  # noqa: BLE001 - a thread's failure has to reach the test
            self.failures.append(error)
        finally:
            conversation.close()
