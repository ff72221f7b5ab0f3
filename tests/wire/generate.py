"""Plays generated requests and holds the three invariants on all of them; makes a failing case small and prints it.

python -m tests.wire.generate --requests 100000 --seed 7
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts.issuer import Issuer
from tests.exchange.rig import Rig
from tests.integration.sidecar import ISSUER, Sidecar
from tests.wire.bench import Bench, Play
from tests.wire.grammar import ANA, PATH, VERA, Grammar
from tests.wire.invariants import ViolationError, check, digest
from tests.wire.strict import IncompleteError, UnreadableError, read_response

CASES_PER_BENCH = 2000
"""A fresh data path now and then: its memories are bounded, the spool that is read back is not."""


unhandled: list[dict[str, object]] = []
"""What callbacks raised; looked at after every case."""


class FailureError(Exception):
    """A case that breaks an invariant. The message says which; *data* is what was sent, made small."""

    def __init__(self, data: bytes, why: BaseException) -> None:
        super().__init__(f"{why!r}\n  sent: {data!r}")


@dataclass
class Tally:
    """What was played so far."""

    cases: int = 0
    requests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


class Player:
    """Plays cases on one data path.

    Args:
        bench: Where.
        issuer: Of the tokens that are put in for the placeholders.
    """

    def __init__(self, bench: Bench, issuer: Issuer) -> None:
        self._bench = bench
        self._tokens = {name: issuer.session(user, "acme").encode() for name, user in ((VERA, "vera"), (ANA, "ana"))}
        self._canary_token = issuer.session("ana", "acme", session_id="canary").encode()
        self._canary = bench.rig.connect(("192.0.2.9", 1))
        self._asked = 0

    async def play(self, case: bytes, places: Iterable[float]) -> Play:
        """Play one case twice, whole and cut, with the canary beside it.

        Args:
            places: Where it is cut the second time, as parts of its length.

        Raises:
            ViolationError: An invariant does not hold.
        """
        data = case
        for placeholder, token in self._tokens.items():
            data = data.replace(placeholder, token)
        self._asked += 1
        path = PATH + b"canary-%d" % self._asked
        request = b"GET %b HTTP/1.1\r\nHost: c\r\nCookie: __session=%b\r\n\r\n" % (path, self._canary_token)
        await self._bench.rig.feed(self._canary, request[: self._asked % len(request)])
        whole = await self._bench.play(data)
        self._check(whole)
        cut = await self._bench.play(data, sorted({int(place * len(data)) for place in places} - {0}))
        self._check(cut)
        if (one := digest(whole)) != (two := digest(cut)):
            raise ViolationError(f"the verdict depends on the cuts: {one} and {two}")
        await self._check_canary(request[self._asked % len(request) :], path)
        if unhandled:
            raise ViolationError(f"an exception that nobody handled: {unhandled.pop()}")
        return whole

    @staticmethod
    def _check(play: Play) -> None:
        try:
            check(play)
        except (UnreadableError, IncompleteError) as error:
            raise ViolationError(f"something Sidegate wrote cannot be read: {error!r}") from error

    async def _check_canary(self, rest: bytes, path: bytes) -> None:
        play = await self._bench.play(rest, client=self._canary)
        if [record["outcome"] for record in play.records] != ["allow"]:
            raise ViolationError(f"W-C: the canary was not allowed: {play.records}")
        answer, behind = read_response(play.received, b"GET")
        if (answer.status, answer.body, behind) != (200, play.records[0]["id"].encode() + b" " + path, b""):
            raise ViolationError(f"W-C: the canary was answered {play.received!r}")


async def minimize(case: bytes, fails: Callable[[bytes], Awaitable[bool]]) -> bytes:
    """Leave out of *case* what is not needed for it to fail."""
    size = len(case) // 2
    while size:
        at = 0
        while at < len(case):
            shorter = case[:at] + case[at + size :]
            if await fails(shorter):
                case = shorter
            else:
                at += size
        size //= 2
    return case


@asynccontextmanager
async def open_player(issuer: Issuer) -> AsyncIterator[Player]:
    """Build a data path of its own for some cases."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Sidecar(Path(folder) / "rig", "http://127.0.0.1:9", issuer))
        await rig.start()
        try:
            yield Player(Bench(rig), issuer)
        finally:
            await rig.close()


async def run(requests: int, seed: int, on_progress: Callable[[Tally], None] = lambda _: None) -> Tally:
    """Play cases of *seed* until *requests* were decided in all.

    Raises:
        FailureError: An invariant does not hold.
    """
    issuer = Issuer(ISSUER, algorithm="EdDSA")
    grammar = Grammar(seed)
    tally = Tally()
    asyncio.get_running_loop().set_exception_handler(_raise)
    while tally.requests < requests:
        async with open_player(issuer) as player:
            for _ in range(CASES_PER_BENCH):
                case = grammar.case()
                places = [grammar.random.random() for _ in range(grammar.random.choice((1, 2, 5, 20)))]
                try:
                    play = await player.play(case, places)
                except ViolationError as error:
                    raise await _explain(case, places, error, issuer) from error
                tally.cases += 1
                # Played twice: each request was decided once whole and once cut.
                tally.requests += 2 * len(play.records)
                tally.outcomes.update(record["reason"] for record in play.records)
                if tally.requests >= requests:
                    break
        on_progress(tally)
    return tally


def _raise(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Keep what a callback of the data path did not handle; nothing may."""
    unhandled.append(context)
    loop.default_exception_handler(context)


async def _explain(case: bytes, places: list[float], error: ViolationError, issuer: Issuer) -> FailureError:
    async def fails(shorter: bytes) -> bool:
        async with open_player(issuer) as player:
            try:
                await player.play(shorter, places)
            except ViolationError:
                return True
        return False

    return FailureError(await minimize(case, fails) if await fails(case) else case, error)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = time.time_ns() % 1_000_000 if arguments.seed is None else arguments.seed
    sys.stdout.write(f"seed {seed}\n")
    begun = time.monotonic()

    def show(tally: Tally) -> None:
        sys.stdout.write(f"{tally.requests:>8} requests in {tally.cases} cases, {time.monotonic() - begun:.0f} s\n")
        sys.stdout.flush()

    try:
        tally = asyncio.run(run(arguments.requests, seed, show))
    except FailureError as failure:
        sys.stdout.write(f"seed {seed}: {failure}\n")
        return 1
    sys.stdout.write(f"{tally.requests} requests held W-A, W-B and W-C: {dict(tally.outcomes.most_common())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
