"""Entries of the audit stream, in whichever server it is, and the addresses by which that is known."""

from typing import Final, Protocol

from sidegate.core.model.value import value

_REDIS: Final = ("redis://", "rediss://", "redis+sentinel://", "redis+cluster://")
_NATS: Final = ("nats://", "tls://")


def is_stream(source: str) -> bool:
    """Whether *source* is the address of a Redis or of a NATS server."""
    return source.startswith((*_REDIS, *_NATS))


def is_nats(source: str) -> bool:
    """Whether *source* is the address of a NATS server."""
    return source.startswith(_NATS)


@value
class StreamBatch:
    """One entry of the stream.

    Attributes:
        id: Given by the server, rising.
        sidecar: Whose lines they are; empty if the entry does not say.
        data: Whole lines; empty if the entry is of another version or none of ours.
    """

    id: str
    sidecar: str
    data: bytes


class EntrySource(Protocol):
    """Where entries of the stream are read from, without taking them from anybody."""

    async def read(self, after: str | None) -> list[StreamBatch]:
        """Return the next entries behind the id *after*, None for the first ones; none when that was all.

        Raises:
            DependencyError: It does not answer.
        """

    async def newest(self) -> str | None:
        """Return the id of the last entry; None if there is none.

        Raises:
            DependencyError: It does not answer.
        """

    async def close(self) -> None:
        """Let go of the connection."""
