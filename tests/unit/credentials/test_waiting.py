"""One answer, once, and in time."""

import asyncio

from sidegate.credentials.waiting import Deadlined


async def test_the_first_answer_counts() -> None:
    """Whatever comes after it is not told."""
    told: list[str] = []
    waiting = Deadlined(told.append, "late", 1000.0)
    assert not waiting.is_over
    waiting.tell("yes")
    waiting.tell("no")
    assert (told, waiting.is_over) == (["yes"], True)


async def test_too_late() -> None:
    """Without an answer in time the other is told, and an answer that comes then is not."""
    told: asyncio.Queue[str] = asyncio.Queue()
    waiting = Deadlined(told.put_nowait, "late", 0.0)
    assert await told.get() == "late"
    waiting.tell("yes")
    assert told.empty()


async def test_cancelled() -> None:
    """Who does not want an answer any more gets none."""
    told: list[str] = []
    waiting = Deadlined(told.append, "late", 0.0)
    waiting.cancel()
    waiting.tell("yes")
    await asyncio.sleep(0)
    assert (told, waiting.is_over) == ([], True)
