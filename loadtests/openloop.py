"""A client that sends at a constant rate, whatever the answers do, and counts time from when a request was due.

A client that waits for each answer before it sends the next asks less of a server that stalls, and its latencies leave
the stall out. Here a request that could not be sent because all connections were waiting counts from when it was due.

    python -m loadtests.openloop --port 8080 --rate 5000 --seconds 5 --request request.bin

The beat comes from the kernel (timerfd), because the timers of event loops know whole milliseconds only.
"""

import argparse
import ctypes
import gc
import json
import os
import select
import socket
import ssl
import subprocess
import sys
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.processes import BenchError

CONNECTIONS = 32
SETTLE_S = 5.0
_NANOS = 1_000_000_000
_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000


@dataclass(frozen=True)
class Latency:
    """How long answers took, from when their requests were due.

    Attributes:
        sent: Requests.
        p50_us: Half took no longer.
        p99_us: 99 of 100.
        p999_us: 999 of 1,000.
        max_us: The longest.
    """

    sent: int
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanos", ctypes.c_long))


class _Interval(ctypes.Structure):
    _fields_ = (("every", _Timespec), ("first", _Timespec))


def _beat(interval_ns: int) -> int:
    """Return a descriptor that can be read once per interval; the answer says how many have passed."""
    libc = ctypes.CDLL(None, use_errno=True)
    beat: int = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK)
    span = _Timespec(*divmod(interval_ns, _NANOS))
    if beat < 0 or libc.timerfd_settime(beat, 0, ctypes.byref(_Interval(span, span)), None):
        raise OSError(ctypes.get_errno(), "no timerfd")
    return beat


def load(
    port: int,
    request: bytes,
    *,
    rate: float,
    seconds: float,
    connections: int = CONNECTIONS,
    tls: bool = False,
    also: int = 200,
) -> Latency:
    """Send *request* at *rate* per second, and hold every answer to being 200 and as long as the first, or to *also*.

    Raises:
        BenchError: An answer was not, or some did not come.
    """
    free, size = _connect(port, request, connections, tls=tls)
    by_fd = {client.fileno(): client for client in free}
    interval = round(_NANOS / rate)
    total = int(seconds * rate)
    due: deque[int] = deque()
    sent_for: dict[int, int] = {}
    missing: dict[int, int] = {}
    latencies = array("q")
    waiting = select.epoll()
    for client in free:
        waiting.register(client, select.EPOLLIN)
    gc.disable()
    began = time.monotonic_ns()
    beat = _beat(interval)
    waiting.register(beat, select.EPOLLIN)
    scheduled = 0
    deadline = began + int((seconds + SETTLE_S) * _NANOS)
    while len(latencies) < total:
        events = waiting.poll(SETTLE_S)
        now = time.monotonic_ns()
        if now > deadline:
            raise BenchError(f"{total - len(latencies)} of {total} answers did not come")
        for fd, _ in events:
            if fd == beat:
                passed = int.from_bytes(os.read(beat, 8), sys.byteorder)
                for _ in range(min(passed, total - scheduled)):
                    scheduled += 1
                    due.append(began + scheduled * interval)
                continue
            try:
                data = by_fd[fd].recv(65536)
            except ssl.SSLWantReadError:
                continue  # a record of the handshake, or half of one
            left = (missing[fd] if fd in missing else _size(data, size, also)) - len(data)
            if not data or left < 0:
                raise BenchError(f"an answer is not as the first one: {data[:200]!r}")
            if left:
                missing[fd] = left
            else:
                missing.pop(fd, None)
                latencies.append(now - sent_for.pop(fd))
                free.append(by_fd[fd])
        while due and free:
            client = free.pop()
            sent_for[client.fileno()] = due.popleft()
            client.send(request)
    for client in by_fd.values():
        client.close()
    os.close(beat)
    ordered = sorted(latencies)
    return Latency(total, *(ordered[min(total - 1, int(total * part))] / 1000 for part in (0.5, 0.99, 0.999, 1.0)))


def _connect(port: int, request: bytes, connections: int, *, tls: bool) -> tuple[list[socket.socket], int]:
    """Open connections and ask once on each; return them and the size of an answer."""
    opened: list[socket.socket] = []
    size = 0
    for _ in range(connections):
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            client = _spoken_to_in_tls(client)
        size = _first(client, request)
        client.setblocking(False)
        opened.append(client)
    return opened, size


def _spoken_to_in_tls(client: socket.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # whom it is measured against is known
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(client)


def _size(data: bytes, usual: int, also: int) -> int:
    """Return how long the answer is that begins with *data*; -1 if it is none that may be."""
    if data.startswith(b"HTTP/1.1 200 "):
        return usual
    head, _, _ = data.partition(b"\r\n\r\n")
    if data.startswith(b"HTTP/1.1 %d " % also):
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return len(head) + 4 + int(line[15:])
    return -1


def _first(client: socket.socket, request: bytes) -> int:
    """Ask once, which also opens what is behind; return the size of the answer."""
    client.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(client)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(lines.get(b"content-length", b"0")):
        body += _more(client)
    return len(head) + 4 + len(body)


def _more(client: socket.socket) -> bytes:
    data = client.recv(65536)
    if not data:
        raise BenchError("a connection was closed within an answer")
    return data


def run_pinned(
    port: int,
    request: Path,
    *,
    rate: float,
    seconds: float,
    core: int,
    realtime: bool = False,
    tls: bool = False,
    connections: int = CONNECTIONS,
    also: int = 200,
) -> Latency:
    """Run :func:`load` in a process of its own on *core*; with *realtime* before everything else there.

    Raises:
        BenchError: It failed.
    """
    command = ["chrt", "-r", "1"] if realtime else []
    command += ["taskset", "-c", str(core), sys.executable, "-m", "loadtests.openloop", "--port", str(port)]
    command += ["--rate", str(rate), "--seconds", str(seconds), "--request", str(request)]
    command += ["--connections", str(connections), "--also", str(also), *(["--tls"] if tls else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise BenchError(f"the constant-rate client failed:\n{done.stderr[-2000:]}")
    return Latency(**json.loads(done.stdout))


def main() -> None:
    """Load and print what it was as JSON."""
    parser = argparse.ArgumentParser(prog="openloop", description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--request", type=Path, required=True, help="file with the bytes of one request")
    parser.add_argument("--tls", action="store_true", help="speak TLS; whose certificate it is does not matter")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="at most so many answers are waited for")
    parser.add_argument("--also", type=int, default=200, help="a status that answers may have beside 200")
    options = parser.parse_args()
    request = options.request.read_bytes()
    found = load(
        options.port,
        request,
        rate=options.rate,
        seconds=options.seconds,
        connections=options.connections,
        tls=options.tls,
        also=options.also,
    )
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
