"""Real Redis servers on free ports of the loopback, and every way to take them away."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.integration.waiting import eventually

HOST: Final = "127.0.0.1"
_CUT_ERRORS: Final = (OSError, ValueError)


def free_ports(count: int, *, bus: bool = False) -> list[int]:
    """Return ports that nobody listens on; with *bus*, also not on the port 10,000 above each (a Cluster's bus)."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            one = held.enter_context(socket.create_server((HOST, 0)))
            port = one.getsockname()[1]
            if bus:
                if port + 10_000 > 65_535:
                    continue
                try:
                    held.enter_context(socket.create_server((HOST, port + 10_000)))
                except OSError:
                    continue
            ports.append(port)
        return ports


def talk(port: int, *command: str, password: str | None = None) -> str:
    """Run one command by a plain socket and return the first line of the answer.

    Raises:
        OSError: Nobody answers within 5 s.
    """
    with socket.create_connection((HOST, port), timeout=5) as connection, connection.makefile("rb") as answers:
        line = ""
        for words in ([("AUTH", password)] if password is not None else []) + [command]:
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{parts}".encode())
            line = answers.readline().decode().strip()
        if line.startswith("$") and line != "$-1":
            line = answers.read(int(line[1:])).decode()
        return line


class RedisServer:
    """One redis-server, or redis-sentinel.

    Args:
        folder: For its files; kept across restarts.
        port: To listen on.
        options: More options, e.g. ``["--maxmemory", "10mb"]``.
        config: Whole configuration file instead (Sentinel).
    """

    def __init__(self, folder: Path, port: int, options: Sequence[str] = (), *, config: str | None = None) -> None:
        self.folder = folder
        self.port = port
        self.options = list(options)
        self.config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> "RedisServer":
        """Start it and wait until it answers."""
        self.launch()
        eventually(self.answers, f"redis on port {self.port} answers; its log:\n{self.log()}")
        return self

    def launch(self) -> None:
        """Start it without waiting."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["redis-server"]
        if self.config is not None:
            file = self.folder / "server.conf"
            if not file.exists():
                file.write_text(self.config)
            command += [str(file), "--sentinel"]
        else:
            command += ["--port", str(self.port), "--bind", HOST, "--dir", str(self.folder), "--save", ""]
            command += ["--appendonly", "no", "--enable-debug-command", "local", *self.options]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )

    def answers(self) -> bool:
        """Whether it answers and has loaded its data; also if it then wants a password."""
        try:
            return talk(self.port, "PING").startswith(("+PONG", "-NOAUTH"))
        except _CUT_ERRORS:
            return False

    def log(self) -> str:
        """Return what it wrote."""
        file = self.folder / "server.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def command(self, *command: str) -> str:
        """Run one command; see :func:`talk`."""
        return talk(self.port, *command)

    def freeze(self) -> None:
        """Stop it in mid-flight (SIGSTOP): connections stay, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL); what it held is gone unless it was on disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Remove what it kept on disk, so that it starts empty."""
        shutil.rmtree(self.folder)


class FaultProxy:
    """Stands between a client and a server and takes the network away.

    Args:
        to: Port of the server.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._refuses = threading.Event()
        self._closed = False
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """The address to use instead of the server's."""
        return f"redis://{HOST}:{self.port}"

    def cut(self) -> None:
        """Drop every byte from now on, without a word: a cable that was pulled."""
        self._open.clear()

    def sever(self) -> None:
        """Close every connection and every new one at once: a firewall that resets."""
        self._refuses.set()
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Let bytes through again; those held back meanwhile arrive late, as a network does."""
        self._refuses.clear()
        self._open.set()

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._open.set()
        self.sever()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses.is_set():
                client.close()
                continue
            try:
                server = socket.create_connection((HOST, self._to))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pump, args=(source, sink), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._open.wait()
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets.discard(source)
        source.close()


MASTER_NAME: Final = "sidegate"


class SentinelSet:
    """A master, a replica and three Sentinels that promote it within about a second.

    Args:
        folder: For their files.
    """

    def __init__(self, folder: Path) -> None:
        ports = free_ports(5)
        self.master = RedisServer(folder / "master", ports[0])
        self.replica = RedisServer(folder / "replica", ports[1], ["--replicaof", HOST, str(ports[0])])
        self.sentinels = [
            RedisServer(folder / f"sentinel{port}", port, config=_sentinel_config(port, ports[0])) for port in ports[2:]
        ]

    @property
    def url(self) -> str:
        """Its address."""
        nodes = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{nodes}/{MASTER_NAME}"

    def start(self) -> "SentinelSet":
        """Start all and wait until they know each other."""
        self.master.start()
        self.replica.start()
        eventually(lambda: "link_status:up" in self._replication(), "the replica follows its master")
        for sentinel in self.sentinels:
            sentinel.start()
        for sentinel in self.sentinels:
            eventually(partial(_is_settled, sentinel), "the Sentinels know each other and the replica")
        return self

    def _replication(self) -> str:
        return self.replica.command("INFO", "replication").replace("master_", "")

    def close(self) -> None:
        """End all."""
        for server in (*self.sentinels, self.replica, self.master):
            server.kill()


def _is_settled(sentinel: RedisServer) -> bool:
    known = sentinel.command("INFO", "sentinel")
    return "status=ok" in known and "slaves=1,sentinels=3" in known


def _sentinel_config(port: int, master: int) -> str:
    return (
        f"port {port}\nbind {HOST}\nsentinel monitor {MASTER_NAME} {HOST} {master} 2\n"
        f"sentinel down-after-milliseconds {MASTER_NAME} 400\nsentinel failover-timeout {MASTER_NAME} 2000\n"
    )


class Cluster:
    """Three nodes that share the slots.

    Args:
        folder: For their files.
    """

    def __init__(self, folder: Path) -> None:
        self.nodes = [
            RedisServer(
                folder / f"node{port}",
                port,
                ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000"],
            )
            for port in free_ports(3, bus=True)
        ]

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis+cluster://{','.join(f'{HOST}:{node.port}' for node in self.nodes)}"

    def start(self) -> "Cluster":
        """Start the nodes, give them their slots and wait until each thinks well of all."""
        for node in self.nodes:
            node.start()
        bounds = [0, 5461, 10_923, 16_384]
        for number, node in enumerate(self.nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            node.command("CLUSTER", "ADDSLOTSRANGE", str(bounds[number]), str(bounds[number + 1] - 1))
            node.command("CLUSTER", "MEET", HOST, str(self.nodes[0].port))
        for node in self.nodes:
            eventually(partial(self._is_settled, node), "the nodes of the Cluster agree")
        return self

    def _is_settled(self, node: RedisServer) -> bool:
        known = node.command("CLUSTER", "INFO")
        return "cluster_state:ok" in known and "cluster_known_nodes:3" in known and "cluster_size:3" in known

    def node_of(self, slot: int) -> RedisServer:
        """Return the node that has *slot*."""
        for line in self.nodes[0].command("CLUSTER", "NODES").splitlines():
            words = line.split()
            if "master" in words[2] and any(_holds(part, slot) for part in words[8:]):
                port = int(words[1].partition("@")[0].rpartition(":")[2])
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def id_of(self, node: RedisServer) -> str:
        """Return the name by which nodes know *node*."""
        return node.command("CLUSTER", "MYID")

    def close(self) -> None:
        """End all."""
        for node in self.nodes:
            node.kill()


def _holds(part: str, slot: int) -> bool:
    if part.startswith("["):
        return False
    first, _, last = part.partition("-")
    return int(first) <= slot <= int(last or first)


def running(server: RedisServer) -> Iterator[RedisServer]:
    """Start *server* for a fixture, and end it afterwards."""
    try:
        yield server.start()
    finally:
        server.kill()
