"""Connections to the upstream and the pool that keeps them (spec 2.5)."""

import asyncio
import select
from collections import deque
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

from sidegate.core.model.value import value
from sidegate.proxy.pieces import SCRATCH, PieceReader
from sidegate.telemetry.tasks import TaskSet

WRITE_HIGH_WATER: Final = 32 * 1024
"""Bytes that wait to be written before reading on the other side stops; a piece that was read by then comes on top."""
STALE_S: Final = 1.0
"""Upstreams close idle connections after 2 s (gunicorn) or more; what idled for less is not being closed just now."""

Holder = tuple[str, ...]
"""Whom requests are told apart by: session or key, account, organization and links."""


@value
class UpstreamAddress:
    """Where the upstream listens: a Unix socket *path*, or *host* and *port*."""

    host: str
    port: int
    path: str | None

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"{self.host}:{self.port}"


def read_upstream_url(url: str) -> UpstreamAddress:
    """Read ``http://host:port`` or ``unix:/path``.

    Raises:
        ValueError: Neither.
    """
    if url.startswith("unix:"):
        return UpstreamAddress("", 0, url.removeprefix("unix:").removeprefix("//"))
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None or parts.path not in {"", "/"} or parts.query:
        raise ValueError(f"`{url}` is not an upstream; write http://host:port or unix:/path")
    return UpstreamAddress(parts.hostname, parts.port or 80, None)


class Borrower(Protocol):
    """Who asks the pool for a connection. Exactly one of the two is called."""

    def attach(self, upstream: "UpstreamConnection") -> None:
        """Begin to use *upstream*, or release it."""

    def connect_failed(self, error: OSError | TimeoutError) -> None:
        """No connection could be had."""


class Listener(Protocol):
    """What an upstream connection talks to while it serves a request or a tunnel."""

    def upstream_data(self, data: bytes) -> None:
        """Bytes of the upstream."""

    def upstream_full(self) -> None:
        """Send no more for now."""

    def upstream_drained(self) -> None:
        """Send on."""

    def upstream_lost(self, error: Exception | None) -> None:
        """The connection is gone; *error* is None if the upstream ended it in order."""


