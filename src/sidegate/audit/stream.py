"""Reads the audit stream in Redis: all that is in it, and what is added (spec 5.8). Takes nothing from anybody.

What :class:`~sidegate.audit.sinks.redis.RedisStreamSink` wrote, until who collects it has it and it is trimmed.
"""

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from sidegate.audit.layout import split_lines
from sidegate.audit.reader import Entry
from sidegate.audit.sinks.redis import ENTRY_VERSION, STREAM_KEY
from sidegate.core.model.errors import ConfigError, IntegrityError, Problem
from sidegate.core.model.units import Millis
from sidegate.core.model.value import value
from sidegate.core.trail.filter import RecordFilter, RecordMatcher
from sidegate.core.trail.finding import Place
from sidegate.core.trail.read import read_members
from sidegate.redis_link.link import Link, StreamEntry, open_link, stream_entries

_WITHIN: Final = Millis(10_000)
_PAGE: Final = 64
"""Entries at a time: of a quarter of a megabyte at most, as a rule."""


@value
class StreamBatch:
    """One entry of the stream.

    Attributes:
        id: Given by Redis, rising.
        sidecar: Whose lines they are; empty if the entry does not say.
        data: Whole lines; empty if the entry is of another version or none of ours.
    """

    id: str
    sidecar: str
    data: bytes


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


def read_entries(url: str) -> Iterator[StreamBatch]:
    """Yield what is in the stream, oldest first, page by page.

    Raises:
        ConfigError: *url* is no address of a Redis.
        DependencyError: Redis does not answer.
    """
    # A loop of its own: commands have none, and wait for every page.
    link = open_stream(url)
    with asyncio.Runner() as runner:
        try:
            after = "-"
            while True:
                found = stream_entries(
                    runner.run(
                        link.call("XRANGE", STREAM_KEY, after, "+", "COUNT", _PAGE, doing="reading the audit stream")
                    )
                )
                for entry in found:
                    yield batch_of(entry)
                if len(found) < _PAGE:
                    return
                after = f"({found[-1][0].decode()}"
        finally:
            runner.run(link.close())


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
        url: Of the Redis.

    Attributes:
        unreadable: Lines that were passed over because they are no records of a known version.
    """

    def __init__(self, url: str) -> None:
        self.unreadable = 0
        self._url = url

    def select(self, wanted: RecordFilter, *, newest_first: bool = False) -> Iterator[Entry]:
        """Return the records that *wanted* asks for, in the order of time or against it. Holds all of them.

        Raises:
            DependencyError: Redis does not answer.
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
        url: Of the Redis.

    Attributes:
        unreadable: As for :class:`StreamReader`.

    Raises:
        DependencyError: Redis does not answer.
    """

    def __init__(self, url: str) -> None:
        self._reader = StreamReader(url)
        self._link = open_stream(url)
        self._runner = asyncio.Runner()
        newest = self._runner.run(
            self._link.call("XREVRANGE", STREAM_KEY, "+", "-", "COUNT", 1, doing="reading the audit stream")
        )
        entries = stream_entries(newest)
        self._after = entries[0][0].decode() if entries else "0-0"

    @property
    def unreadable(self) -> int:
        """Lines that were passed over."""
        return self._reader.unreadable

    def poll(self) -> list[Entry]:
        """Return what was added since the last call.

        Raises:
            DependencyError: Redis does not answer.
        """
        entries: list[Entry] = []
        while True:
            found = self._runner.run(
                self._link.call(
                    "XRANGE", STREAM_KEY, f"({self._after}", "+", "COUNT", _PAGE, doing="reading the audit stream"
                )
            )
            batches = [batch_of(entry) for entry in stream_entries(found)]
            if not batches:
                return entries
            for batch in batches:
                entries += self._reader._read(batch, ())  # noqa: SLF001  the two read alike
            self._after = batches[-1].id

    def close(self) -> None:
        """Let go of the connection."""
        self._runner.run(self._link.close())
        self._runner.close()
