"""A bounded memory of readings by exact bytes."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Remembers about the last *size* to 2 x *size* different keys.

    Two generations instead of a linked list: a hit in the young one costs one dictionary look-up, and a client that
    sends ever new bytes only ages what nobody asked for meanwhile.
    """

    __slots__ = ("_make", "_old", "_size", "young")

    def __init__(self, size: int, make: Callable[[K], V]) -> None:
        """Remember what *make* returns; what it raises is not remembered."""
        self._size = size
        self._make = make
        self.young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V:
        """Return the reading of *key*, made now if it is not remembered."""
        found = self.young.get(key)
        if found is not None:
            return found
        found = self._old.get(key)
        if found is None:
            found = self._make(key)
        if len(self.young) >= self._size:
            self._old = self.young
            self.young = {}
        self.young[key] = found
        return found
