"""The data path of one worker without sockets: real parts from real files, connections made of memory, time by hand.

Bytes go in where a socket would deliver them and come out where one would take them, so that a test decides how they
are cut and sees every byte. Records go to a real spool in a temporary folder.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from tests.integration.sidecar import Json, Sidecar

from sidegate.app.blueprint import draw
from sidegate.app.dataplane import build_gateway
from sidegate.app.identity import Identity
from sidegate.app.policy import _InFolder, open_policy
from sidegate.app.process import Process
from sidegate.config.planning import make_plan
from sidegate.config.policy_file import read_document
from sidegate.config.settings import load_settings
from sidegate.core.model.units import UnixMillis
from sidegate.credentials.state import FollowedState
from sidegate.distribution.holder import SnapshotHolder
from sidegate.proxy.client import ClientConnection
from sidegate.proxy.deadlines import TICK_S, Deadlines
from sidegate.proxy.upstream import WRITE_HIGH_WATER, UpstreamAddress, UpstreamConnection, UpstreamPool
from sidegate.telemetry.clock import SystemClock
from sidegate.telemetry.tasks import TaskSet

# Turns of the event loop after which everything that needs no outside event has happened.
_TURNS = 60
CLIENT_ADDRESS = "192.0.2.1"


class MemoryTransport(asyncio.Transport):
    """One end of a connection whose other end is the test.

    Attributes:
        sent: Every byte that was written.
        ended: Its sending side was closed in order.
        aborted: It was cut.
        unsent: Bytes of *sent* that the other side has not taken; see :meth:`stall`.
        closed: It is gone, one way or the other.
    """

    def __init__(self, protocol: asyncio.BufferedProtocol, peer: tuple[str, int] | None) -> None:
        super().__init__({"peername": peer})
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._incoming = bytearray()
        self._reading = True
        self._ending = False
        self.sent = bytearray()
        self.ended = False
        self.aborted = False
        self.unsent = 0
        self._takes = True
        self._high_water = WRITE_HIGH_WATER
        self.closed = False
        protocol.connection_made(self)

    # What the test does.

    def feed(self, data: bytes) -> None:
        """Deliver bytes, once the protocol reads."""
        self._incoming += data
        self._deliver()

    def feed_end(self) -> None:
        """Close the other side's sending half."""
        if not self._ending and not self._protocol.eof_received():
            self.close()

    def drop(self, error: Exception | None) -> None:
        """Lose the connection: the other side ended it in order (None), or cut it."""
        self._finish(error)

    def vanish(self) -> None:
        """Be gone before anything else happens."""
        self._ending = True
        self._lost(None)

    def stall(self) -> None:
        """Take nothing more of what is written, until :meth:`take`."""
        self._takes = False

    def take(self, size: int | None = None) -> None:
        """Take *size* of the bytes that were not taken; None for all, and all that follow."""
        if size is None:
            self._takes = True
        was = self.unsent
        self.unsent = max(0, was - size) if size is not None else 0
        if was > self._high_water >= self.unsent:
            self._protocol.resume_writing()
        if not self.unsent and self._ending and not self.closed:
            self._loop.call_soon(self._lost, None)

    def is_reading(self) -> bool:
        """Whether more bytes would be taken."""
        return self._reading

    # What the protocol does; see asyncio.Transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written after the end"
        if self._ending:
            return
        self.sent += data
        if not self._takes:
            was = self.unsent
            self.unsent += len(data)
            if was <= self._high_water < self.unsent:
                self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._ending

    def close(self) -> None:
        self.ended = True
        if self.unsent:
            self._ending = True  # lost once all is taken, or at an abort
        else:
            self._finish(None)

    def abort(self) -> None:
        self.aborted = True
        if self._ending and self.unsent and not self.closed:
            self._loop.call_soon(self._lost, None)
        self._finish(None)

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is not None:
            self._high_water = high

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.BufferedProtocol)
        self._protocol = protocol

    def _deliver(self) -> None:
        while self._reading and self._incoming and not self._ending:
            buffer = cast("memoryview", self._protocol.get_buffer(-1))
            count = min(len(buffer), len(self._incoming))
            buffer[:count] = self._incoming[:count]
            del self._incoming[:count]
            self._protocol.buffer_updated(count)

    def _finish(self, error: Exception | None) -> None:
        if not self._ending:
            self._ending = True
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self.closed = True
        self._protocol.connection_lost(error)


class MemoryPool(UpstreamPool):
    """A pool whose connections end at the test.

    Attributes:
        opened: Every connection so far.
        failure: Raised instead of opening one.
        never: Connections are never made.
    """

    def __init__(self, tasks: TaskSet, limit: int) -> None:
        super().__init__(UpstreamAddress("upstream", 80, None), limit=limit, connect_timeout_s=1000.0, tasks=tasks)
        self.opened: list[MemoryTransport] = []
        self.failure: OSError | None = None
        self.never = False

    async def _open(self) -> UpstreamConnection:
        await asyncio.sleep(0)
        if self.never:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        upstream = UpstreamConnection(self)
        self.opened.append(MemoryTransport(upstream, None))
        return upstream


