"""What is known here of facts that are kept elsewhere, in bounded memory."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from sidegate.core.model.units import UnixMillis
from sidegate.credentials.ports import Fact
from sidegate.credentials.table import SessionRecord

GENERATION: Final = 65_536
"""Facts per generation, some 400 bytes each: two of them are 50 MiB. Far more than credentials are remembered, so that
those in use stay."""


class HeldFact:
    """One fact.

    Attributes:
        revoked_at: When it was invalidated; None if it was not.
        consumed: A single-use key was used up.
        session: Of a session, if there is one.
        is_doubtful: It must be fetched again before it is relied on.
    """

    __slots__ = ("consumed", "is_doubtful", "revoked_at", "session")

    def __init__(self) -> None:
        self.revoked_at: UnixMillis | None = None
        self.consumed = False
        self.session: SessionRecord | None = None
        self.is_doubtful = False

    def revoke(self, at: UnixMillis) -> bool:
        """Note that it was invalidated; returns whether that is news."""
        if self.revoked_at is not None and self.revoked_at >= at:
            return False
        self.revoked_at = at
        return True


class FactTable:
    """Facts in two generations: when the younger is full the elder is forgotten, but for what was asked for since.

    Args:
        capacity: Facts per generation.

    Attributes:
        forgotten: How often facts were forgotten. Whoever remembers something that rests on them must look again.
    """

    __slots__ = ("_capacity", "_elder", "_younger", "forgotten")

    def __init__(self, capacity: int = GENERATION) -> None:
        self._capacity = capacity
        self._younger: dict[Fact, HeldFact] = {}
        self._elder: dict[Fact, HeldFact] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._younger) + len(self._elder)

    def find(self, fact: Fact) -> HeldFact | None:
        """Return what is known of *fact*, and keep it."""
        held = self._younger.get(fact)
        if held is None:
            held = self._elder.pop(fact, None)
            if held is not None:
                self._put(fact, held)
        return held

    def hold(self, fact: Fact) -> HeldFact:
        """Return what is known of *fact*; nothing is known of a new one."""
        held = self.find(fact)
        if held is None:
            held = HeldFact()
            self._put(fact, held)
        return held

    def snapshot(self) -> Iterator[tuple[Fact, HeldFact]]:
        """Return what there is now, those that were asked for last first. Two milliseconds where all room is taken."""
        return chain(self._younger.copy().items(), self._elder.copy().items())

    def clear(self) -> None:
        """Forget everything."""
        self._younger, self._elder = {}, {}
        self.forgotten += 1

    def _put(self, fact: Fact, held: HeldFact) -> None:
        if len(self._younger) >= self._capacity:
            self._younger, self._elder = {}, self._younger
            self.forgotten += 1
        self._younger[fact] = held
