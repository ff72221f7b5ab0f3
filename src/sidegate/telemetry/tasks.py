"""Background tasks that are neither forgotten by the loop nor lost in silence."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from sidegate.telemetry.log import get_log

_log: Final = get_log("tasks")

T = TypeVar("T")

OnFailure = Callable[[str, BaseException], None]
"""Told the name and the exception of a task that failed."""


class TaskSet:
    """Tasks that belong together and end together.

    Args:
        on_failure: Told once about each task that failed, after it was logged; a part may turn unready with it.
    """

    __slots__ = ("_closing", "_on_failure", "_running")

    def __init__(self, on_failure: OnFailure | None = None) -> None:
        # The event loop holds tasks weakly: without this set a task that nobody
        # awaits can be collected half-way through (CPython docs, asyncio.create_task).
        self._running: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure
        self._closing = False

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, coro: Coroutine[Any, Any, Any], name: str) -> None:
        """Start *coro* as a task called *name*, for its effects.

        Raises:
            RuntimeError: The set is closed. *coro* is closed too, so that nothing warns about it later.
        """
        _ = self.start(coro, name)

    def start(self, coro: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Like :meth:`spawn`, for a task that somebody waits for or cancels."""
        if self._closing:
            coro.close()
            raise RuntimeError(f"task `{name}` cannot start: its task set is closed; start it before close()")
        task = asyncio.create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()  # also marks it as retrieved: asyncio does not report it a second time
        if error is None:
            return
        _log.error("task_failed", task=task.get_name(), exc_info=error)
        if self._on_failure is not None:
            self._on_failure(task.get_name(), error)

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended. Failures on the way are reported as ever."""
        self._closing = True
        while running := tuple(self._running):
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            # A task that was done already makes wait() return at once; its callback needs a turn to take it out.
            await asyncio.sleep(0)
