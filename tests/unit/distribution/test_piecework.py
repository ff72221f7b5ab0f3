"""Work that can wait is done in pieces, and large structures are let go of without holding anybody up."""

import asyncio
import weakref
from collections import deque
from collections.abc import Iterator

from sidegate.distribution.piecework import Piecework, dismantle, dismantle_free
from sidegate.telemetry.tasks import TaskSet


class Part:
    """Something that can be watched."""

    def __init__(self, *inner: object) -> None:
        self.inner = inner


def count_to(number: int, seen: list[int]) -> Iterator[None]:
    """Do *number* steps."""
    for step in range(number):
        seen.append(step)
        yield


def test_at_once_before_it_is_started() -> None:
    """There is no loop yet that could be held up."""
    seen: list[int] = []
    work = Piecework()
    work.add(count_to(3, seen))
    assert (seen, work.is_done) == ([0, 1, 2], True)


async def test_in_order_and_between_turns() -> None:
    """What came first is done first, nothing before the loop turns, and the loop turns in between."""
    tasks, work = TaskSet(), Piecework()
    work.start(tasks)
    seen: list[int] = []
    turns = 0
    work.add(count_to(200_000, seen))
    work.add(count_to(1, seen))
    assert (seen, work.is_done) == ([], False)
    while len(seen) < 200_001:
        turns += 1
        await asyncio.sleep(0)
    assert seen == [*range(200_000), 0]
    assert turns > 2
    work.add(count_to(2, seen))  # it begins again after it had ended
    while len(seen) < 200_003:
        turns += 1
        await asyncio.sleep(0)
    assert seen[-2:] == [0, 1]
    await tasks.close()


def test_everything_goes_and_nothing_in_one_step() -> None:
    """Each step frees at most one object of a structure that nobody else holds, whatever it is made of."""
    parts = [Part() for _ in range(50)]
    gone: list[int] = []
    watched = [weakref.finalize(part, gone.append, number) for number, part in enumerate(parts)]
    structure = {
        "tuple": tuple(parts[:10]),
        "list": parts[10:20],
        "dict": dict(enumerate(parts[20:30])),
        "object": Part(*parts[30:40]),
        "deep": [[[(part,) for part in parts[40:]]]],
    }
    del parts
    things: list[object] = [structure]
    del structure
    before = 0
    for _ in dismantle(things):
        assert len(gone) - before <= 1
        before = len(gone)
    assert sorted(gone) == list(range(50))
    assert not any(one.alive for one in watched)
    assert things == []


def test_what_somebody_else_holds_stays() -> None:
    """It is dropped like any reference, and not looked into."""
    shared = Part("inside")
    inner = [shared]
    for _ in dismantle([[inner, shared]]):
        pass
    assert (inner, shared.inner) == ([shared], ("inside",))


def test_only_what_nobody_else_holds_is_dismantled() -> None:
    """The rest waits: let go of now, it would be freed in one go by whoever drops it last."""
    held = [Part(1)]
    retired: list[object] = [held, [Part(2)]]
    deque(dismantle_free(retired), maxlen=0)
    assert (retired, held[0].inner) == ([held], (1,))
    del held
    deque(dismantle_free(retired), maxlen=0)
    assert retired == []
