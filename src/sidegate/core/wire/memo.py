"""A bounded memory of what was worked out before. It changes what a reading costs, never what it says."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SIGHTS_PER_PLACE: Final = 4
"""Keys seen once are noted by their hash only, so many of them, so that one that comes back is recognised."""


class Memo(Generic[K, V]):
    """Remembers about the last *size* to 2 x *size* different keys that came more than once.

    Two generations instead of a linked list: a hit in the young one costs one dictionary look-up. What comes once is
    only noted, so that a client that sends ever new bytes neither fills the memory nor ages what others ask for.

    Attributes:
        young: The newer half, the same object for good: who looks here before asking for more saves a call.
    """

    __slots__ = ("_old", "_seen", "_size", "young")

    def __init__(self, size: int) -> None:
        self._size = size
        self.young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._seen: set[int] = set()

    def find(self, key: K) -> V | None:
        """Return what is remembered for *key*."""
        found = self.young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self._keep(key, found)
        return found

    def remember(self, key: K, found: V) -> None:
        """Keep *found* for *key*, if *key* was here before."""
        mark = hash(key)
        if mark in self._seen:
            self._keep(key, found)
            return
        if len(self._seen) >= self._size * _SIGHTS_PER_PLACE:
            self._seen.clear()
        self._seen.add(mark)

    def _keep(self, key: K, found: V) -> None:
        if len(self.young) >= self._size:
            self._old = self.young.copy()
            self.young.clear()
        self.young[key] = found


class MakingMemo(Memo[K, V]):
    """A memo that makes what it does not remember. What *make* raises is not remembered."""

    __slots__ = ("_make",)

    def __init__(self, size: int, make: Callable[[K], V]) -> None:
        super().__init__(size)
        self._make = make

    def get(self, key: K) -> V:
        """Return what belongs to *key*, made now if it is not remembered."""
        found = self.young.get(key)
        if found is not None:
            return found
        found = self.find(key)
        if found is None:
            found = self._make(key)
            self.remember(key, found)
        return found
