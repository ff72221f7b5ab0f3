"""What runs in each process: the data port, the admin port, or both."""

import socket
from functools import partial
from typing import Final

from sidegate.app.accepting import Acceptor
from sidegate.app.admin import Admin
from sidegate.app.dataplane import build_gateway, build_inquirer
from sidegate.app.entrance import open_entrance
from sidegate.app.identity import Identity
from sidegate.app.process import Process
from sidegate.app.standing import Standing
from sidegate.core.model.errors import Problem
from sidegate.telemetry import catalogue
from sidegate.telemetry.metrics import WORKER_STARTS
from sidegate.telemetry.shared import Board, Reading, Slot, readings_of

_MILLIS_PER_SECOND: Final = 1000
_NANOS_PER_MILLI: Final = 1_000_000


class Server:
    """The data port of one process.

    Args:
        process: Its parts, started.
        listening: A bound socket.

    Attributes:
        inquirer: Decides what others forward by the same credentials.
    """

    def __init__(self, process: Process, listening: socket.socket) -> None:
        self._process = process
        self._identity = Identity(process.blueprint.settings, process.clock, process.part)
        gateway = build_gateway(process, self._identity)
        self.inquirer = build_inquirer(process, self._identity, gateway.machines)
        self._watch_gauges(gateway.limits.connections)
        self._acceptor = Acceptor(gateway, listening, open_entrance(gateway, process))

    @property
    def is_accepting(self) -> bool:
        """Whether new connections are taken."""
        return self._acceptor.is_accepting

    async def start(self) -> None:
        """Prove who asks, then accept."""
        await self._identity.start(self._process.tasks)
        await self._acceptor.start()

    async def close(self) -> None:
        """Let requests in flight finish, then let go of everything but the process."""
        timeout_ms = self._process.blueprint.settings.limits.drain_timeout_ms
        await self._acceptor.drain(self._process.hurried, timeout_ms / _MILLIS_PER_SECOND)
        await self._identity.close()

    def _watch_gauges(self, connections: int) -> None:
        process, metrics = self._process, self._process.metrics
        process.watch_link(self._identity.link)
        metrics.set_gauge(catalogue.CONNECTIONS_LIMIT, connections)
        signed = process.blueprint.settings.sessions.signed
        if self._identity.jwks is not None and signed is not None:
            jwks = self._identity.jwks
            metrics.watch(catalogue.JWKS_AGE_SECONDS, lambda: jwks.age_ns)
            metrics.set_gauge(catalogue.JWKS_AGE_LIMIT_SECONDS, signed.max_stale_ms * _NANOS_PER_MILLI)


async def serve_alone(process: Process, data: socket.socket, admin: socket.socket) -> None:
    """Serve both ports until asked to stop.

    Raises:
        ConfigError: Another process writes the same spool.
    """
    process.start()
    process.metrics.cells[WORKER_STARTS] = 1
    server = Server(process, data)
    readings = readings_of(process.metrics)
    port = Admin(process, readings, server.inquirer, lambda: server.is_accepting, lambda: process.trail.writable)
    try:
        await port.start(admin)
        await server.start()
        await process.stopping.wait()
    finally:
        await server.close()
        await port.close()
        await process.close()


async def serve_data(process: Process, data: socket.socket, number: int, board: Board, standing: Standing) -> None:
    """Serve the data port as worker *number* until asked to stop."""
    slot = Slot(board.fd, number, process.metrics)
    process.start()
    server = Server(process, data)

    def show(now_ns: int) -> None:
        slot.publish(now_ns)
        standing.say(number, is_accepting=server.is_accepting, is_recording=process.trail.writable is None)

    process.on_beat(show)
    try:
        await server.start()
        show(process.clock.monotonic_ns())
        await process.stopping.wait()
    finally:
        await server.close()
        await process.close()
        show(process.clock.monotonic_ns())
        slot.close()


async def serve_admin(process: Process, admin: socket.socket, board: Board, standing: Standing) -> None:
    """Serve the admin port for all workers until asked to stop; what they decide and count is theirs."""
    process.start()
    identity = Identity(process.blueprint.settings, process.clock, process.part)
    process.watch_link(identity.link)
    port = Admin(
        process,
        partial(_readings, board, process),
        build_inquirer(process, identity),
        lambda: standing.accepting == standing.workers and not process.stopping.is_set(),
        lambda: process.trail.writable or _mute(standing),
    )
    try:
        await port.start(admin)
        await identity.start(process.tasks)
        await process.stopping.wait()
    finally:
        await port.close()
        await identity.close()
        await process.close()


def _readings(board: Board, process: Process) -> list[Reading]:
    """The workers' numbers, and this process's own: it decides too, for who asks the admin port."""
    return [*board.read(process.clock.monotonic_ns()), *readings_of(process.metrics)()]


def _mute(standing: Standing) -> Problem | None:
    mute = standing.mute
    if not mute:
        return None
    hint = "the log of each says why; make the spool folder writable or larger"
    return Problem(None, "audit.spool", f"cannot be written by {mute} of {standing.workers} workers", hint)
