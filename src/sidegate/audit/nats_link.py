"""The stream of records in a NATS server (JetStream); needs the extra ``nats``.

Stream ``sidegate-audit``, subject ``sidegate.audit``, made if it is not there: on disk, and refusing when it is full
instead of dropping what was acknowledged. One message per batch of whole lines.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final

from sidegate.core.model.errors import Dependency, DependencyError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

STREAM: Final = "sidegate-audit"
SUBJECT: Final = "sidegate.audit"
SIDECAR_HEADER: Final = "Sidegate-Sidecar"
"""Whose lines a message holds."""

_DUPLICATES_S: Final = 600.0
_CONNECT_S: Final = 5


async def connect_nats(url: str, on_lost: Callable[[], Awaitable[None]] | None = None) -> "Client":
    """Connect to the server at *url*, once: whoever asks knows when to try again.

    Args:
        url: ``nats://`` or ``tls://``, with user and password or a token if the server wants them.
        on_lost: Called when the connection is lost.

    Raises:
        nats.errors.Error: The server refuses.
        OSError: It is not there.
        TimeoutError: It does not answer.
    """
    from nats.aio.client import Client  # noqa: PLC0415  an extra

    client = Client()
    async with asyncio.timeout(_CONNECT_S):
        await client.connect(
            url,
            name="sidegate",
            connect_timeout=_CONNECT_S,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=_pass_over,
            disconnected_cb=on_lost,
        )
    return client


async def require_stream(client: "Client") -> "JetStreamContext":
    """Return the stream, made if it is not there."""
    from nats.js.api import DiscardPolicy, StorageType, StreamConfig  # noqa: PLC0415  an extra
    from nats.js.errors import NotFoundError  # noqa: PLC0415  as above

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


async def close_nats(client: "Client | None") -> None:
    """Let go of the connection, whatever state it is in."""
    if client is not None:
        from nats.errors import Error  # noqa: PLC0415  an extra

        with contextlib.suppress(Error, OSError, TimeoutError):
            await client.close()


@contextlib.contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn the client's errors into ours.

    Raises:
        DependencyError: Something failed while *doing* this.
    """
    from nats.errors import Error  # noqa: PLC0415  an extra

    try:
        yield
    except (Error, OSError, TimeoutError) as error:
        raise DependencyError(Dependency.SINK, f"{doing}: {str(error) or type(error).__name__}") from error


async def _pass_over(_error: Exception) -> None:
    """Say nothing: what fails is told where it was asked for, once per change."""
