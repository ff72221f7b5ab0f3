"""Reads the stream of records in a NATS server, without taking anything from anybody; needs the extra ``nats``."""

import asyncio
from typing import TYPE_CHECKING, Final

from sidegate.audit.entries import StreamBatch
from sidegate.audit.nats_link import SIDECAR_HEADER, STREAM, close_nats, connect_nats, told

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext
    from nats.js.api import RawStreamMsg

_PAGE: Final = 64
_DOING: Final = "reading the audit stream"


class NatsEntries:
    """The messages of the stream. An :class:`~sidegate.audit.entries.EntrySource`.

    Args:
        url: Of the server.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Client | None = None

    async def read(self, after: str | None) -> list[StreamBatch]:
        """Return the next messages, in their order; none when that was all."""
        with told(_DOING):
            stream = await self._opened()
            first, last = await bounds(stream)
            start = max(first, 0 if after is None else int(after) + 1)
            wanted = range(start, min(last, start + _PAGE - 1) + 1)
            found = await asyncio.gather(*(_message(stream, seq) for seq in wanted))
        batches = [StreamBatch(str(seq), *lines) for seq, lines in zip(wanted, found, strict=True) if lines is not None]
        if batches or not wanted:
            return batches
        return await self.read(str(wanted[-1]))  # all of these were removed one by one

    async def newest(self) -> str | None:
        """Return the number of the last message; None if there is none."""
        with told(_DOING):
            last = (await bounds(await self._opened()))[1]
        return str(last) if last else None

    async def close(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        await close_nats(client)

    async def _opened(self) -> "JetStreamContext":
        if self._client is None or not self._client.is_connected:
            await self.close()
            self._client = await connect_nats(self._url)
        return self._client.jetstream()


async def bounds(stream: "JetStreamContext") -> tuple[int, int]:
    """Return the numbers of the first and the last message; (1, 0) if there is no stream."""
    from nats.js.errors import NotFoundError  # noqa: PLC0415  an extra

    try:
        state = (await stream.stream_info(STREAM)).state
    except NotFoundError:
        return 1, 0
    return max(1, state.first_seq), state.last_seq


async def raw_message(stream: "JetStreamContext", seq: int) -> "RawStreamMsg | None":
    """Return message *seq*; None if it was removed."""
    from nats.js.errors import NotFoundError  # noqa: PLC0415  an extra

    try:
        return await stream.get_msg(STREAM, seq)
    except NotFoundError:
        return None


async def _message(stream: "JetStreamContext", seq: int) -> tuple[str, bytes] | None:
    message = await raw_message(stream, seq)
    return None if message is None else (sidecar_of(message.headers), message.data or b"")


def sidecar_of(headers: dict[str, str] | None) -> str:
    """Return whose lines a message holds; empty if it does not say."""
    return (headers or {}).get(SIDECAR_HEADER, "")
