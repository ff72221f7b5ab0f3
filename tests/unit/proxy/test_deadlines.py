"""One timer for all connections."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from sidegate.proxy.deadlines import AT_A_TIME, TICK_S, Deadlines


class SteppedLoop(asyncio.BaseEventLoop):
    """An event loop whose time only moves when a test says so. It runs nothing but timers."""

    def __init__(self) -> None:
        super().__init__()
        self.current = 100.0
        self.timers: list[tuple[float, asyncio.TimerHandle, Callable[[], object]]] = []

    def time(self) -> float:
        return self.current

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, **_: object
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.current + delay, callback, args, self)
        self.timers.append((self.current + delay, handle, callback))
        return handle

    def advance(self, seconds: float) -> None:
        """Let time pass and run what has become due."""
        end = self.current + seconds
        while due := [timer for timer in self.timers if timer[0] <= end and not timer[1].cancelled()]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.current = timer[0]
            timer[2]()
        self.current = end


class Connection:
    """Remembers when it was told."""

    def __init__(self, deadline: float, deadlines: Deadlines | None = None) -> None:
        self.deadline = deadline
        self.told: list[float] = []
        self._forgets = deadlines

    def deadline_passed(self, now: float) -> None:
        self.told.append(now)
        self.deadline = now + 10
        if self._forgets is not None:
            self._forgets.forget(self)


@pytest.fixture
def loop() -> Iterator[SteppedLoop]:
    """Return a loop at 100 s."""
    loop = SteppedLoop()
    yield loop
    loop.close()


def test_told_at_the_first_tick_after(loop: SteppedLoop) -> None:
    """A deadline is acted on at most one tick late, never early, and once as long as it is set anew."""
    deadlines = Deadlines(loop)
    deadlines.start()
    connection = Connection(101.1)
    deadlines.watch(connection)
    loop.advance(1.0)
    assert connection.told == []
    loop.advance(2.0)
    assert len(connection.told) == 1
    assert 101.1 <= connection.told[0] <= 101.1 + TICK_S


def test_now_follows_the_ticks(loop: SteppedLoop) -> None:
    """`now` is the time of the last tick."""
    deadlines = Deadlines(loop)
    assert deadlines.now == 100.0
    deadlines.start()
    loop.advance(TICK_S * 4)
    assert deadlines.now == 100.0 + TICK_S * 4


def test_forgotten(loop: SteppedLoop) -> None:
    """What is forgotten is not told; forgetting twice is no fault."""
    deadlines = Deadlines(loop)
    deadlines.start()
    connection = Connection(100.5)
    deadlines.watch(connection)
    deadlines.forget(connection)
    deadlines.forget(connection)
    loop.advance(5)
    assert connection.told == []


def test_forgetting_while_told(loop: SteppedLoop) -> None:
    """A connection may leave while deadlines are being looked at; the others are still told."""
    deadlines = Deadlines(loop)
    deadlines.start()
    connections = [Connection(100.1, deadlines) for _ in range(5)]
    for connection in connections:
        deadlines.watch(connection)
    loop.advance(20)
    assert [len(connection.told) for connection in connections] == [1] * 5


def test_stopped(loop: SteppedLoop) -> None:
    """After `stop` nothing is told; stopping before the start is no fault."""
    deadlines = Deadlines(loop)
    deadlines.stop()
    deadlines.start()
    connection = Connection(100.5)
    deadlines.watch(connection)
    deadlines.stop()
    loop.advance(5)
    assert connection.told == []


def test_many_at_once_are_spread(loop: SteppedLoop) -> None:
    """Of many whose deadline passes together only so many are told in one turn of the loop; none is left out."""
    deadlines = Deadlines(loop)
    deadlines.start()
    connections = [Connection(100.1) for _ in range(4 * AT_A_TIME + 1)]
    for connection in connections:
        deadlines.watch(connection)
    turns: list[int] = []
    loop.current = 100.25
    while due := [timer for timer in loop.timers if timer[0] <= 100.25]:
        loop.timers.remove(due[0])
        due[0][2]()
        turns.append(sum(len(connection.told) for connection in connections))
    steps = [after - before for before, after in zip([0, *turns], turns, strict=False)]
    assert steps == [AT_A_TIME] * 4 + [1]


def test_moved_before_its_turn(loop: SteppedLoop) -> None:
    """One that moves, or leaves, between being found and its turn is not told."""
    deadlines = Deadlines(loop)
    deadlines.start()
    connections = [Connection(100.1) for _ in range(3 * AT_A_TIME)]
    for connection in connections:
        deadlines.watch(connection)
    loop.current = 100.25
    loop.timers.pop(0)[2]()
    waiting = [connection for connection in connections if not connection.told]
    for connection in waiting[:AT_A_TIME]:
        connection.deadline = 200.0
    for connection in waiting[AT_A_TIME:]:
        deadlines.forget(connection)
    loop.advance(1)
    assert [len(connection.told) for connection in waiting] == [0] * (2 * AT_A_TIME)


def test_one_that_fails(loop: SteppedLoop) -> None:
    """A bug in one neither ends the ticking nor takes the others' turn for longer than a tick."""

    class Failing(Connection):
        def deadline_passed(self, now: float) -> None:
            super().deadline_passed(now)
            raise RuntimeError("a bug")

    deadlines = Deadlines(loop)
    deadlines.start()
    connections = [Failing(100.1), *(Connection(100.1) for _ in range(5))]
    for connection in connections:
        deadlines.watch(connection)
    with pytest.raises(RuntimeError, match="a bug"):
        loop.advance(TICK_S)
    loop.advance(2 * TICK_S)
    assert [len(connection.told) for connection in connections] == [1] * 6
