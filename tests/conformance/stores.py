"""Ways to open the same shared state from several workers."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.redis_worker import RedisWorker

from sidegate.core.model.units import UnixMillis
from sidegate.credentials.journal import JournalLog
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.ports import EventLog
from sidegate.credentials.state import FollowedState
from sidegate.telemetry.clock import ManualClock


class Store:
    """One shared state; each :meth:`worker` is another follower of it, each :meth:`log` a bare one."""

    def __init__(self, open_log: Callable[[], EventLog]) -> None:
        self._open_log = open_log
        self._opened: list[EventLog | FollowedState] = []

    def log(self) -> EventLog:
        """Open the log alone."""
        log = self._open_log()
        self._opened.append(log)
        return log

    def worker(self) -> FollowedState:
        """Open the state as another worker does."""
        state = FollowedState(self._open_log())
        self._opened.append(state)
        return state

    def close(self) -> None:
        """Close whatever was opened."""
        for each in self._opened:
            each.close()


@contextmanager
def open_store(kind: str, folder: Path) -> Iterator[Store]:
    """Make an empty store of *kind*: ``memory`` or ``journal``."""
    hub = MemoryHub()
    store = Store(hub.open if kind == "memory" else lambda: JournalLog(folder / "state"))
    try:
        yield store
    finally:
        store.close()


class RedisStores:
    """One Redis; each :meth:`worker` is another sidecar."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._url = url
        self._opened: list[RedisWorker] = []
        self.clock = ManualClock(UnixMillis(1_800_000_000_000))

    def worker(self, **options: Any) -> RedisWorker:
        """Open the state as another sidecar does."""
        worker = RedisWorker(self._runner, self._url, self.clock, **options)
        self._opened.append(worker)
        return worker

    def close(self) -> None:
        """Close whatever was opened."""
        for each in self._opened:
            each.close()
        self._runner.close()
