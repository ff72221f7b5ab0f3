"""Several processes on one port: forks them, restarts what dies, ends them together (spec 6.1, ``workers``).

This process has no event loop and no thread, so that it may fork at any time.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from sidegate.core.model.value import value
from sidegate.telemetry.log import get_log

_log: Final = get_log("app")

_WATCHED: Final = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 60.0
"""A process that lived for so long is restarted without a growing pause."""

_FORWARDED: Final = signal.SIGTERM

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2)."""
_INTERNAL_ERROR: Final = 70


@value
class Role:
    """One process to keep alive.

    Attributes:
        name: For the log.
        serve: What it does; returns its exit code.
        fallen: Told its process id when it has ended.
    """

    name: str
    serve: Callable[[], int]
    fallen: Callable[[int], None]


class _Child:
    """A role and the process that fills it."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.pid = 0
        self.started_s = 0.0
        self.restart_s = 0.0
        self.pause_s = _FIRST_PAUSE_S


class Supervisor:
    """Keeps one process per role.

    Args:
        roles: What to keep alive.
    """

    def __init__(self, roles: list[Role]) -> None:
        self._children = [_Child(role) for role in roles]
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Fork, watch, and return the exit code once all have ended."""
        # Blocked, they wait to be fetched below: none can come between a look and a sleep.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            for child in self._children:
                self._start(child, before)
            while any(child.pid for child in self._children) or not self._stopping:
                self._watch(before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._code

    def _watch(self, before: set[signal.Signals] | set[int]) -> None:
        due = [child.restart_s for child in self._children if not child.pid]
        pause_s = max(0.0, min(due) - time.monotonic()) if due and not self._stopping else _LONGEST_PAUSE_S
        found = signal.sigtimedwait(_WATCHED, pause_s)
        if found is not None and found.si_signo != signal.SIGCHLD:
            self._stop()
        self._reap()
        if not self._stopping:
            now = time.monotonic()
            for child in self._children:
                if not child.pid and child.restart_s <= now:
                    self._start(child, before)

    def _start(self, child: _Child, mask: set[signal.Signals] | set[int]) -> None:
        supervisor = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = _INTERNAL_ERROR
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                _end_with(supervisor)
                code = child.role.serve()
            finally:
                # Never back into the supervisor's code, whatever happened.
                os._exit(code)
        child.pid = pid
        child.started_s = time.monotonic()
        _log.info("process_started", role=child.role.name, pid=pid)

    def _stop(self) -> None:
        """Pass the wish on; a second one too, and it ends them at once."""
        self._stopping = True
        for child in self._children:
            if child.pid:
                os.kill(child.pid, _FORWARDED)

    def _reap(self) -> None:
        for child in self._children:
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._note_end(child, os.waitstatus_to_exitcode(status))

    def _note_end(self, child: _Child, code: int) -> None:
        child.role.fallen(child.pid)
        pid, child.pid = child.pid, 0
        if self._stopping:
            _log.info("process_ended", role=child.role.name, pid=pid, code=code)
            self._code = self._code or max(code, 0)
            return
        lived_s = time.monotonic() - child.started_s
        child.pause_s = _FIRST_PAUSE_S if lived_s >= _STEADY_S else min(child.pause_s * 2, _LONGEST_PAUSE_S)
        child.restart_s = time.monotonic() + child.pause_s
        _log.error("process_died", role=child.role.name, pid=pid, code=code, restart_in_s=child.pause_s)


def _end_with(supervisor: int) -> None:
    """Have this process asked to stop when *supervisor*, its parent, is gone without having done so itself.

    Killed, it can ask nobody; its workers would serve on with nobody to restart them, and keep ports and trails from a
    sidecar that is started in its place. Linux does it; elsewhere nothing is done.
    """
    # Only here: a sidecar of one process has no use for it.
    import ctypes  # noqa: PLC0415

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, int(_FORWARDED), 0, 0, 0)
        if os.getppid() != supervisor:
            os._exit(_INTERNAL_ERROR)  # it went before the system was asked
