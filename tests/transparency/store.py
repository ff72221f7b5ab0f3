"""An upstream for real clients: answers in all the ways that HTTP/1.1 knows and keeps every byte that it is sent."""

import gzip
import hashlib
import json
import socketserver
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.wire.strict import read_chunks

BIG: Final = bytes(number % 251 for number in range(1 << 20))
BODY: Final = BIG[:300_000]
"""What clients send."""
NAMES: Final = ("data.json", "packed", "big", "chunks", "elsewhere", "login", "events", "hints", "missing", "endless")
DATA: Final = json.dumps({"name": "grüße", "sites": list(range(50))}).encode()
TAG: Final = b'"v1"'
_EVENTS: Final = tuple(f"id: {number}\ndata: event {number} €\n\n".encode() for number in range(5))


@dataclass(frozen=True)
class Call:
    """One request as it was sent.

    Attributes:
        head: Every byte up to the empty line and with it.
        body: Every byte of it, framing too.
    """

    head: bytes
    body: bytes

    @property
    def method(self) -> bytes:
        """Its method."""
        return self.head.split(b" ", 1)[0]

    @property
    def path(self) -> bytes:
        """Its target without the query."""
        return self.head.split(b" ", 2)[1].partition(b"?")[0]

    @property
    def payload(self) -> bytes:
        """Its body without framing."""
        return read_chunks(self.body)[0] if self.has(b"transfer-encoding: chunked") else self.body

    def has(self, line: bytes) -> bool:
        """Whether a line of its head is *line*, in any case."""
        return b"\r\n" + line + b"\r\n" in self.head.lower()

    def value(self, name: bytes) -> bytes:
        """Return the first value of a field, empty if there is none."""
        for line in self.head.split(b"\r\n")[1:]:
            field_name, _, given = line.partition(b":")
            if field_name.lower() == name:
                return given.strip()
        return b""


Serve = Callable[[Call], bytes]


def _answer(status: bytes, lines: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def _chunks(lines: bytes, pieces: "tuple[bytes, ...]", trailers: bytes = b"") -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (lines, framed, trailers)


def serve(call: Call) -> bytes:
    """Answer by the last segment of the path."""
    name = call.path.rpartition(b"/")[2]
    if call.method not in {b"GET", b"HEAD"}:
        if call.method == b"DELETE":
            return b"HTTP/1.1 204 No Content\r\nX-Deleted: %b\r\n\r\n" % name
        told = {"size": len(call.payload), "sha256": hashlib.sha256(call.payload).hexdigest()}
        return _answer(b"201 Created", b"Content-Type: application/json\r\n", json.dumps(told).encode())
    match name:
        case b"data.json":
            lines = b"Content-Type: application/json\r\nETag: %b\r\n" % TAG
            if call.value(b"if-none-match") == TAG:
                return b"HTTP/1.1 304 Not Modified\r\nETag: %b\r\n\r\n" % TAG
            answer = _answer(b"200 OK", lines, DATA)
        case b"packed":
            lines = b"Content-Type: text/plain\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
            answer = _answer(b"200 OK", lines, gzip.compress(DATA * 50, mtime=0))
        case b"big":
            answer = _ranged(call)
        case b"chunks":
            pieces = tuple(BIG[at : at + 1000] for at in range(0, 100_000, 1000))
            answer = _chunks(b"Trailer: X-Sum\r\nX-A: b\r\n", pieces, b"X-Sum: 1\r\n")
        case b"elsewhere":
            answer = _answer(b"302 Found", b"Location: data.json?from=elsewhere\r\n", b"go there")
        case b"login":
            answer = _answer(b"200 OK", b"Set-Cookie: theme=dark; Path=/\r\nSet-Cookie: lang=de; Path=/\r\n", b"in")
        case b"events":
            answer = _chunks(b"Content-Type: text/event-stream\r\nCache-Control: no-store\r\n", _EVENTS)
        case b"hints":
            early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
            answer = early + _answer(b"200 OK", b"Content-Type: text/plain\r\n", b"hinted")
        case b"endless":
            answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + DATA
        case _:
            answer = _answer(b"404 Not Found", b"Content-Type: text/plain\r\n", b"no such thing")
    return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if call.method == b"HEAD" else answer


def _ranged(call: Call) -> bytes:
    wanted = call.value(b"range")
    lines = b"Accept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n"
    if not wanted:
        return _answer(b"200 OK", lines, BIG)
    first, _, last = wanted.removeprefix(b"bytes=").partition(b"-")
    begin, end = int(first), int(last) if last else len(BIG) - 1
    placed = lines + b"Content-Range: bytes %d-%d/%d\r\n" % (begin, end, len(BIG))
    return _answer(b"206 Partial Content", placed, BIG[begin : end + 1])


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: "Store"

    def handle(self) -> None:
        """Serve one connection."""
        try:
            while (call := self._read()) is not None:
                self.server.calls.append(call)
                answer = self.server.serve(call)
                self.wfile.write(answer)
                if b"\r\nConnection: close\r\n" in answer.partition(b"\r\n\r\n")[0] + b"\r\n":
                    return
        except OSError:
            return  # the client left

    def _read(self) -> Call | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                assert not head, f"the connection ended within a head: {head!r}"
                return None
            head += line
        call = Call(head, b"")
        if call.has(b"expect: 100-continue"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if call.has(b"transfer-encoding: chunked"):
            return Call(head, self._chunks())
        return Call(head, self.rfile.read(int(call.value(b"content-length") or b"0")))

    def _chunks(self) -> bytes:
        body = b""
        while True:
            line = self.rfile.readline()
            size = int(line.partition(b";")[0], 16)
            body += line + self.rfile.read(size + 2 if size else 0)
            if not size:
                while line != b"\r\n":
                    line = self.rfile.readline()
                    body += line
                return body


class Store(socketserver.ThreadingTCPServer):
    """Listens on a free port until it is closed.

    Attributes:
        calls: All requests, in the order in which they were whole.
        serve: Makes the answers.
        failures: What went wrong in it.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, answering: Serve = serve) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[Call] = []
        self.serve = answering
        self.failures: list[str] = []
        self.port = int(self.server_address[1])
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what went wrong for the test to see."""
        del request, client_address
        self.failures.append(traceback.format_exc())

    def close(self) -> None:
        """End it."""
        self.shutdown()
        self._thread.join()
        self.server_close()
