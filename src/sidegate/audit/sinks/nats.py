"""A JetStream stream of a NATS server (spec 5.6); needs the extra ``nats``.

One message per batch into the stream of :mod:`sidegate.audit.nats_link`; ``Nats-Msg-Id`` de-duplicates within ten
minutes.
"""

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from sidegate.audit.nats_link import SIDECAR_HEADER, STREAM, SUBJECT, close_nats, connect_nats, require_stream, told
from sidegate.audit.ports import Batch
from sidegate.core.model.errors import DependencyError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

_PUBLISH_S: Final = 10.0
_DIGEST_CHARS: Final = 32


class NatsSink:
    """Publishes batches.

    Args:
        url: ``nats://`` or ``tls://``, with user and password or a token if the server wants them.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._deadline: asyncio.Timeout | None = None

    @property
    def name(self) -> str:
        """``nats``."""
        return "nats"

    @property
    def settle_s(self) -> float:
        """JetStream acknowledges what is in its file, and in the files of a majority where it is replicated."""
        return 0.0

    async def send(self, batch: Batch) -> None:
        """Publish *batch* and wait until the stream has it.

        Raises:
            DependencyError: The server is away, or the stream refused it.
        """
        digest = sha256(batch.data).hexdigest()[:_DIGEST_CHARS]
        headers = {
            "Nats-Msg-Id": f"{batch.sidecar}-{batch.first_seq}-{batch.last_seq}-{digest}",
            SIDECAR_HEADER: batch.sidecar,
        }
        try:
            with told(f"publishing records of `{batch.sidecar}`"):
                await self._publish(batch.data, headers)
        except DependencyError:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the connection."""
        client, self._client, self._stream = self._client, None, None
        await close_nats(client)

    async def _publish(self, data: bytes, headers: dict[str, str]) -> None:
        if self._stream is None:
            self._client = await connect_nats(self._url, self._give_up)
            self._stream = await require_stream(self._client)
        async with asyncio.timeout(_PUBLISH_S) as deadline:
            self._deadline = deadline
            try:
                await self._stream.publish(SUBJECT, data, timeout=_PUBLISH_S, stream=STREAM, headers=headers)
            finally:
                self._deadline = None

    async def _give_up(self) -> None:
        """End a wait for an answer that cannot come any more: the client would wait its whole time."""
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time())
