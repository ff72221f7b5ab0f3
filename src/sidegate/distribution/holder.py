"""The snapshot in force, read once per request and replaced as a whole (spec 5.1)."""

import asyncio
from collections.abc import Iterable
from typing import Final

from sidegate.core.model.authority import Authority
from sidegate.core.model.errors import InvariantError, Problem
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.wire.credential import Presented
from sidegate.distribution.ports import NEVER, Fetched, OnFetched, OnSwap, Want

EMPTY: Final = Snapshot(0)
"""What is in force before anything was loaded: no organization, so every decision is a deny."""


class SnapshotHolder:
    """Where everybody reads the policy from.

    Handing a snapshot over is one store of a reference, which the interpreter makes whole: readers need no lock, and
    hold on to the snapshot they took until their request is done. There is one writer, on the event loop. Everything is
    in memory, and a file does not grow old: it is a :class:`~sidegate.distribution.ports.PolicySource` of which nothing
    is ever missing but a revision from the future.

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

    @property
    def stale_after(self) -> UnixMillis:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        return NEVER

    def missing(self, org: str, account: str, revision: int) -> Want | None:
        """See :class:`sidegate.distribution.ports.PolicySource`. The revision is that of the whole snapshot."""
        return Want(org, account, revision) if revision > self._current.revision else None

    def missing_key(self, presented: Presented) -> Want | None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        del presented
        return None

    def missing_key_id(self, key_id: str) -> Want | None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        del key_id
        return None

    def fetch(self, want: Want, on_fetched: OnFetched, waited_ms: int = 0) -> None:
        """See :class:`sidegate.distribution.ports.PolicySource`. Files are looked at when it is time, not on demand."""
        del waited_ms
        asyncio.get_running_loop().call_soon(on_fetched, Fetched.BEHIND if want.revision else Fetched.READY)

    def is_too_old(self, org: str, authorities: Iterable[Authority], now: UnixMillis) -> bool:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        del org, authorities, now
        return False

    def unchecked_since(self, now: UnixMillis) -> UnixMillis | None:
        """See :class:`sidegate.distribution.ports.PolicySource`."""
        del now
        return None

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
