"""Ways to open the same shared state from several workers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sidegate.credentials.journal import JournalLog
from sidegate.credentials.memory import MemoryHub
from sidegate.credentials.ports import EventLog
from sidegate.credentials.state import FollowedState


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
