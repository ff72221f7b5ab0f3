"""The snapshot in force, read once per request and replaced as a whole (spec 5.1)."""

from collections.abc import Callable
from typing import Final

from sidegate.core.model.errors import InvariantError, Problem
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot

OnSwap = Callable[[Snapshot], None]
"""Told the new snapshot, after it is in force."""

EMPTY: Final = Snapshot(0)
"""What is in force before anything was loaded: no organization, so every decision is a deny."""


class SnapshotHolder:
    """Where everybody reads the policy from.

    Handing a snapshot over is one store of a reference, which the interpreter makes whole: readers need no lock, and
    hold on to the snapshot they took until their request is done. There is one writer, on the event loop.

    Attributes:
        loaded_at: When the snapshot in force was put here; None before the first.
        checked_at: When its source was last known to hold nothing newer; None before the first look.
        problems: Why something newer is not in force; empty when all is well.
    """

    __slots__ = ("_current", "_listeners", "checked_at", "loaded_at", "problems")

    def __init__(self) -> None:
        self._current = EMPTY
        self._listeners: list[OnSwap] = []
        self.loaded_at: UnixMillis | None = None
        self.checked_at: UnixMillis | None = None
        self.problems: tuple[Problem, ...] = ()

    @property
    def current(self) -> Snapshot:
        """The snapshot in force; one without organizations before the first load."""
        return self._current

    def on_swap(self, listener: OnSwap) -> None:
        """Have *listener* told of every swap from now on."""
        self._listeners.append(listener)

    def swap(self, snapshot: Snapshot, now: UnixMillis) -> None:
        """Put *snapshot* in force.

        Raises:
            InvariantError: It is older than the one in force: a revision never goes back within a process.
        """
        if snapshot.revision < self._current.revision:
            raise InvariantError(f"snapshot {snapshot.revision} would replace the newer {self._current.revision}")
        self._current = snapshot
        self.loaded_at = now
        for listener in self._listeners:
            listener(snapshot)
