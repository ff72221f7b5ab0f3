"""One of those who share the audit stream in a NATS server; needs the extra ``nats``.

The durable consumer of JetStream that is called like the group gives each message to one of them, and gives it to
another when it was not acknowledged for long enough. So nothing has to be taken over here.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sidegate.audit.consumer import FIRST
from sidegate.audit.entries import StreamBatch
from sidegate.audit.nats_link import STREAM, SUBJECT, close_nats, connect_nats, require_stream, told
from sidegate.audit.nats_stream import bounds, raw_message, sidecar_of
from sidegate.core.model.units import Millis

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext
    from nats.js.client import JetStreamContext as _Context

_DOING: Final = "taking records from the audit stream"
_MILLIS: Final = 1000
_SHORTLY_S: Final = 0.5
"""For an answer to "what is there now": the server is asked twice within it."""
_AT_ONCE: Final = 65_536
"""Messages that may be on their way to be stored, in all members."""


class NatsConsumer:
    """A member of a group. Has the methods of :class:`~sidegate.audit.consumer.StreamConsumer`.

    Args:
        url: Of the server.
        group: Shares what is added among its members.
        take_over: What was not acknowledged for so long goes to another member.
    """

    def __init__(self, url: str, group: str, take_over: Millis) -> None:
        self._url = url
        self._group = group
        self._take_over = take_over
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._taking: _Context.PullSubscription | None = None
        self._held: dict[str, Msg] = {}

    async def join(self) -> None:
        """Make the group, from the first message on, if it is not there."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy  # noqa: PLC0415  an extra

        with told(_DOING):
            if self._client is not None and self._client.is_connected:
                return
            await self.close()
            self._client = await connect_nats(self._url)
            self._stream = await require_stream(self._client)
            config = ConsumerConfig(
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._take_over / _MILLIS,
                max_ack_pending=_AT_ONCE,
            )
            self._taking = await self._stream.pull_subscribe(SUBJECT, self._group, STREAM, config)

    async def take_back(self, count: int, after: str = FIRST) -> list[StreamBatch]:
        """Return nothing, but have what this member holds and has not acknowledged given out again at once."""
        del count, after
        held, self._held = self._held, {}
        with told(_DOING):
            for message in held.values():
                await message.nak()
        return []

    async def take(self, count: int, block: Millis | None) -> list[StreamBatch]:
        """Return what nobody was given yet, at most *count*; waits up to *block* for one."""
        with told(_DOING):
            messages = await self._fetch(count, _SHORTLY_S if block is None else block / _MILLIS)
        batches = []
        for message in messages:
            name = str(message.metadata.sequence.stream)
            self._held[name] = message
            batches.append(StreamBatch(name, sidecar_of(message.headers), message.data))
        return batches

    async def take_over(self, count: int, idle: Millis, start: str = FIRST) -> tuple[list[StreamBatch], str]:
        """Return nothing: the server does it by itself."""
        del count, idle, start
        return [], FIRST

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """Note that the messages *ids* are kept for good elsewhere."""
        with told("acknowledging records of the audit stream"):
            # One after the other and confirmed: what is not known to be acknowledged comes again.
            for name in ids:
                await self._held[name].ack_sync()
                del self._held[name]

    async def trim(self, kept_from: int) -> int:
        """Remove the messages of before *kept_from* (UNIX milliseconds) that every group has acknowledged; how many."""
        if self._stream is None:
            return 0
        with told("trimming the audit stream"):
            first, last = await bounds(self._stream)
            groups = await self._stream.consumers_info(STREAM)
            stored = min((0 if one.ack_floor is None else one.ack_floor.stream_seq for one in groups), default=0)
            limit = await self._first_since(self._stream, first, min(stored, last), kept_from)
            if limit > first:
                await self._stream.purge_stream(STREAM, seq=limit)
        return limit - first

    async def leave(self) -> None:
        """Go. What is not acknowledged goes to others when its time is up."""
        await self.take_back(0)

    async def close(self) -> None:
        """Let go of the connection."""
        client, self._client, self._stream, self._taking = self._client, None, None, None
        self._held.clear()
        await close_nats(client)

    async def _fetch(self, count: int, within_s: float) -> "list[Msg]":
        if self._taking is None or self._client is None or not self._client.is_connected:
            raise ConnectionResetError("the connection was lost")
        try:
            return await self._taking.fetch(count, within_s)
        except TimeoutError:
            # The client's own, of which this is the base, or asyncio's where the time was over before it had asked. It
            # says the same when the server is gone.
            if not self._client.is_connected:
                raise ConnectionResetError("the connection was lost") from None
            await asyncio.sleep(0)
            return []

    @staticmethod
    async def _first_since(stream: "JetStreamContext", first: int, stored: int, kept_from: int) -> int:
        """Return the first message of *kept_from* or later, the one after *stored* at most; they are in order."""
        limit = datetime.fromtimestamp(kept_from / _MILLIS, UTC)
        low, high = first, max(first, stored + 1)
        while low < high:
            middle = (low + high) // 2
            message = await raw_message(stream, middle)
            # One that was removed by itself is as old as those around it.
            if message is None or message.time is None or message.time < limit:
                low = middle + 1
            else:
                high = middle
        return low
