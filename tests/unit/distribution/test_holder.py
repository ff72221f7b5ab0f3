"""The snapshot in force is replaced as a whole and never by an older one."""

import pytest

from sidegate.core.model.errors import InvariantError
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.distribution.holder import SnapshotHolder


def test_nothing_is_in_force_at_first() -> None:
    """Before the first load there is a snapshot without organizations, so that everything is denied."""
    holder = SnapshotHolder()
    assert (dict(holder.current.organizations), holder.current.revision) == ({}, 0)
    assert (holder.loaded_at, holder.checked_at, holder.problems) == (None, None, ())


def test_swap() -> None:
    """A swap is seen at once, with its time; who took the old snapshot keeps it."""
    holder = SnapshotHolder()
    before = holder.current
    new = Snapshot(3)
    holder.swap(new, UnixMillis(5))
    assert (holder.current, holder.loaded_at, before.revision) == (new, 5, 0)


def test_listeners_are_told_after_the_swap() -> None:
    """A listener sees the new snapshot in force."""
    holder = SnapshotHolder()
    seen: list[tuple[int, int]] = []
    holder.on_swap(lambda snapshot: seen.append((snapshot.revision, holder.current.revision)))
    holder.swap(Snapshot(1), UnixMillis(1))
    holder.swap(Snapshot(1), UnixMillis(2))
    assert seen == [(1, 1), (1, 1)]


def test_never_back() -> None:
    """A snapshot of an older revision is a bug of whoever brings it, and stays out."""
    holder = SnapshotHolder()
    holder.swap(Snapshot(2), UnixMillis(1))
    with pytest.raises(InvariantError, match="newer 2"):
        holder.swap(Snapshot(1), UnixMillis(2))
    assert holder.current.revision == 2