class UpstreamConnection(PieceReader):
    """One connection to the upstream; serves one request at a time.

    Attributes:
        fresh: It has served no request yet.
        idle_since: Monotonic seconds at which its last answer ended.
        holder: Whose alone it is while it is idle.
        is_doubtful: More may come of an upstream that said too little about the length of its answer.
        open: It is not gone.
    """

    __slots__ = ("_pool", "fresh", "holder", "idle_since", "is_doubtful", "listener", "open", "transport")

    transport: asyncio.Transport

    def __init__(self, pool: "UpstreamPool") -> None:
        self._pool = pool
        self.listener: Listener | None = None
        self.fresh = True
        self.idle_since = 0.0
        self.holder: Holder | None = None
        self.is_doubtful = False
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = transport = cast("asyncio.Transport", transport)
        self.open = True
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        listener = self.listener
        if listener is not None:
            listener.upstream_data(SCRATCH[:nbytes].tobytes())
        else:
            self.discard()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.listener is not None:
            self.listener.upstream_data(data)
        else:
            # An upstream that speaks without being asked cannot be paired with the next request (spec 2.5).
            self.discard()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.listener is not None:
            self.listener.upstream_full()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.listener is not None:
            self.listener.upstream_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.open = False
        listener, self.listener = self.listener, None
        self._pool.forget(self)
        if listener is not None:
            listener.upstream_lost(exc)

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come that the event loop has not read yet; a system call (0.4 microseconds)."""
        end = self.transport.get_extra_info("socket")
        if end is None:
            return True
        waiting = select.poll()
        waiting.register(end.fileno(), select.POLLIN)
        return not waiting.poll(0)

    def discard(self) -> None:
        """End the connection at once; nobody hears of it."""
        self.listener = None
        if self.open:
            self.transport.abort()


class UpstreamPool:
    """Keeps idle connections, opens new ones, and never more than *limit* at a time.

    A connection that carried a request's body is kept for whose it was: an upstream that took the body for another
    request would answer that one to whoever comes next (spec 2, W-C).
    """

    def __init__(self, address: UpstreamAddress, *, limit: int, connect_timeout_s: float, tasks: TaskSet) -> None:
        self.address = address
        self._limit = limit
        self._connect_timeout_s = connect_timeout_s
        self._tasks = tasks
        self._idle: list[UpstreamConnection] = []
        # Never an empty list; who has not been here for longest comes first.
        self._kept: dict[Holder, list[UpstreamConnection]] = {}
        self._all: set[UpstreamConnection] = set()
        self._connecting = 0
        # Borrowers for whom a connection is not being opened because the limit is reached, oldest first.
        self._waiting: deque[Borrower] = deque()

    def take(self, now: float, *, is_retriable: bool, holder: Holder | None = None) -> UpstreamConnection | None:
        """Return the idle connection used last, if there is one: the others may then time out.

        Args:
            now: Monotonic seconds.
            is_retriable: The request may be sent again if the upstream closes the connection just now. One that may
                not gets a connection only if it was busy a moment ago.
            holder: Whose request it is, if it has a body; his connections are looked at first.
        """
        if self._kept:
            self._let_go(now)
        if holder is not None:
            upstream = self._take_kept(holder, now)
            if upstream is not None:
                return upstream
        while self._idle:
            upstream = self._idle[-1]
            if not is_retriable and now - upstream.idle_since > STALE_S:
                return None
            self._idle.pop()
            if upstream.open and not upstream.transport.is_closing():
                if upstream.is_doubtful and not upstream.is_silent:
                    upstream.discard()
                    continue
                upstream.fresh = False
                return upstream
        return None

    def _let_go(self, now: float) -> None:
        """End what was kept for longer than it can be of use; an upstream may serve few connections at a time."""
        while self._kept:
            holder, longest = next(iter(self._kept.items()))
            if now - longest[-1].idle_since <= STALE_S:
                return
            del self._kept[holder]
            for upstream in longest:
                upstream.discard()

    def _take_kept(self, holder: Holder, now: float) -> UpstreamConnection | None:
        mine = self._kept.pop(holder, [])
        while mine:
            upstream = mine.pop()
            # A request with a body is not sent twice, so that a connection that may be closing is of no use.
            if now - upstream.idle_since > STALE_S or upstream.transport.is_closing() or not upstream.is_silent:
                upstream.discard()
                continue
            if mine:
                self._kept[holder] = mine
            upstream.fresh = False
            return upstream
        return None

    def connect(self, borrower: Borrower) -> None:
        """Open a connection for *borrower*, or let it wait for one when the limit is reached."""
        if len(self._all) + self._connecting >= self._limit:
            self._waiting.append(borrower)
            if self._kept:
                # Of use to one holder only.
                next(iter(self._kept.values()))[0].discard()
            elif self._idle:
                # Too long idle for this request: its place goes to a new connection.
                self._idle[0].discard()
            return
        self._connecting += 1
        self._tasks.spawn(self._connect(borrower), "upstream_connect")

    def give_up(self, borrower: Borrower) -> None:
        """Forget a waiting *borrower*."""
        if borrower in self._waiting:
            self._waiting.remove(borrower)

    def release(self, upstream: UpstreamConnection, now: float, *, holder: Holder | None = None) -> None:
        """Take back a connection whose response ended cleanly.

        Args:
            now: Monotonic seconds.
            holder: Whose alone it is from now on; None for whoever comes.
        """
        upstream.listener = None
        upstream.idle_since = now
        if holder is not None:
            if self._waiting:
                upstream.discard()  # and its place goes to who waits
            else:
                upstream.holder = holder
                self._kept.setdefault(holder, []).append(upstream)
        elif self._waiting:
            upstream.fresh = False
            self._waiting.popleft().attach(upstream)
        else:
            self._idle.append(upstream)

    def forget(self, upstream: UpstreamConnection) -> None:
        """Note that *upstream* is gone; its place goes to who waits longest."""
        self._all.discard(upstream)
        if upstream in self._idle:
            self._idle.remove(upstream)
        elif upstream.holder is not None:
            self._forget_kept(upstream, upstream.holder)
        if self._waiting:
            self.connect(self._waiting.popleft())

    def _forget_kept(self, upstream: UpstreamConnection, holder: Holder) -> None:
        left = [one for one in self._kept.get(holder, ()) if one is not upstream]
        if left:
            self._kept[holder] = left
        else:
            self._kept.pop(holder, None)

    def close(self) -> None:
        """End all connections."""
        for upstream in list(self._all):
            upstream.discard()

    async def _connect(self, borrower: Borrower) -> None:
        try:
            upstream = await asyncio.wait_for(self._open(), self._connect_timeout_s)
            if not upstream.open:
                # It was told before anybody listened to it.
                raise ConnectionResetError("the upstream ended the connection at once")
        except (OSError, TimeoutError) as error:
            self._connecting -= 1
            borrower.connect_failed(error)
            if self._waiting:
                self.connect(self._waiting.popleft())
            return
        self._connecting -= 1
        self._all.add(upstream)
        borrower.attach(upstream)

    async def _open(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        if self.address.path is not None:
            _, upstream = await loop.create_unix_connection(lambda: UpstreamConnection(self), self.address.path)
        else:
            _, upstream = await loop.create_connection(
                lambda: UpstreamConnection(self), self.address.host, self.address.port
            )
        return upstream