class _HandTimer(asyncio.TimerHandle):
    """A timer that no event loop knows of."""

    def cancel(self) -> None:
        asyncio.Handle.cancel(self)


class HandClock:
    """Stands where the event loop's time and timers are asked for; moves when told to."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[tuple[float, asyncio.TimerHandle]] = []

    def time(self) -> float:
        """Return seconds."""
        return self._now

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Remember a timer."""
        loop = asyncio.get_running_loop()
        handle = _HandTimer(self._now + delay, callback, (), loop)
        self._timers.append((self._now + delay, handle))
        return handle

    def advance(self, seconds: float) -> None:
        """Let time pass and run what has become due."""
        end = self._now + seconds
        while due := [timer for timer in self._timers if timer[0] <= end and not timer[1].cancelled()]:
            timer = min(due, key=lambda one: one[0])
            self._timers.remove(timer)
            self._now = timer[0]
            timer[1]._run()
        self._now = end


class SetClock(SystemClock):
    """The machine's clocks, until the time of day is set; it stands still from then on."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: UnixMillis | None = None

    def now(self) -> UnixMillis:
        """Return the time of day."""
        return SystemClock.now() if self._at is None else self._at

    def set(self, at: UnixMillis) -> None:
        """Let it be *at*."""
        self._at = at


class Rig:
    """A gateway and everything around it."""

    def __init__(self, files: Sidecar) -> None:
        settings = load_settings(files.config, {})
        self.files = files
        self._policy = open_policy(settings, read_document)
        self._process = Process(draw(make_plan(settings)), "w0", self._policy)
        self._identity = Identity(settings, self._process.clock)
        self.gateway = build_gateway(self._process, self._identity)
        self.state = cast("FollowedState", self._identity.state)
        self.policies = cast("SnapshotHolder", self.gateway.policies)
        self.clock = SetClock()
        self.gateway.clock = self.clock
        self.time = HandClock()
        self.gateway.deadlines = Deadlines(cast("asyncio.AbstractEventLoop", self.time))
        self.pool = MemoryPool(self._process.tasks, settings.upstream.max_connections)
        self.gateway.pool = self.pool
        self._unhandled: list[str] = []

    async def start(self) -> None:
        """Open the trail and load keys."""
        loop = asyncio.get_running_loop()
        if loop.get_exception_handler() is None:
            loop.set_exception_handler(lambda _, context: self._unhandled.append(repr(context)))
        self._process.trail.open()
        await self._identity.start(self._process.tasks)
        self.gateway.deadlines.start()

    async def close(self) -> None:
        """End everything; nothing may be left in flight, and no exception may have been left to the loop."""
        self.gateway.deadlines.stop()
        for client in list(self.gateway.connections):
            client.transport.abort()
        self.pool.close()
        await self.settle()
        await self._process.tasks.close()
        await self._process.trail.close()
        await self._identity.close()
        assert self._unhandled == []

    async def settle(self) -> None:
        """Let everything happen that waits for nothing from outside."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def connect(self, peer: tuple[str, int] | None = (CLIENT_ADDRESS, 50000)) -> MemoryTransport:
        """Open a client's connection."""
        connection: ClientConnection = self.gateway.accept()
        return MemoryTransport(connection, peer)

    async def say(self, data: bytes, cuts: Iterable[int] = ()) -> MemoryTransport:
        """Send bytes on a new connection, cut at *cuts*, and let things settle."""
        client = self.connect()
        await self.feed(client, data, cuts)
        return client

    async def feed(self, transport: MemoryTransport, data: bytes, cuts: Iterable[int] = ()) -> None:
        """Deliver bytes cut at *cuts*; the loop turns once after each piece."""
        last = 0
        for place in [*sorted(cuts), len(data)]:
            transport.feed(data[last:place])
            last = place
            await asyncio.sleep(0)
        await self.settle()

    def publish(self, org: str, policy: str) -> None:
        """Put another policy of *org* in force."""
        (self.files.policy / f"{org}.yaml").write_text(policy)
        cast("_InFolder", self._policy)._directory.load()

    async def wait(self, seconds: float) -> None:
        """Let time pass, and between its ticks what follows from them."""
        while seconds > 0:
            self.time.advance(min(seconds, TICK_S))
            seconds -= TICK_S
            await self.settle()

    @property
    def upstream(self) -> MemoryTransport:
        """The one upstream connection so far."""
        (upstream,) = self.pool.opened
        return upstream

    @property
    def forwarded(self) -> bytes:
        """Every byte that went upstream."""
        return b"".join(bytes(upstream.sent) for upstream in self.pool.opened)

    def decisions(self) -> list[Json]:
        """Return every decision record."""
        return self.files.decisions()

    def completions(self) -> list[Json]:
        """Return every completion record."""
        return self.files.completions()


def bytewise(data: bytes) -> Sequence[int]:
    """Return the cuts that make every byte a piece."""
    return range(1, len(data))
