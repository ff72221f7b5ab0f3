"""Sends commands to the server that is responsible: the only one, the master that Sentinels name, or a slot's."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from sidegate.redis_link.address import RedisAddress, Topology

Argument = bytes | str | int | float
"""Part of a command. Text goes as UTF-8."""

Command = Sequence[Argument]
"""A command's name and its arguments."""

Reply = bytes | int | list["Reply"] | None
"""What Redis answers, unchanged."""

Answer = Reply | ResponseError
"""One command's part of an answer to several."""

_REDIRECTIONS: Final = 8
"""A slot on its way is found after one or two; more is a Cluster that contradicts itself."""

_PAUSE_S: Final = 0.01
"""Before a command is tried again while its slot is moving. The caller's deadline ends it."""

SLOTS: Final = 16_384


class Servers(Protocol):
    """One or several servers behind one address."""

    async def run(self, key: Argument, commands: Sequence[Command], *, atomic: bool) -> list[Answer]:
        """Run *commands* on the server that has *key*; as one transaction if *atomic*.

        Raises:
            RedisError: Of the client library; OSError.
        """

    async def probe(self) -> None:
        """Ask every server that commands may go to whether it answers.

        Raises:
            RedisError: One does not; OSError.
        """

    async def close(self) -> None:
        """Let go of every connection."""


def connect(address: RedisAddress, password: str | None, connect_timeout_s: float) -> Servers:
    """Return the servers at *address*. No connection is made before the first command."""
    secret = password if password is not None else address.password
    options: dict[str, Any] = {
        "username": address.username,
        "password": secret,
        "socket_connect_timeout": connect_timeout_s,
        # The caller's deadline counts, and a blocking read may be long.
        "socket_timeout": None,
        "socket_keepalive": True,
        # A command that was sent and not answered may have happened: whoever asked decides whether to repeat it.
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "protocol": 2,
        "decode_responses": False,
        "client_name": "sidegate",
    }
    if address.tls:
        options |= {"ssl": True, "ssl_ca_certs": address.ca}
    match address.topology:
        case Topology.STANDALONE:
            host, port = address.nodes[0]
            return _Single(Redis(host=host, port=port, db=address.db, **options))
        case Topology.SENTINEL:
            return _Sentinels(address, options)
        case Topology.CLUSTER:
            return _Cluster(address.nodes, options)


def _plain(client: "Redis") -> "Redis":
    """Have *client* hand out answers as they are, not as what each command's are usually wanted for."""
    client.response_callbacks.clear()
    return client


async def _send(client: "Redis", commands: Sequence[Command], *, atomic: bool) -> list[Answer]:
    if len(commands) == 1 and not atomic:
        execute = cast("Callable[..., Awaitable[Answer]]", client.execute_command)
        return [await execute(*commands[0])]
    async with client.pipeline(transaction=atomic) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        return cast("list[Answer]", await pipe.execute(raise_on_error=False))


class _Single:
    def __init__(self, client: "Redis") -> None:
        self._client = _plain(client)

    async def run(self, key: Argument, commands: Sequence[Command], *, atomic: bool) -> list[Answer]:
        del key
        return await _send(self._client, commands, atomic=atomic)

    async def probe(self) -> None:
        await _send(self._client, [("PING",)], atomic=False)

    async def close(self) -> None:
        await self._client.aclose()


class _Sentinels(_Single):
    """The master is asked for whenever a connection is made; one that was demoted drops its connections."""

    def __init__(self, address: RedisAddress, options: Mapping[str, Any]) -> None:
        # A Sentinel that is stopped must not use up the time that the next one needs.
        of_sentinels = {
            **{name: options[name] for name in ("socket_connect_timeout", "socket_keepalive", "retry", "protocol")},
            "socket_timeout": options["socket_connect_timeout"],
            **{name: given for name, given in options.items() if name.startswith("ssl")},
        }
        make = cast("Callable[..., Sentinel]", Sentinel)
        self._sentinel = make(list(address.nodes), sentinel_kwargs=of_sentinels, **options)
        super().__init__(self._sentinel.master_for(address.master, db=address.db))

    async def probe(self) -> None:
        # A master that was cut off goes on answering PING until it learns that it is none.
        role = await _send(self._client, [("ROLE",)], atomic=False)
        if isinstance(role[0], list) and role[0][:1] != [b"master"]:
            await self._client.connection_pool.disconnect()
            raise RedisConnectionError("it is no master any more")

    async def close(self) -> None:
        await super().close()
        await self._sentinel.aclose()


