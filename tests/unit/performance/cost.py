"""What a request costs, counted instead of timed: the same on every machine, however busy.

A fixed script of requests runs through a real gateway with connections made of memory. Counted is what our own code
does for one of them, once everything that can be remembered is: bytecode instructions executed, and calls of functions
by function. Run as a module it prints the counts; with ``--update`` it makes them the budget:

    python -m tests.unit.performance.cost
    python -m tests.unit.performance.cost --update
"""

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from scripts.issuer import Issuer
from tests.exchange.rig import MemoryTransport, Rig
from tests.integration.sidecar import ISSUER, Sidecar

import sidegate

BUDGET: Final = Path(__file__).with_name("budget.json")
_Counting = Callable[[Counter[CodeType]], AbstractContextManager[None]]

PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Instructions are those of one version of Python; another has others."""

_SOURCE: Final = Path(sidegate.__file__).parent.as_posix()
_WARM_UP: Final = 40
_COUNTED: Final = 20
# The cheapest counts: what else the event loop had to do in the time that a busy machine takes is no request's cost.
_RUNS: Final = 3
# More than it takes: recorded, forwarded, and whatever follows from that.
_TURNS: Final = 8

_PATH: Final = "/v1/orgs/acme/projects/p1/branches/x/files/designs/route"
_RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Cost:
    """What one request costs on average.

    Attributes:
        instructions: Bytecode instructions of our own code.
        calls: Calls of our own functions, by ``module:function``.
    """

    instructions: float
    calls: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return it for the budget file."""
        return {"instructions": self.instructions, "calls": dict(sorted(self.calls.items()))}


def _get(path: str, *lines: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: api.example", *lines, "", "")).encode()


def _requests(issuer: Issuer) -> dict[str, Callable[[int], bytes]]:
    """Return a maker of the n-th request, by scenario; the scenarios are those of ``loadtests``."""
    session = issuer.session("ana", "acme")
    cookie = f"Cookie: __session={session}"
    signed, _, signature = session.rpartition(".")

    def junk(number: int) -> str:
        return f"Cookie: __session={signed}.{number:016d}{signature[16:]}"

    denied = _PATH.replace("/p1/", "/p9/")
    return {
        "allowed": lambda _: _get(f"{_PATH}.json", cookie),
        "denied": lambda _: _get(f"{denied}.json", cookie),
        "no-credential": lambda _: _get(f"{_PATH}.json"),
        "junk-token": lambda _: _get(f"{_PATH}.json", junk(0)),
        "junk-tokens": lambda number: _get(f"{_PATH}.json", junk(number)),
        "distinct-paths": lambda number: _get(f"{_PATH}{number:06d}.json", cookie),
        "distinct-headers": lambda number: _get(
            f"{_PATH}.json", cookie, f"traceparent: 00-{number:032x}-{number:016x}-01"
        ),
    }


async def measure(folder: Path) -> dict[str, Cost]:
    """Count what each scenario costs, each through a gateway of its own."""
    issuer = Issuer(ISSUER, algorithm="EdDSA")
    costs = {}
    for name, request in _requests(issuer).items():
        rig = Rig(Sidecar(folder / name, "http://127.0.0.1:9", issuer))
        await rig.start()
        try:
            costs[name] = await _measure(rig, request)
        finally:
            await rig.close()
    return costs


async def _measure(rig: Rig, request: Callable[[int], bytes]) -> Cost:
    # Ids begin anew with each millisecond: time stands still, or a slow machine would count more.
    rig.clock.set(rig.clock.now())
    client = rig.connect()
    await rig.feed(client, request(0))  # opens the upstream connection, which takes more turns
    for upstream in rig.pool.opened:
        await rig.feed(upstream, _RESPONSE)
    for number in range(1, _WARM_UP):
        await _exchange(rig, client, request(number))
    # Runs over different requests: the one kind of tracing must not be counted by the other.
    numbers = count(_WARM_UP)
    instructions = [await _count(rig, client, request, numbers, _tracing) for _ in range(_RUNS)]
    calls = [await _count(rig, client, request, numbers, _profiling) for _ in range(_RUNS)]
    return Cost(
        round(min(seen.total() for seen in instructions) / _COUNTED, 2),
        {_name_of(code): round(times / _COUNTED, 2) for code, times in min(calls, key=Counter.total).items()},
    )


async def _count(
    rig: Rig, client: MemoryTransport, request: Callable[[int], bytes], numbers: Iterator[int], counting: _Counting
) -> Counter[CodeType]:
    wanted = [request(number) for number in islice(numbers, _COUNTED)]
    seen: Counter[CodeType] = Counter()
    with counting(seen):
        for data in wanted:
            await _exchange(rig, client, data)
    return seen


async def _exchange(rig: Rig, client: MemoryTransport, data: bytes) -> None:
    """Let one request happen, and its answer if it is forwarded."""
    client.sent.clear()
    client.feed(data)
    await _turn()
    for upstream in rig.pool.opened:
        if upstream.sent:
            upstream.sent.clear()
            upstream.feed(_RESPONSE)
    await _turn()
    assert client.sent.startswith(b"HTTP/1.1 "), "a request was not answered"


async def _turn() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_SOURCE)


def _name_of(code: CodeType) -> str:
    return f"{Path(code.co_filename).relative_to(_SOURCE).as_posix()}:{code.co_qualname}"


@contextmanager
def _tracing(seen: Counter[CodeType]) -> Iterator[None]:
    """Count instructions, by function."""

    def step(frame: FrameType, event: str, _: object) -> Any:
        if event == "opcode":
            seen[frame.f_code] += 1
        return step

    def enter(frame: FrameType, _event: str, _: object) -> Any:
        if not _is_ours(frame.f_code):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def _profiling(seen: Counter[CodeType]) -> Iterator[None]:
    """Count calls, by function."""

    def enter(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and _is_ours(frame.f_code):
            seen[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(enter)
    try:
        yield
    finally:
        sys.setprofile(before)


def read_budget() -> dict[str, Cost]:
    """Return what each scenario may cost on this version of Python; empty if nobody has counted on it."""
    versions = json.loads(BUDGET.read_text())
    return {name: Cost(**cost) for name, cost in versions.get(PYTHON, {}).items()}


def difference(cost: Cost, budget: Cost) -> str:
    """Say in which functions *cost* differs from *budget*: one line each, the greatest difference first."""
    names = cost.calls.keys() | budget.calls.keys()
    changes = {name: cost.calls.get(name, 0.0) - budget.calls.get(name, 0.0) for name in names}
    changed = sorted((name for name in names if changes[name]), key=lambda name: (-abs(changes[name]), name))
    lines = [f"  {changes[name]:+6.2f} calls  {name}" for name in changed]
    head = f"{cost.instructions:.0f} instructions, the budget is {budget.instructions:.0f}; calls per request:"
    return "\n".join([head, *(lines or ["  as before: the functions themselves do more"])])


def main() -> None:
    """Print the counts, or make them the budget."""
    with tempfile.TemporaryDirectory() as folder:
        costs = asyncio.run(measure(Path(folder)))
    for name, cost in costs.items():
        sys.stdout.write(f"{name:18}{cost.instructions:8.0f} instructions{sum(cost.calls.values()):7.0f} calls\n")
    if "--update" in sys.argv:
        versions = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
        versions[PYTHON] = {name: cost.as_json() for name, cost in costs.items()}
        BUDGET.write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    main()
