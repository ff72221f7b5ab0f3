"""What large bodies cost: throughput and memory of 1 GiB in each direction, beside nginx.

    python -m loadtests.bodies
    python -m loadtests.bodies --mib 1024 --rounds 3 --peers sidegate,nginx

Client and upstream are on one core, the proxy on another. Rounds are taken in turn. Every byte is counted on both
sides; a body that does not arrive whole gives no result.
"""

import argparse
import os
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from loadtests.contenders import PEERS
from loadtests.peers import Peer
from loadtests.processes import BenchError, Child, accepts, free_port
from loadtests.workload import ALLOWED_PATH, Workload

_MIB = 1 << 20
_PIECE = b"x" * (256 * 1024)
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Transfer:
    """One body through one proxy.

    Attributes:
        mib_per_second: Throughput.
        cpu_ms_per_mib: CPU time of the proxy's process tree.
        grown_mib: By how much its resident memory grew at most.
    """

    mib_per_second: float
    cpu_ms_per_mib: float
    grown_mib: float


def serve(port: int) -> None:
    """Be the upstream: ``GET`` is answered with as many bytes as the file's name says, ``PUT`` with their count."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve_one, args=(connection,), daemon=True).start()


def _serve_one(connection: socket.socket) -> None:
    with connection:
        data = b""
        while True:
            while _HEAD_END not in data:
                more = connection.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(_HEAD_END)
            if head.startswith(b"PUT "):
                length = _length(head)
                _receive(connection, length - len(data))
                data = b""
                text = b"%d" % length
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
            else:
                length = int(head.split(b" ", 2)[1].rpartition(b"/")[2])
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
                _send(connection, length)


def _length(head: bytes) -> int:
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    return int(fields[b"content-length"])


def _send(connection: socket.socket, length: int) -> None:
    piece = memoryview(_PIECE)
    while length:
        length -= connection.send(piece[:length])


def _receive(connection: socket.socket, length: int) -> None:
    buffer = bytearray(len(_PIECE))
    while length:
        count = connection.recv_into(buffer, min(length, len(buffer)))
        if not count:
            raise BenchError(f"a body ended {length} bytes early")
        length -= count


def transfer(peer: Peer, workload: Workload, size: int, *, is_upload: bool) -> Transfer:
    """Carry *size* bytes through *peer*."""
    folder = ALLOWED_PATH.rpartition("/")[0]
    cookie = f"Host: 127.0.0.1\r\nCookie: __session={workload.token}\r\n"
    with socket.create_connection(("127.0.0.1", peer.port), timeout=120) as connection:
        watch = _Watch(peer)
        before = peer.child.usage()
        began = time.monotonic()
        if is_upload:
            connection.sendall(f"PUT {folder}/up HTTP/1.1\r\n{cookie}Content-Length: {size}\r\n\r\n".encode())
            _send(connection, size)
        else:
            connection.sendall(f"GET {folder}/{size} HTTP/1.1\r\n{cookie}\r\n".encode())
        data = b""
        while _HEAD_END not in data:
            data += connection.recv(65536)
        head, _, rest = data.partition(_HEAD_END)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise BenchError(f"{peer.name} answers {head!r}")
        _receive(connection, _length(head) - len(rest))
        took = time.monotonic() - began
        after = peer.child.usage()
        most = max(watch.stop(), after.rss_bytes)
    mib = size / _MIB
    return Transfer(mib / took, (after.cpu_s - before.cpu_s) * 1e3 / mib, (most - before.rss_bytes) / _MIB)


class _Watch:
    """Looks at a peer's memory until told to stop."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            self._most = max(self._most, self._peer.child.usage().rss_bytes)

    def stop(self) -> int:
        """Return the most that was seen, in bytes."""
        self._stop.set()
        self._thread.join()
        return self._most


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bodies", description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=1024, help="size of a body (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (%(default)s)")
    parser.add_argument("--peers", default="sidegate,nginx", help="which proxies (%(default)s)")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    cores = sorted(os.sched_getaffinity(0))
    folder = Path(tempfile.mkdtemp(prefix="sidegate-bodies-"))
    port = free_port()
    command = [sys.executable, "-m", "loadtests.bodies", "--serve", str(port)]
    children = [Child("upstream", command, cores[-1], folder / "upstream.log")]
    found: dict[tuple[str, bool], list[Transfer]] = {}
    try:
        children[0].wait_until(lambda: accepts(port))
        workload = Workload(folder)
        workload.allow_uploads()
        peers = [PEERS[name](workload, port, cores[0]) for name in options.peers.split(",")]
        for peer in peers:
            peer.start()
            children.append(peer.child)
        os.sched_setaffinity(0, {cores[-1]})
        for _ in range(options.rounds):
            for peer in peers:
                for is_upload in (False, True):
                    one = transfer(peer, workload, options.mib * _MIB, is_upload=is_upload)
                    found.setdefault((peer.name, is_upload), []).append(one)
    finally:
        for child in reversed(children):
            child.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'proxy':18}{'direction':10}{'MiB/s':>8}{'CPU ms/MiB':>12}{'grown MiB':>11}   medians of {options.rounds}")
    for (name, is_upload), rounds in found.items():
        speed = statistics.median(one.mib_per_second for one in rounds)
        cpu = statistics.median(one.cpu_ms_per_mib for one in rounds)
        grown = max(one.grown_mib for one in rounds)
        print(f"{name:18}{'up' if is_upload else 'down':10}{speed:8.0f}{cpu:12.2f}{grown:11.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
