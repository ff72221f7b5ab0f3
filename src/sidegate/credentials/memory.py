"""An event log in memory, for tests and for a single process that needs nothing to last."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sidegate.core.model.errors import Dependency, DependencyError
from sidegate.core.model.units import Millis
from sidegate.credentials.events import Event
from sidegate.credentials.ports import Durability


class MemoryHub:
    """What the followers share. Not for several threads."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.held = False

    def open(self) -> "MemoryLog":
        """Return a new follower, which reads from the beginning."""
        return MemoryLog(self)


class MemoryLog:
    """One follower of a :class:`MemoryHub`."""

    def __init__(self, hub: MemoryHub) -> None:
        self._hub = hub
        self._read = 0
        self._unread: list[Event] = []

    def read(self) -> list[Event]:
        """Return what was appended by anyone since the last call."""
        fresh = self._unread + self._hub.events[self._read :]
        self._unread = []
        self._read = len(self._hub.events)
        return fresh

    @contextmanager
    def exclusively(self, patience: Millis | None = None) -> Iterator[None]:
        """Keep all other followers from appending while the context lasts; there is nobody to wait for."""
        del patience
        if self._hub.held:
            raise DependencyError(Dependency.STATE, "waiting for another worker to finish writing")
        self._hub.held = True
        try:
            yield
        finally:
            self._hub.held = False

    def append(self, events: Sequence[Event], durability: Durability) -> None:
        """Append *events*; nothing here survives the process, whatever *durability* asks for."""
        del durability
        self._unread = self.read()
        self._hub.events.extend(events)
        self._read = len(self._hub.events)

    def close(self) -> None:
        """Nothing is held."""
