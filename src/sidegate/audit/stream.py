"""Reads the audit stream: all that is in it, and what is added (spec 5.8). Takes nothing from anybody.

What the sinks for Redis and NATS wrote, until who collects it has it and it is trimmed.
"""

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from sidegate.audit.entries import EntrySource, StreamBatch, is_nats
from sidegate.audit.layout import split_lines
from sidegate.audit.reader import Entry
from sidegate.audit.sinks.making import require_extra
from sidegate.audit.sinks.redis import ENTRY_VERSION, STREAM_KEY
from sidegate.core.model.errors import ConfigError, IntegrityError, Problem
from sidegate.core.model.units import Millis
from sidegate.core.trail.filter import RecordFilter, RecordMatcher
from sidegate.core.trail.finding import Place
from sidegate.core.trail.read import read_members
from sidegate.redis_link.link import Link, StreamEntry, open_link, stream_entries

_WITHIN: Final = Millis(10_000)
_DOING: Final = "reading the audit stream"
_PAGE: Final = 64
"""Entries at a time: of a quarter of a megabyte at most, as a rule."""


def batch_of(entry: StreamEntry) -> StreamBatch:
    """Read *entry*. What cannot be read has no lines."""
    entry_id, fields = entry
    is_known = fields.get(b"v") == ENTRY_VERSION.encode()
    return StreamBatch(
        entry_id.decode(),
        fields.get(b"sidecar", b"").decode("ascii", "replace") if is_known else "",
        fields.get(b"data", b"") if is_known else b"",
    )


def open_stream(url: str) -> Link:
    """Return a link to the Redis at *url*, with deadlines fit for large answers.

    Raises:
        ConfigError: *url* is no such address.
    """
    try:
        return open_link(url, timeout=_WITHIN)
    except ValueError as error:
        raise ConfigError((Problem(None, "audit", str(error), "name the Redis of `audit.sinks`"),)) from None


class RedisEntries:
    """The entries of the stream in a Redis. An :class:`~sidegate.audit.entries.EntrySource`.

    Args:
        url: Of the Redis.
    """

    def __init__(self, url: str) -> None:
        self._link = open_stream(url)

    async def read(self, after: str | None) -> list[StreamBatch]:
        """Return the next entries, in their order; none when that was all."""
        first = "-" if after is None else f"({after}"
        found = await self._link.call("XRANGE", STREAM_KEY, first, "+", "COUNT", _PAGE, doing=_DOING)
        return [batch_of(entry) for entry in stream_entries(found)]

    async def newest(self) -> str | None:
        """Return the id of the last entry; None if there is none."""
        found = stream_entries(await self._link.call("XREVRANGE", STREAM_KEY, "+", "-", "COUNT", 1, doing=_DOING))
        return found[0][0].decode() if found else None

    async def close(self) -> None:
        """Let go of the connection."""
        await self._link.close()


def open_source(url: str) -> EntrySource:
    """Return what reads the stream at *url*, of a Redis or a NATS server.

    Raises:
        ConfigError: *url* is no such address, or the extra for it is not installed.
    """
    if is_nats(url):
        require_extra("nats", "audit")
        from sidegate.audit.nats_stream import NatsEntries  # noqa: PLC0415  an extra

        return NatsEntries(url)
    return RedisEntries(url)


def read_entries(url: str) -> Iterator[StreamBatch]:
    """Yield what is in the stream, oldest first, page by page.

    Raises:
        ConfigError: *url* is no address of a stream.
        DependencyError: It does not answer.
    """
    # A loop of its own: commands have none, and wait for every page.
    source = open_source(url)
    with asyncio.Runner() as runner:
        try:
            after: str | None = None
            while batches := runner.run(source.read(after)):
                yield from batches
                after = batches[-1].id
        finally:
            runner.run(source.close())


def read_chains(url: str) -> dict[str, list[tuple[bytes, Place]]]:
    """Return the lines in the stream by sidecar, in their order; what came twice is there once."""
    chains: dict[str, list[tuple[bytes, Place]]] = {}
    seen: set[bytes] = set()
    for batch in read_entries(url):
        for number, line in enumerate(split_lines(batch.data), 1):
            digest = sha256(line).digest()
            if digest not in seen:
                seen.add(digest)
                chains.setdefault(batch.sidecar, []).append((line, Place(f"entry {batch.id}", number)))
    return chains


class StreamReader:
    """Reads records from the stream; each once, however often it was sent.

    Args:
        url: Of the Redis, or the NATS server.

    Attributes:
        unreadable: Lines that were passed over because they are no records of a known version.
    """

    def __init__(self, url: str) -> None:
        self.unreadable = 0
        self._url = url

    def select(self, wanted: RecordFilter, *, newest_first: bool = False) -> Iterator[Entry]:
        """Return the records that *wanted* asks for, in the order of time or against it. Holds all of them.

        Raises:
            DependencyError: It does not answer.
        """
        matcher = RecordMatcher(wanted)
        found: dict[bytes, Entry] = {}
        for batch in read_entries(self._url):
            for entry in self._read(batch, matcher.needles):
                if matcher.matches(entry.members):
                    found.setdefault(entry.line, entry)
        # Sorting keeps the order of the stream among records of one moment.
        ordered = sorted(found.values(), key=lambda entry: entry.time)
        return reversed(ordered) if newest_first else iter(ordered)

    def _read(self, batch: StreamBatch, needles: tuple[bytes, ...]) -> Iterator[Entry]:
        for number, line in enumerate(split_lines(batch.data), 1):
            if not all(text in line for text in needles):
                continue
            try:
                members = read_members(line)
            except IntegrityError:
                self.unreadable += 1
                continue
            yield Entry(Place(f"entry {batch.id}", number), line, members)


class StreamFollower:
    """Reads what is added to the stream, call by call; what is there by now is passed over.

    Args:
        url: Of the Redis, or the NATS server.

    Attributes:
        unreadable: As for :class:`StreamReader`.

    Raises:
        DependencyError: It does not answer.
    """

    def __init__(self, url: str) -> None:
        self._reader = StreamReader(url)
        self._source = open_source(url)
        self._runner = asyncio.Runner()
        self._after = self._runner.run(self._source.newest())

    @property
    def unreadable(self) -> int:
        """Lines that were passed over."""
        return self._reader.unreadable

    def poll(self) -> list[Entry]:
        """Return what was added since the last call.

        Raises:
            DependencyError: The stream cannot be read.
        """
        entries: list[Entry] = []
        while batches := self._runner.run(self._source.read(self._after)):
            for batch in batches:
                entries += self._reader._read(batch, ())  # noqa: SLF001  the two read alike
            self._after = batches[-1].id
        return entries

    def close(self) -> None:
        """Let go of the connection."""
        self._runner.run(self._source.close())
        self._runner.close()