class _Cluster:
    """Slots and who has them, learnt from any node, again when an answer shows that it has changed."""

    def __init__(self, nodes: Sequence[tuple[str, int]], options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._clients: dict[tuple[str, int], Redis] = {}
        self._owners: list[tuple[str, int] | None] = [None] * SLOTS
        self._learning = asyncio.Lock()
        self._known = 0
        self._tellers: dict[tuple[str, int], None] = dict.fromkeys(nodes)

    async def run(self, key: Argument, commands: Sequence[Command], *, atomic: bool) -> list[Answer]:
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        asked: tuple[str, int] | None = None
        for _ in range(_REDIRECTIONS):
            known = self._known
            node = asked or self._owners[slot]
            if node is None:
                await self._learn(known)
                node = self._owners[slot]
                if node is None:
                    raise RedisConnectionError(f"no node of the Cluster has slot {slot}")
            try:
                found = await self._try(node, commands, atomic=atomic, asking=asked is not None)
            except (RedisConnectionError, OSError):
                # Perhaps its replica has taken over; who asks next then finds it.
                self._owners = [None if owner == node else owner for owner in self._owners]
                raise
            moved = next((one for one in found if isinstance(one, _REDIRECTS)), None)
            if moved is None:
                return found
            asked = None
            match moved:
                case MovedError():  # a kind of AskError to the library, so it comes first
                    self._owners[slot] = (moved.host or node[0], moved.port)
                case AskError() if not atomic:
                    asked = (moved.host or node[0], moved.port)
                case _:
                    await asyncio.sleep(_PAUSE_S)
        raise RedisConnectionError(f"slot {slot} of the Cluster is on its way")

    async def probe(self) -> None:
        await self._learn(self._known)
        owners = {owner for owner in self._owners if owner is not None}
        for owner in owners:
            await _send(self._client(owner), [("PING",)], atomic=False)
        if None in self._owners:
            raise RedisConnectionError("some slots of the Cluster are nobody's")

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def _try(
        self, node: tuple[str, int], commands: Sequence[Command], *, atomic: bool, asking: bool
    ) -> list[Answer]:
        try:
            if asking:
                asked = [one for command in commands for one in (("ASKING",), command)]
                return (await _send(self._client(node), asked, atomic=False))[1::2]
            return await _send(self._client(node), commands, atomic=atomic)
        except _REDIRECTS as error:
            return [error]

    def _client(self, node: tuple[str, int]) -> "Redis":
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = _plain(Redis(host=node[0], port=node[1], **self._options))
        return client

    async def _learn(self, known: int) -> None:
        """Ask who has which slots, unless somebody else did since *known*."""
        async with self._learning:
            if self._known != known:
                return
            failure: BaseException | None = None
            for node in tuple(self._tellers):
                try:
                    async with asyncio.timeout(self._options["socket_connect_timeout"]):
                        slots = (await _send(self._client(node), [("CLUSTER", "SLOTS")], atomic=False))[0]
                except (RedisConnectionError, ResponseError, OSError, TimeoutError) as error:
                    # Last next time: the deadline of whoever asks may not reach as far as the others.
                    del self._tellers[node]
                    self._tellers[node] = None
                    failure = error
                    continue
                self._take(slots, node)
                self._known += 1
                return
            raise RedisConnectionError(f"no node of the Cluster tells its slots: {failure}")

    def _take(self, slots: Answer, told_by: tuple[str, int]) -> None:
        owners: list[tuple[str, int] | None] = [None] * SLOTS
        for first, last, owner, *_ in cast("list[list[Any]]", slots):
            # An empty host: the one that we asked under (CLUSTER SLOTS).
            node = (owner[0].decode() if owner[0] else told_by[0], owner[1])
            owners[first : last + 1] = [node] * (last + 1 - first)
            self._tellers.setdefault(node)
        self._owners = owners


_REDIRECTS: Final = (AskError, MovedError, TryAgainError, ClusterDownError)
