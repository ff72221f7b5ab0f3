"""What is over and has to stay so wherever Redis loses it: revocations and used-up keys, in bounded memory.

Written again by whoever knows it when Redis has lost it, and kept on disk by each process (docs/sessions-and-keys.md).
"""

from collections.abc import Iterator
from typing import Final

from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.ports import Fact

REMEMBERED: Final = 20_000
"""Revocations, and used-up keys: some 400 bytes each, so 16 MiB if there are so many. The oldest go first."""


@value
class UsedUp:
    """A single-use key that was used.

    Attributes:
        id: As :func:`~sidegate.credentials.events.key_name` says.
        at: When.
        until: When it need no longer be known, as the key is over anyway; None if that is not known.
    """

    id: str
    at: UnixMillis
    until: UnixMillis | None = None


class Remembered:
    """Revocations and used-up keys that this process has heard of, in the order in which it did.

    Args:
        capacity: How many of each.
    """

    __slots__ = ("_capacity", "_revoked", "_used")

    def __init__(self, capacity: int = REMEMBERED) -> None:
        self._capacity = capacity
        # Plain ones: to copy the values of an ordered one costs a hash of each key, so milliseconds.
        self._revoked: dict[Fact, Revoked] = {}
        self._used: dict[str, UsedUp] = {}

    def revoke(self, event: Revoked) -> bool:
        """Remember a revocation; returns whether it is news. An earlier one of the same thing never is."""
        fact = (event.kind, event.id)
        before = self._revoked.get(fact)
        if before is not None and before.at >= event.at:
            return False
        self._revoked.pop(fact, None)
        self._revoked[fact] = event
        if len(self._revoked) > self._capacity:
            del self._revoked[next(iter(self._revoked))]
        return True

    def consume(self, used: UsedUp) -> bool:
        """Remember that a key was used up; returns whether it is news."""
        if used.id in self._used:
            return False
        self._used[used.id] = used
        if len(self._used) > self._capacity:
            del self._used[next(iter(self._used))]
        return True

    def revoked_at(self, fact: Fact) -> UnixMillis | None:
        """Return when something was revoked; None if nothing is remembered of it."""
        event = self._revoked.get(fact)
        return None if event is None else event.at

    def is_consumed(self, fact: Fact) -> bool:
        """Whether a key was used up."""
        return fact[0] is RevokedKind.KEY and fact[1] in self._used

    def revocations(self, since: UnixMillis | None = None) -> Iterator[Revoked]:
        """Return what there is now, the last one first; only those of *since* or later, where given."""
        held = tuple(self._revoked.values())
        return (event for event in reversed(held) if since is None or event.at >= since)

    def uses(self, since: UnixMillis | None = None) -> Iterator[UsedUp]:
        """Return used-up keys in the same way."""
        held = tuple(self._used.values())
        return (used for used in reversed(held) if since is None or used.at >= since)
