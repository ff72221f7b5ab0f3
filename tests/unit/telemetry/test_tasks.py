"""Tasks that are neither forgotten nor lost in silence."""

import asyncio
import gc
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from sidegate.telemetry.tasks import TaskSet

Lines = Callable[[], list[dict[str, Any]]]


async def test_a_task_that_nobody_holds_is_not_collected() -> None:
    """The set keeps a reference until the task has ended, and none longer."""
    tasks = TaskSet()
    gate = asyncio.Event()
    ended = asyncio.Event()

    async def wait() -> None:
        await gate.wait()
        ended.set()

    tasks.spawn(wait(), "waiting")
    await asyncio.sleep(0)
    gc.collect()
    assert len(tasks) == 1
    gate.set()
    await ended.wait()
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_a_failure_is_logged_once_and_reported(lines: Lines) -> None:
    """One line with the task's name and the exception, then the callback; asyncio adds nothing of its own."""
    reported: list[tuple[str, str]] = []
    tasks = TaskSet(lambda name, error: reported.append((name, str(error))))

    async def fail() -> None:
        raise ValueError("disk is gone")

    task = tasks.start(fail(), "shipper")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    del task
    gc.collect()
    assert reported == [("shipper", "disk is gone")]
    assert [(line["event"], line["task"], line["error_type"], line["error"]) for line in lines()] == [
        ("task_failed", "shipper", "ValueError", "disk is gone")
    ]


async def test_a_failure_without_a_callback_is_still_logged(lines: Lines) -> None:
    """Nobody has to ask for the report."""
    tasks = TaskSet()

    async def fail() -> None:
        raise ValueError("disk is gone")

    await asyncio.wait([tasks.start(fail(), "shipper")])
    await asyncio.sleep(0)
    assert [line["event"] for line in lines()] == ["task_failed"]


async def test_close_cancels_and_waits_for_the_clean_up(lines: Lines) -> None:
    """What runs is cancelled, its `finally` runs to its end before `close` returns, and that is no failure."""
    tasks = TaskSet()
    steps: list[str] = []

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    tasks.spawn(run(), "running")
    await asyncio.sleep(0)
    await tasks.close()
    assert (steps, len(tasks), lines()) == (["cleaned up"], 0, [])


async def test_close_waits_for_a_task_that_is_done_but_not_yet_taken_out() -> None:
    """The callbacks of a task run a turn after its end; close must not spin until then."""
    tasks = TaskSet()

    async def end() -> None:
        return

    task = tasks.start(end(), "ending")
    await asyncio.wait([task])
    await tasks.close()
    await tasks.close()
    assert len(tasks) == 0


async def test_a_failure_during_close_is_reported(lines: Lines) -> None:
    """A task that answers its cancellation with an error has failed like any other."""
    tasks = TaskSet()

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("cannot stop") from None

    tasks.spawn(run(), "stubborn")
    await asyncio.sleep(0)
    await tasks.close()
    assert [(line["event"], line["task"]) for line in lines()] == [("task_failed", "stubborn")]


async def test_a_closed_set_starts_nothing() -> None:
    """The refusal says what to do, and the coroutine is closed, so that no warning about it follows."""
    tasks = TaskSet()
    await tasks.close()

    async def run() -> None:
        raise AssertionError("started")

    coro = run()
    with pytest.raises(RuntimeError, match="task `late` cannot start"):
        tasks.spawn(coro, "late")
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
