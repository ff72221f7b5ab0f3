"""Accepts clients until it is told to stop, then lets them finish (spec 2.8)."""

import asyncio
import select
import socket
from dataclasses import replace
from typing import Final

from sidegate.app.entrance import Entrance
from sidegate.app.listening import BACKLOG
from sidegate.proxy.gateway import Gateway
from sidegate.telemetry.log import get_log

_log: Final = get_log("app")

QUIET_S: Final = 1.0
"""While draining a connection between two requests is closed after being quiet for so long. Not at once: its client may
have sent a request that is on its way, and would lose it; a busy client sends the next one well within this time, is
served, and is told to close."""

_ACCEPTING_S: Final = 1.0
"""How long connections are accepted that were queued before the listener closes; the kernel resets the others."""

_AT_A_TIME: Final = 256
"""Connections told that the sidecar is going away in one turn of the loop."""

_TURNS: Final = 16
"""Of the loop, at most, until connections that were cut are gone."""


class Acceptor:
    """Accepts clients, and drains them at the end.

    Args:
        gateway: What connections share.
        listening: A bound socket.
        entrance: Makes the first protocol of each connection.
    """

    def __init__(self, gateway: Gateway, listening: socket.socket, entrance: Entrance) -> None:
        self._gateway = gateway
        self._entrance = entrance
        self._listening = listening
        self._server: asyncio.Server | None = None
        self._is_accepting = False

    @property
    def is_accepting(self) -> bool:
        """Whether new connections are taken."""
        return self._is_accepting

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._gateway.deadlines.start()
        make = loop.create_unix_server if self._listening.family == socket.AF_UNIX else loop.create_server
        self._server = await make(self._entrance, sock=self._listening, backlog=BACKLOG)
        self._is_accepting = True
        _log.info("listener_opened", address=_name_of(self._listening), connections=self._gateway.limits.connections)

    async def drain(self, hurried: asyncio.Event, timeout_s: float) -> None:
        """Accept no more, let requests in flight finish, then end what is left.

        Args:
            hurried: Ends the waiting early.
            timeout_s: Ends the waiting anyway.
        """
        gateway = self._gateway
        # Before anything else, so that everything answered from now on says that its connection closes.
        self._is_accepting = False
        gateway.draining = True
        gateway.limits = replace(gateway.limits, idle_timeout_s=min(QUIET_S, gateway.limits.idle_timeout_s))
        if self._server is not None:
            await self._accept_the_queue()
            self._server.close()
            self._server = None
        await self._say_goodbye()
        if gateway.connections:
            waits = {asyncio.ensure_future(gateway.emptied.wait()), asyncio.ensure_future(hurried.wait())}
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        await self._cut_the_rest()
        gateway.deadlines.stop()
        gateway.pool.close()

    async def _accept_the_queue(self) -> None:
        """Take in who connected before the listener closes: the kernel would reset them, requests sent and all."""
        poll = select.poll()
        poll.register(self._listening.fileno(), select.POLLIN)
        loop = asyncio.get_running_loop()
        until = loop.time() + _ACCEPTING_S
        while poll.poll(0) and loop.time() < until:  # noqa: ASYNC110  the kernel tells when, not a task
            await asyncio.sleep(0)

    async def _say_goodbye(self) -> None:
        for number, client in enumerate(list(self._gateway.connections), 1):
            client.going_away()
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _cut_the_rest(self) -> None:
        left = self._gateway.connections
        if left:
            _log.warning("connections_cut", connections=len(left))
        for client in list(left):
            client.shut_down()
        # Their ends are told to their exchanges in the loop's next turns; each has a record to write.
        for _ in range(_TURNS):
            if not left:
                break
            await asyncio.sleep(0)


def _name_of(listening: socket.socket) -> str:
    name = listening.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"
