"""Waiting for an answer without a task, and not for long."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlined(Generic[T]):
    """Tells one answer once: the first that comes, or what stands in for it when none came in time.

    Args:
        on_answer: Told it, on the event loop.
        too_late: Told instead after *patience_s*.
        patience_s: Seconds.
    """

    __slots__ = ("_on_answer", "_timer")

    def __init__(self, on_answer: Callable[[T], None], too_late: T, patience_s: float) -> None:
        self._on_answer: Callable[[T], None] | None = on_answer
        self._timer = asyncio.get_running_loop().call_later(patience_s, self.tell, too_late)

    @property
    def is_over(self) -> bool:
        """Whether an answer was told, or none is wanted."""
        return self._on_answer is None

    def tell(self, answer: T) -> None:
        """Pass *answer* on, unless one was told before."""
        on_answer = self._on_answer
        self.cancel()
        if on_answer is not None:
            on_answer(answer)

    def cancel(self) -> None:
        """Tell nothing any more."""
        self._on_answer = None
        self._timer.cancel()
