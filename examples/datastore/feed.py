"""The changes of each project, kept for a while so that a reader who lost the line can go on where it was."""

import asyncio
import secrets
from collections import deque
from typing import NamedTuple

import orjson

# About 200 bytes each: at most some 200 KB per project.
KEPT_CHANGES = 1024


class Change(NamedTuple):
    """One change: its id, what happened, and the details as JSON."""

    id: str
    event: str
    data: bytes


class Feed:
    """The last changes of one project."""

    def __init__(self, kept: int = KEPT_CHANGES) -> None:
        # Numbers begin again when the service starts; the boot mark keeps an id of an earlier run from being
        # taken for one of this run.
        self._boot = secrets.token_hex(4)
        self._changes: deque[Change] = deque(maxlen=kept)
        self._recorded = 0
        self._bell = asyncio.Event()

    @property
    def position(self) -> int:
        """Where a reader stands who wants only what comes from now on."""
        return self._recorded

    def record(self, event: str, details: dict[str, object]) -> None:
        """Append a change and wake all readers."""
        self._recorded += 1
        self._changes.append(Change(f"{self._boot}.{self._recorded}", event, orjson.dumps(details)))
        self.wake()

    def wake(self) -> None:
        """Let every waiting reader look again."""
        self._bell.set()
        self._bell = asyncio.Event()

    def position_of(self, last_event_id: str) -> int | None:
        """Return the position after an event id; None if what followed it is no longer known."""
        boot, _, number = last_event_id.partition(".")
        if boot != self._boot or not number.isascii() or not number.isdigit():
            return None
        position = int(number)
        oldest = self._recorded - len(self._changes)
        return position if oldest <= position <= self._recorded else None

    def since(self, position: int) -> list[Change] | None:
        """Return the changes after a position; None if some of them are no longer kept."""
        behind = self._recorded - position
        if behind > len(self._changes):
            return None
        if behind == 0:
            return []
        return list(self._changes)[-behind:]

    async def wait(self, position: int, timeout_s: float) -> bool:
        """Wait until there may be something after *position*; return whether that is so before the time is up."""
        if position != self._recorded:
            return True
        try:
            await asyncio.wait_for(self._bell.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


class Feeds:
    """The feeds of all projects, made when first asked for."""

    def __init__(self) -> None:
        self._feeds: dict[tuple[str, str], Feed] = {}
        self.closed = False

    def of(self, org: str, project: str) -> Feed:
        """Return the feed of a project."""
        feed = self._feeds.get((org, project))
        if feed is None:
            feed = self._feeds[(org, project)] = Feed()
        return feed

    def record(self, org: str, project: str, event: str, details: dict[str, object]) -> None:
        """Append a change to a project's feed."""
        self.of(org, project).record(event, details)

    def close(self) -> None:
        """Let every reader come to its end."""
        self.closed = True
        for feed in self._feeds.values():
            feed.wake()
