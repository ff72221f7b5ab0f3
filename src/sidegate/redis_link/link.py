"""A link to Redis that never waits long, knows whether Redis is there, and says so once per change."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, cast

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from sidegate.core.model.units import Millis
from sidegate.core.model.value import value
from sidegate.redis_link.address import RedisAddress, parse_address
from sidegate.redis_link.errors import RedisAwayError, RedisRefusedError
from sidegate.redis_link.servers import Answer, Argument, Command, Reply, Servers, connect
from sidegate.telemetry.log import get_log, mask_text
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("redis")

DEFAULT_TIMEOUT: Final = Millis(250)
"""No call takes longer, waiting for a connection included (spec 5.4)."""

CONCURRENT_CALLS: Final = 32
"""Calls on their way at a time, so connections per process; more wait their turn within their own deadline."""

PROBE_EVERY_S: Final = 1.0
"""While Redis is there and nothing else asks it."""

FIRST_RETRY_S: Final = 0.05
LONGEST_RETRY_S: Final = 0.5
"""Between two looks while Redis is away: doubled from the first to the longest, so it is found back within a second."""

_CONNECT_SHARE: Final = 0.4
"""Of the deadline: a server that does not even accept must leave time to ask another one."""

_MILLIS: Final = 1000

OnChange = Callable[[bool], None]
"""Told whether Redis is there, when that has changed."""

StreamEntry = tuple[bytes, dict[bytes, bytes]]
"""Id and fields of one entry of a stream."""


@value
class Script:
    """A Lua script; runs whole or not at all as far as others see, on the keys of one slot.

    Attributes:
        text: Its source.
        digest: What the server knows it by.
    """

    text: str
    digest: str


def make_script(text: str) -> Script:
    """Name *text* by its digest, as EVALSHA wants it."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class Link:
    """Commands to Redis with a deadline each. Made by :func:`open_link`.

    While Redis is away, calls fail at once: whoever waits for it waits one deadline, not one per call.

    Attributes:
        address: Where it leads.
    """

    def __init__(self, address: RedisAddress, servers: Servers, timeout: Millis) -> None:
        self.address = address
        self._servers = servers
        self._timeout_s = timeout / _MILLIS
        self._turns = asyncio.Semaphore(CONCURRENT_CALLS)
        self._listeners: list[OnChange] = []
        self._up: bool | None = None
        self._why = "not looked yet"
        self._look = asyncio.Event()

    # Its state.

    @property
    def up(self) -> bool:
        """Whether Redis answered when last asked."""
        return self._up is True

    @property
    def problem(self) -> str | None:
        """Why Redis is away and what to do; None when it is there."""
        return None if self.up else f"redis at {self.address} is away: {self._why}"

    def on_change(self, listener: OnChange) -> None:
        """Have *listener* told whenever Redis goes away or comes back."""
        self._listeners.append(listener)

    def gauge(self) -> int:
        """Return 1 or 0 for the metric ``sidegate_redis_up``."""
        return int(self.up)

    def start(self, tasks: TaskSet) -> None:
        """Look whether Redis is there, from now on and until *tasks* is closed."""
        tasks.spawn(self._watch(), "redis_watch")

    async def look(self) -> bool:
        """Look now whether Redis is there; also tells who listens."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._servers.probe()
        except (RedisError, OSError, TimeoutError) as error:
            self._note(is_up=False, why=_why(error))
        else:
            self._note(is_up=True, why="")
        return self.up

    async def close(self) -> None:
        """Let go of every connection. Close the task set of :meth:`start` first."""
        await self._servers.close()

    # Commands.

    async def call(
        self, *command: Argument, doing: str, key: Argument | None = None, within: Millis | None = None
    ) -> Reply:
        """Run one command.

        Args:
            command: Its name and arguments; text goes as UTF-8.
            doing: For errors, e.g. ``reading a session``.
            key: By which a Cluster finds the server; the second word of the command when not given.
            within: A deadline of its own.

        Raises:
            RedisAwayError: Not reached, or no answer in time: it may or may not have happened.
            RedisRefusedError: Answered with an error.
        """
        routed = key if key is not None else command[1] if len(command) > 1 else b""
        return _require((await self._run(routed, [command], doing, within, atomic=False))[0], doing)

    async def call_all(
        self, commands: Sequence[Command], *, key: Argument, doing: str, within: Millis | None = None
    ) -> list[Reply]:
        """Run *commands* in one round trip, not as a transaction; in a Cluster all where *key* is.

        Raises:
            RedisAwayError: As for :meth:`call`.
            RedisRefusedError: One of them was answered with an error; the others have happened.
        """
        answers = await self._run(key, commands, doing, within, atomic=False)
        return [_require(answer, doing) for answer in answers]

    async def transact(
        self, commands: Sequence[Command], *, key: Argument, doing: str, within: Millis | None = None
    ) -> list[Reply]:
        """Run *commands* as one transaction (MULTI, EXEC); others see all or nothing of it.

        Raises:
            RedisAwayError: As for :meth:`call`.
            RedisRefusedError: Refused whole; or one of them failed when it ran, and the others have happened.
        """
        answers = await self._run(key, commands, doing, within, atomic=True)
        return [_require(answer, doing) for answer in answers]

    async def run_script(
        self,
        script: Script,
        keys: Sequence[Argument],
        arguments: Iterable[Argument] = (),
        *,
        doing: str,
        within: Millis | None = None,
    ) -> Reply:
        """Run *script* on *keys*, at least one, all of one hash tag.

        Raises:
            RedisAwayError: As for :meth:`call`.
            RedisRefusedError: It failed.
        """
        rest = (len(keys), *keys, *arguments)
        answer = (await self._run(keys[0], [("EVALSHA", script.digest, *rest)], doing, within, atomic=False))[0]
        if isinstance(answer, NoScriptError):  # a server that was restarted, or that took over
            answer = (await self._run(keys[0], [("EVAL", script.text, *rest)], doing, within, atomic=False))[0]
        return _require(answer, doing)

    async def read_stream(
        self, key: Argument, after: Argument, *, count: int, block: Millis, doing: str
    ) -> list[StreamEntry]:
        """Return the entries of the stream *key* behind the id *after*, at most *count*; waits up to *block* for one.

        Raises:
            RedisAwayError: As for :meth:`call`.
            RedisRefusedError: There is something else under *key*.
        """
        command: Command = ("XREAD", "COUNT", count, "BLOCK", block, "STREAMS", key, after)
        within = Millis(block + round(self._timeout_s * _MILLIS))
        # Blocking reads are few and long: they take no turn from the others.
        answer = (await self._run(key, [command], doing, within, atomic=False, takes_turn=False))[0]
        found = _require(answer, doing)
        return [] if found is None else stream_entries(cast("list[list[Reply]]", found)[0][1])

    # Within.

    async def _run(
        self,
        key: Argument,
        commands: Sequence[Command],
        doing: str,
        within: Millis | None,
        *,
        atomic: bool,
        takes_turn: bool = True,
    ) -> list[Answer]:
        if self._up is False:
            raise RedisAwayError(doing, self._why)
        try:
            async with asyncio.timeout(self._timeout_s if within is None else within / _MILLIS):
                if not takes_turn:
                    return await self._servers.run(key, commands, atomic=atomic)
                async with self._turns:
                    return await self._servers.run(key, commands, atomic=atomic)
        except ResponseError as error:
            if len(commands) == 1 and not atomic:
                return [error]
            raise RedisRefusedError(doing, str(error), error.status_code) from error
        except (RedisError, OSError, TimeoutError) as error:
            # One broken connection does not mean that Redis is away: the watch looks, now.
            self._look.set()
            raise RedisAwayError(doing, _why(error)) from error

    async def _watch(self) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            self._look.clear()
            if await self.look():
                pause_s = FIRST_RETRY_S
                await self._asked_to_look(PROBE_EVERY_S)
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_RETRY_S)

    async def _asked_to_look(self, at_latest_s: float) -> None:
        try:
            async with asyncio.timeout(at_latest_s):
                await self._look.wait()
        except TimeoutError:
            return

    def _note(self, *, is_up: bool, why: str) -> None:
        changed = is_up is not self._up
        self._up, self._why = is_up, why
        if not changed:
            return
        if is_up:
            _log.info("redis_connected", address=str(self.address))
        else:
            _log.warning("redis_lost", address=str(self.address), why=why)
        for listener in self._listeners:
            listener(is_up)


def open_link(url: str, *, password: str | None = None, timeout: Millis = DEFAULT_TIMEOUT) -> Link:
    """Return a link to the Redis at *url*; nothing is connected before the first command.

    Args:
        url: See :func:`sidegate.redis_link.address.parse_address`.
        password: Goes before the one in *url*.
        timeout: Longest wait of a call, milliseconds.

    Raises:
        ValueError: *url* is no such address.
    """
    address = parse_address(url)
    return Link(address, connect(address, password, timeout / _MILLIS * _CONNECT_SHARE), timeout)


def stream_entries(reply: Reply) -> list[StreamEntry]:
    """Read what XREAD, XRANGE and XREADGROUP answer for one stream. An entry that was deleted has no fields."""
    entries: list[StreamEntry] = []
    for entry_id, flat in cast("list[tuple[bytes, list[bytes] | None]]", reply or []):
        listed = flat or []
        entries.append((entry_id, dict(zip(listed[::2], listed[1::2], strict=True))))
    return entries


def pairs(reply: Reply) -> Mapping[bytes, bytes]:
    """Read what HGETALL answers."""
    flat = cast("list[bytes]", reply or [])
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _require(answer: Answer, doing: str) -> Reply:
    if isinstance(answer, ResponseError):
        raise RedisRefusedError(doing, str(answer), answer.status_code) from answer
    return answer


def _why(error: BaseException) -> str:
    """Say what *error* means for an operator. Nothing of a credential is in it."""
    if isinstance(error, TimeoutError):
        return "no answer in time; look whether it is stopped, overloaded or cut off"
    if isinstance(error, AuthenticationError | AuthorizationError):
        return f"user or password refused ({mask_text(str(error))}); set the password that it wants"
    if isinstance(error, BusyLoadingError):
        return "it is loading its data; it will answer once that is done"
    return mask_text(str(error)).rstrip(".") or type(error).__name__
