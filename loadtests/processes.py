"""Processes under measurement: started on one core, counted with all their children, ended by their ids."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

READY_S = 20.0
STOP_S = 30.0
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The measurement cannot be made or would be wrong; the message says why."""


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Usage:
    """What a process tree has used so far, or holds.

    Attributes:
        cpu_s: User and system time.
        rss_bytes: Resident memory; pages shared between processes count in each.
        processes: How many.
    """

    cpu_s: float
    rss_bytes: int
    processes: int


class Child:
    """One started program with its children.

    Args:
        name: For messages.
        command: Program and arguments.
        core: CPU that it and its children are pinned to.
        log: Where its output goes.
        environment: Variables over those of this process.
    """

    def __init__(
        self, name: str, command: Sequence[str], core: int, log: Path, environment: Mapping[str, str] = {}
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509 - no threads run here
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until(self, is_ready: Callable[[], bool], within_s: float = READY_S) -> None:
        """Wait until it is ready, *within_s* seconds.

        Raises:
            BenchError: It ended, or did not become ready in time; carries the end of its output.
        """
        deadline = time.monotonic() + within_s
        while not is_ready():
            if self._process.poll() is not None:
                raise BenchError(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} did not become ready in {within_s:.0f} s:\n{self.tail()}")
            time.sleep(0.02)

    def tail(self) -> str:
        """Return the end of its output."""
        return self.log.read_text(errors="replace")[-2000:]

    def usage(self) -> Usage:
        """Sum over the whole process tree."""
        cpu, rss, count = 0.0, 0, 0
        for pid in _tree(self._process.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                # The name may hold blanks and brackets; fields are counted from behind it.
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                cpu += (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
                rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
                count += 1
        return Usage(cpu, rss, count)

    def stop(self) -> None:
        """End it and everything it started: its session holds nothing else."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not end within {STOP_S:.0f} s of SIGTERM; killed", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def accepts(port: int) -> bool:
    """Whether something listens on *port* of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, request: bytes) -> bytes:
    """Send one request and return the whole response, which must have a Content-Length."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += _receive(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"content-length", b"0"))
        while len(body) < length:
            body += _receive(connection)
        return head + b"\r\n\r\n" + body


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise BenchError("a connection was closed within a response")
    return data


def hurry(*pids: int) -> None:
    """Let processes run before everything else; for root.

    Every thread of them: one that is not run would keep the interpreter lock from the others. The first one, with
    the event loop, before its own others, as the machine's usual scheduler lets whoever has slept go first. Of whoever
    uses a whole core so, the kernel takes 50 ms in every second.
    """
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            priority = 2 if int(thread.name) == pid else 1
            os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(priority))
