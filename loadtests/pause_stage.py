"""What the causes of pauses have in common: a watched sidecar, requests, and servers that stand for its neighbours."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from loadtests.openloop import CONNECTIONS
from loadtests.peers import COMPILED
from loadtests.processes import ask
from loadtests.turns import TurnWatch
from loadtests.variants import Variant
from loadtests.workload import SCENARIOS, Workload

SIGNAL_MS: Final = 4
"""With ``--where``: after so much of a turn its stack is written down."""


class Watched(Variant):
    """Sidegate whose loop is watched from outside."""

    def __init__(
        self,
        stage: "Stage",
        name: str,
        settings: dict[str, Any] | None = None,
        *,
        workload: Workload | None = None,
        upstream: int | None = None,
        listen: dict[str, Any] | None = None,
    ) -> None:
        workload = stage.workload(name) if workload is None else workload
        super().__init__(workload, stage.upstream if upstream is None else upstream, stage.core, name, settings)
        self._stage = stage
        self._listen = listen
        self.stacks = self.folder / "stacks.txt"
        self.watch = TurnWatch(stage.probe, self.folder / "turns", SIGNAL_MS if stage.where else None)

    def settings(self) -> dict[str, Any]:
        found = super().settings()
        if self._listen is not None:
            found["listen"] = {"address": found["listen"], **self._listen}
        return found

    def environment(self) -> dict[str, str]:
        return {**self.watch.environment, **({"PYTHONPATH": str(COMPILED)} if self._stage.compiled else {})}

    def command(self) -> list[str]:
        command = super().command()
        if self._stage.where:
            command = [sys.executable, "-m", "loadtests.turns", str(self.stacks), *command[3:]]
        return command

    def stop(self) -> None:
        super().stop()
        self.watch.close()


@dataclass
class Scene:
    """One cause, set up.

    Attributes:
        peer: The sidecar, not started yet.
        provoke: Causes it once, and returns when that is done.
        ready: Called once the sidecar runs, before it is measured.
        over: Called at the end.
        request: What the steady load asks.
        tls: The steady load speaks TLS.
        rate: Requests per second of the steady load.
        connections: Of the steady load.
        also: A status that answers of the steady load may have beside 200.
    """

    peer: Watched
    provoke: Callable[[], None]
    ready: Callable[[], None] = lambda: None
    over: list[Callable[[], None]] = field(default_factory=list)
    request: bytes = b""
    tls: bool = False
    rate: float = 1000.0
    connections: int = CONNECTIONS
    also: int = 200

    def __post_init__(self) -> None:
        self.request = self.request or self.peer.workload.request(SCENARIOS["allowed"], "127.0.0.1")


@dataclass
class Stage:
    """What all scenes are set up on.

    Attributes:
        folder: For files, empty.
        upstream: Port of the upstream.
        core: Of sidecars.
        other: Of everything else.
        probe: The compiled probe.
        where: Stacks of long turns are wanted.
        compiled: The compiled copy of the package is what is measured.
        bindings: How many large policies have.
        realtime: What is measured runs before everything else.
        python: The interpreter, for what runs beside.
        over: Set when a measurement is over.
    """

    folder: Path
    upstream: int
    core: int
    other: int
    probe: Path
    where: bool
    compiled: bool
    bindings: int
    realtime: bool = False
    python: str = sys.executable
    over: threading.Event = field(default_factory=threading.Event)

    def pace(self, seconds: float) -> None:
        """Wait for so long, or less when the measurement is over."""
        self.over.wait(seconds)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, or the measurement is over."""
        while not is_so() and not self.over.is_set():
            self.over.wait(0.02)

    def workload(self, name: str) -> Workload:
        """Return a workload with files of its own."""
        folder = self.folder / name
        folder.mkdir()
        return Workload(folder)


def bulk_policy(org: str, bindings: int, turn: int = 0) -> str:
    """Return a policy file with so many bindings, ten for each member, and one that is another every *turn*."""
    members = "".join(f"  user:u{number}: {{roles: [Member]}}\n" for number in range(max(1, bindings // 10)))
    lines = "".join(
        f"  - {{id: b{number}, who: user:u{number // 10}, role: Designer, on: p{number * 7 % 5000}}}\n"
        for number in range(bindings)
    )
    last = f"  - {{id: t, who: user:u0, role: Viewer, on: t{turn}}}\n"
    return f"organization: {org}\nmembers:\n{members}bindings:\n{lines}{last}"


def admin_get(peer: Watched, path: str, headers: str = "") -> bytes:
    """Ask the admin port."""
    return ask(peer.admin, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())


def admin_post(peer: Watched, path: str, body: bytes) -> bytes:
    """Post JSON to the admin port."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return ask(peer.admin, head.encode() + b"\r\n\r\n" + body)


def open_many(port: int, count: int, request: bytes, until: bytes) -> list[socket.socket]:
    """Open connections, send *request* on each and wait for *until* in its answer."""
    held: list[socket.socket] = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
        client.sendall(request)
        held.append(client)
    for client in held:
        data = b""
        while until not in data:
            more = client.recv(65536)
            if not more:
                raise ConnectionError(f"a connection was closed after {data!r}")
            data += more
    return held


def close_all(held: list[socket.socket]) -> None:
    """Close all of *held* and forget them."""
    for client in held:
        client.close()
    held.clear()


class HttpServer:
    """A server of the neighbourhood (an issuer, a collector) in a thread of this process.

    Args:
        answer: Given method, path and body returns status, type and body. May take its time.
    """

    def __init__(self, answer: Callable[[str, str, bytes], tuple[int, str, bytes]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status, kind, text = answer(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = _answer  # noqa: N815 - their names there

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def provoking(scene: Scene, over: threading.Event) -> Iterator[Callable[[], int]]:
    """Provoke again and again in a thread until *over*; yields what tells how often it was done."""
    done = 0
    failed: list[BaseException] = []

    def run() -> None:
        nonlocal done
        try:
            while not over.is_set():
                scene.provoke()
                done += 1
        except BaseException as error:  # noqa: BLE001 - handed over below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield lambda: done
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]
