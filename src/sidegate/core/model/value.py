"""Two ways to declare a value object."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Immutable, slotted, hashable. For what outlives a request."""
    return dataclass(frozen=True, slots=True)(cls)


@dataclass_transform(frozen_default=True)
def hot_value(cls: type[T]) -> type[T]:
    """Immutable to mypy only, and not hashable. For what is made once per request.

    A frozen dataclass assigns through ``object.__setattr__``: about five times the cost of a plain slot.
    """
    return dataclass(slots=True)(cls)
