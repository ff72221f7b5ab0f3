"""`sidegate top` on a running sidecar, into a pipe and on a terminal."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.sidecar import FILES, Sidecar


class Terminal:
    """A terminal with a `sidegate top` on it."""

    def __init__(self, sidecar: Sidecar, columns: int, lines: int) -> None:
        self._controller, terminal = pty.openpty()
        self._terminal = terminal
        self.resize(columns, lines)
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("SIDEGATE", "NO_COLOR"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sidegate", "top", "-i", "0.2", "--address", f"127.0.0.1:{sidecar.admin}"],
            env={**environment, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        self.shown = b""

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._controller, key)

    def await_text(self, text: bytes) -> None:
        """Read until *text* is shown anew."""
        self.shown = b""
        while text not in self.shown:
            assert select.select([self._controller], [], [], 30)[0], f"{text!r} is not shown; this is: {self.shown!r}"
            self.shown += os.read(self._controller, 65536)

    def close(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()
        os.close(self._controller)
        os.close(self._terminal)


@contextmanager
def terminal(sidecar: Sidecar, columns: int = 100, lines: int = 24) -> Iterator[Terminal]:
    """Open one."""
    opened = Terminal(sidecar, columns, lines)
    try:
        yield opened
    finally:
        opened.close()


def test_numbers_are_those_of_the_sidecar(sidecar: Sidecar) -> None:
    """As JSON, one line; denials by reason since the start."""
    for _ in range(3):
        assert sidecar.ask("PUT", f"{FILES}/a", who="vera", body=b"x").status == 403
    done = sidecar.run("top", "--address", f"127.0.0.1:{sidecar.admin}", "-i", "0.2", "-n", "1", "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert [(denial["reason"], denial["total"]) for denial in shown["denials"]] == [("not_granted", 3)]
    assert (shown["failing"], shown["dropped"]) == ({}, 0)
    assert shown["resident_bytes"] > 0


def test_nobody_there(sidecar: Sidecar) -> None:
    """Says so, with what to do, and the exit code of what is unavailable."""
    address = f"127.0.0.1:{sidecar.admin}"
    sidecar.stop()
    done = sidecar.run("top", "--address", address)
    assert done.returncode == 69
    assert "start `sidegate run`" in done.stderr


def test_it_is_live_on_a_terminal(sidecar: Sidecar) -> None:
    """It follows what happens and the size of the terminal; `q` ends it and leaves the terminal as it was."""
    with terminal(sidecar) as top:
        top.await_text(b"nothing yet")
        assert sidecar.ask("PUT", f"{FILES}/a", who="vera", body=b"x").status == 403
        top.await_text(b"not_granted")
        top.await_text(b"loop lag")
        top.resize(40, 24)
        top.process.send_signal(signal.SIGWINCH)
        top.await_text("…".encode())
        top.press(b"x")
        top.await_text(b"ready")
        top.press(b"q")
        top.await_text(b"\x1b[?1049l")
        assert top.process.wait(30) == 0


def test_it_outlives_the_sidecar(sidecar: Sidecar) -> None:
    """Whoever watches a restart wants to see how it goes on."""
    with terminal(sidecar) as top:
        top.await_text(b"ready")
        sidecar.stop()
        top.await_text(b"nobody answers")
        top.press(b"q")
        assert top.process.wait(30) == 0
