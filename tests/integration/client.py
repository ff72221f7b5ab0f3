"""A client that sends exactly the bytes it is told, cut where it is told, and reads responses strictly."""

import contextlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

DEADLINE_S = 20.0


@dataclass(frozen=True)
class Response:
    """One response as it came.

    Attributes:
        fields: (name, value) in order, spelling as it came.
        body: Without chunked framing.
        raw: Every byte of it, interim responses not included.
    """

    status: int
    phrase: str
    fields: list[tuple[str, str]]
    body: bytes
    raw: bytes

    def field(self, name: str) -> str | None:
        """Return the value of a field that stands at most once."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Why Sidegate refused."""
        assert self.field("Content-Type") == "application/problem+json", self
        return str(self.json()["reason"])

    @property
    def verdict(self) -> tuple[int, str]:
        """Status and reason of a refusal."""
        return self.status, self.reason


class Client:
    """One connection, read with a deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(DEADLINE_S)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send all of *data*."""
        self._socket.sendall(data)

    def send_cut(self, data: bytes, places: Iterable[int]) -> None:
        """Send *data* in pieces cut at *places*."""
        last = 0
        for place in [*sorted(places), len(data)]:
            if place > last:
                self._socket.sendall(data[last:place])
                last = place

    def send_bytewise(self, data: bytes) -> None:
        """Send every byte by itself."""
        self.send_cut(data, range(1, len(data)))

    def end_sending(self) -> None:
        """Say that nothing more comes, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def read_some(self, size: int = 65536) -> bytes:
        """Return what has come, at least a byte; nothing at the end."""
        if self._held:
            held, self._held = self._held[:size], self._held[size:]
            return held
        return self._socket.recv(size)

    def read_until(self, end: bytes) -> bytes:
        """Return what comes, up to and with *end*."""
        data = b""
        while end not in data:
            piece = self.read_some()
            assert piece, f"the connection ended before {end!r}: {data!r}"
            data += piece
        last = data.index(end) + len(end)
        self.unread(data[last:])
        return data[:last]

    def unread(self, data: bytes) -> None:
        """Put back what was read."""
        self._held = data + self._held

    def read_response(self, method: str = "GET") -> Response:
        """Read one final response; interim ones are left out."""
        while True:
            response = self._read_one(method)
            if response.status >= 200 or response.status == 101:
                return response

    def read_interim(self) -> Response:
        """Read one response head, which must be an interim one."""
        response = self._read_one("GET")
        assert response.status < 200, response
        return response

    def read_to_end(self) -> bytes:
        """Read until the other side ends the connection in order.

        Raises:
            ConnectionResetError: It was cut.
        """
        data, self._held = self._held, b""
        while more := self._socket.recv(65536):
            data += more
        return data

    def is_ended(self) -> bool:
        """Whether the other side ends the connection, in order or not, without sending anything more."""
        try:
            return self.read_to_end() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Close in order."""
        self._socket.close()

    def abort(self) -> None:
        """Close with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._socket.close()

    def _read_one(self, method: str) -> Response:
        while b"\r\n\r\n" not in self._held:
            self._receive("a response head")
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        version, status, phrase = line.split(" ", 2)
        assert version == "HTTP/1.1", line
        fields = []
        for text in lines:
            name, colon, value = text.partition(":")
            assert colon, text
            assert name == name.strip(" \t") != "", text
            fields.append((name, value.strip(" \t")))
        by_name = {name.lower(): value for name, value in fields}
        code = int(status)
        if method == "HEAD" or code < 200 or code in {204, 304}:
            body = b""
        elif "transfer-encoding" in by_name:
            assert "content-length" not in by_name, head
            body = self._read_chunks()
        elif "content-length" in by_name:
            body = self._read_exactly(int(by_name["content-length"]))
        else:
            assert by_name.get("connection") == "close", f"a body without end: {head!r}"
            body = self.read_to_end()
        return Response(code, phrase, fields, body, head + b"\r\n\r\n" + body)

    def _read_chunks(self) -> bytes:
        body = b""
        while True:
            size = int(self._read_line(), 16)
            piece = self._read_exactly(size)
            assert self._read_line() == b"", "a chunk or the trailers do not end in an empty line"
            body += piece
            if size == 0:
                return body

    def _read_line(self) -> bytes:
        while b"\r\n" not in self._held:
            self._receive("a line of a chunked body")
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def _read_exactly(self, size: int) -> bytes:
        pieces = [self._held]
        have = len(self._held)
        while have < size:
            self._held = b""
            self._receive("a body")
            pieces.append(self._held)
            have += len(self._held)
        data = b"".join(pieces)
        self._held = data[size:]
        return data[:size]

    def _receive(self, what: str) -> None:
        data = self._socket.recv(1 << 18)
        assert data, f"the connection ended within {what}: {self._held!r}"
        self._held += data


def ask(port: int, request: bytes, method: str = "GET") -> Response:
    """Send one whole request on a connection of its own and read its response."""
    with Client(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)) as client:
        client.send(request)
        return client.read_response(method)
