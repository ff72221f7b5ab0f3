"""A JetStream stream of a NATS server (spec 5.6); needs the extra ``nats``.

Stream ``sidegate-audit``, subject ``sidegate.audit``, made if it is not there: on disk, and refusing when it is full
instead of dropping what was acknowledged. One message per batch; ``Nats-Msg-Id`` de-duplicates within ten minutes.
"""

import asyncio
import contextlib
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from sidegate.audit.ports import Batch
from sidegate.core.model.errors import Dependency, DependencyError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

STREAM: Final = "sidegate-audit"
SUBJECT: Final = "sidegate.audit"
_DUPLICATES_S: Final = 600.0
_CONNECT_S: Final = 5
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
        from nats.errors import Error  # noqa: PLC0415  an extra

        digest = sha256(batch.data).hexdigest()[:_DIGEST_CHARS]
        headers = {
            "Nats-Msg-Id": f"{batch.sidecar}-{batch.first_seq}-{batch.last_seq}-{digest}",
            "Sidegate-Sidecar": batch.sidecar,
        }
        try:
            if self._stream is None:
                self._stream = await self._connect()
            async with asyncio.timeout(_PUBLISH_S) as deadline:
                self._deadline = deadline
                try:
                    await self._stream.publish(SUBJECT, batch.data, timeout=_PUBLISH_S, stream=STREAM, headers=headers)
                finally:
                    self._deadline = None
        except (Error, OSError, TimeoutError) as error:
            await self.close()
            raise DependencyError(
                Dependency.SINK, f"publishing records of `{batch.sidecar}`: {str(error) or type(error).__name__}"
            ) from error

    async def close(self) -> None:
        """Let go of the connection."""
        client, self._client, self._stream = self._client, None, None
        if client is not None:
            from nats.errors import Error  # noqa: PLC0415  an extra

            with contextlib.suppress(Error, OSError, TimeoutError):
                await client.close()

    async def _connect(self) -> "JetStreamContext":
        from nats.aio.client import Client  # noqa: PLC0415  an extra
        from nats.js.api import DiscardPolicy, StorageType, StreamConfig  # noqa: PLC0415
        from nats.js.errors import NotFoundError  # noqa: PLC0415

        self._client = client = Client()
        # One try each time: the shipper knows when to try again, and how often the client does by itself is minutes.
        async with asyncio.timeout(_CONNECT_S):
            await client.connect(
                self._url,
                name="sidegate",
                connect_timeout=_CONNECT_S,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=_pass_over,
                disconnected_cb=self._give_up,
            )
        stream = client.jetstream()
        try:
            await stream.stream_info(STREAM)
        except NotFoundError:
            await stream.add_stream(
                StreamConfig(
                    name=STREAM,
                    subjects=[SUBJECT],
                    storage=StorageType.FILE,
                    discard=DiscardPolicy.NEW,
                    duplicate_window=_DUPLICATES_S,
                )
            )
        return stream

    async def _give_up(self) -> None:
        """End a wait for an answer that cannot come any more: the client would wait its whole time."""
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time())


async def _pass_over(_error: Exception) -> None:
    """Say nothing: what fails while a batch is sent is told there, once per change."""
