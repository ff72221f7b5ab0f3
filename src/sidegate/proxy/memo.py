"""A bounded memory of what was worked out before."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Remembers about the last *size* to 2 x *size* different keys.

    Two generations instead of a linked list: a hit in the young one costs one dictionary look-up, and a client that
    sends ever new bytes only ages what nobody asked for meanwhile.
    """

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def find(self, key: K) -> V | None:
        """Return what is remembered for *key*."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.remember(key, found)
        return found

    def remember(self, key: K, found: V) -> None:
        """Keep *found* for *key*."""
        if len(self._young) >= self._size:
            self._old = self._young
            self._young = {}
        self._young[key] = found


class MakingMemo(Memo[K, V]):
    """A memo that makes what it does not remember. What *make* raises is not remembered."""

    __slots__ = ("_make",)

    def __init__(self, size: int, make: Callable[[K], V]) -> None:
        super().__init__(size)
        self._make = make

    def get(self, key: K) -> V:
        """Return what belongs to *key*, made now if it is not remembered."""
        found = self._young.get(key)
        if found is not None:
            return found
        found = self.find(key)
        if found is None:
            found = self._make(key)
            self.remember(key, found)
        return found
