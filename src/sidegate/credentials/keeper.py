"""Keeps on disk what is held of Redis, so that a sidecar can start while Redis is away, and forgets nothing (spec 5.4).

One file per process, replaced as a whole and grown at its end (:mod:`sidegate.local_cache.file`). What is written is of
one moment: facts, and the place in the stream up to which they are current. A later place is never written beside
earlier facts that it does not hold for.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, starmap
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.credentials.events import Revoked
from sidegate.credentials.held import KnownFact
from sidegate.credentials.kept import (
    KeptState,
    Row,
    encode_rows,
    fact_row,
    place_row,
    read_state,
    revoked_row,
    used_row,
)
from sidegate.credentials.ports import Fact
from sidegate.credentials.redis_following import FollowedPlace
from sidegate.credentials.redis_state import RedisState
from sidegate.credentials.remembered import UsedUp
from sidegate.credentials.table import REVOCATION_RETENTION
from sidegate.local_cache.file import CacheFile
from sidegate.local_cache.sealed import CacheLabel
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log

KIND: Final = "sessions"
SUFFIX: Final = ".cache"
KEPT_FACTS: Final = 20_000
"""Of what is held, those that were used last: 4 MB, and a third of a second of a start."""
MAX_BYTES: Final = 32 * 1024 * 1024
"""Of one process's file: these and all that is over, twice before it is written anew."""

_GROWTH: Final = 2
_SMALL: Final = 1024 * 1024
"""A file is written anew when it has grown to twice what it was then, and to more than this."""
_LINGER_S: Final = 0.02
"""Between two writes: what happens within it goes together."""
_PAUSE_S: Final = 1.0
"""After a write that failed."""
_LONGEST_TOUCH: Final = Millis(5000)
_TOUCHES: Final = 20
"""How often within the allowed staleness a file is said to be still current."""
_ROWS: Final = 512
"""Rows per entry of a whole file."""
_TOGETHER: Final = Millis(60_000)
"""Files of processes that ended within this time of each other are of one end."""

_log: Final = get_log("credentials")

P = ParamSpec("P")
T = TypeVar("T")


class StateKeeper:
    """Keeps the state of one process. The :class:`~sidegate.credentials.held.Notes` of what it holds.

    Args:
        state: Whose.
        folder: Where the files of all processes of this sidecar are.
        part: Name of this process among them.
        source: Where the state comes from: the address of the Redis without credentials.
        max_staleness: How old facts may be.
        clock: Wall.
    """

    def __init__(
        self, state: RedisState, folder: Path, part: str, *, source: str, max_staleness: Millis, clock: Clock
    ) -> None:
        self._state = state
        self._folder = folder
        self._label = CacheLabel(KIND, source)
        self._file = CacheFile(folder / f"{KIND}-{part}{SUFFIX}", self._label, MAX_BYTES)
        self._turn = threading.Lock()
        self._max_staleness = max_staleness
        self._touch_every = min(_LONGEST_TOUCH, Millis(max(1, max_staleness // _TOUCHES)))
        self._clock = clock
        self._facts: dict[Fact, None] = {}
        self._rows: list[Row] = []
        self._is_whole_due = True
        self._whole_bytes = 0
        self._written_at: UnixMillis | None = None
        self._wanted = asyncio.Event()
        self._is_over_due = False
        self._failure: str | None = None

    # What is told by who holds it.

    def fact_changed(self, fact: Fact) -> None:
        """See :class:`~sidegate.credentials.held.Notes`."""
        self._facts[fact] = None
        self._wanted.set()

    def revoked(self, event: Revoked) -> None:
        """See :class:`~sidegate.credentials.held.Notes`."""
        self._keep_over(revoked_row(event))

    def used_up(self, used: UsedUp) -> None:
        """See :class:`~sidegate.credentials.held.Notes`."""
        self._keep_over(used_row(used))

    def all_forgotten(self) -> None:
        """See :class:`~sidegate.credentials.held.Notes`."""
        self._is_whole_due = True
        self._wanted.set()

    # What is done with it.

    async def resume(self) -> None:
        """Take over what was kept by earlier processes, as far as it may be; to be called before anything is held."""
        found = await asyncio.to_thread(self._read)
        if found is not None:
            resume_from(self._state, found, self._max_staleness, self._clock.now())
        self._state.held.notes = self

    async def run(self) -> None:
        """Write what changes until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._touch_every / 1000):
                    await self._wanted.wait()
            await self.flush()
            await asyncio.sleep(_LINGER_S if self._failure is None else _PAUSE_S)

    async def flush(self) -> None:
        """Write what has changed, and that it is current."""
        place, age = self._state.following.place, self._state.following.age
        if place is None or age is None:
            return  # nothing was heard from Redis yet, so nothing is known that was not kept
        at = UnixMillis(self._clock.now() - age)
        self._wanted.clear()
        try:
            await self._write(place, at)
        except OSError as error:
            # What was to be added is in the whole file that is written next.
            self._is_whole_due = True
            if self._failure is None:
                _log.warning(
                    "state_unkept",
                    file=str(self._file.path),
                    why=str(error),
                    hint="free the disk, or name another folder under `cache.folder`",
                )
            self._failure = str(error)
        else:
            if self._failure is not None:
                _log.info("state_kept", file=str(self._file.path))
            self._failure = None

    async def close(self) -> None:
        """Write all of it for the last time and let go of the file. To be called when :meth:`run` was cancelled."""
        # What a cancelled write did is not known.
        self._is_whole_due = True
        await self.flush()
        await self._in_turn(self._file.close)

    # Within.

    def _keep_over(self, row: Row) -> None:
        """Keep what is over for good, in this turn of the loop: whoever is told of it may end this process at once."""
        self._rows.append(row)
        if not self._is_over_due:
            self._is_over_due = True
            asyncio.get_running_loop().call_soon(self._write_over)

    def _write_over(self) -> None:
        """Add what is over to the file, on the loop: some 20 microseconds, like the records of requests. The place in
        the stream and the age stay those of the facts in it."""
        self._is_over_due = False
        if not self._is_whole_due and self._written_at is not None and self._turn.acquire(blocking=False):
            try:
                if self._file.append(encode_rows(self._rows), self._written_at):
                    self._rows = []
            except OSError:
                self._is_whole_due = True  # whoever writes it tells why it cannot be
            finally:
                self._turn.release()
        if self._rows:
            self._wanted.set()

    async def _in_turn(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *do* in a thread; after whatever a thread is at that nobody waits for any more."""

        def run() -> T:
            with self._turn:
                return do(*args, **kwargs)

        return await asyncio.to_thread(run)

    async def _write(self, place: FollowedPlace, at: UnixMillis) -> None:
        grown = self._file.size > max(_SMALL, _GROWTH * self._whole_bytes)
        if not (self._is_whole_due or grown):
            if not (self._facts or self._rows):
                if self._written_at is not None and at - self._written_at < self._touch_every:
                    return
                self._is_whole_due = not await self._in_turn(self._file.touch, at)
            else:
                entry = encode_rows([place_row(place), *self._rows, *self._fact_rows()])
                self._rows, self._facts = [], {}
                self._is_whole_due = not await self._in_turn(self._file.append, entry, at)
            grown = False
        if self._is_whole_due or grown:
            self._is_whole_due = False
            self._rows, self._facts = [], {}
            await self._write_whole(place, at)
        self._written_at = at

    async def _write_whole(self, place: FollowedPlace, at: UnixMillis) -> None:
        held = self._state.held
        # Copied here and written down by the thread, while the loop goes on: a fact that changes meanwhile is written
        # again after this.
        revoked, used, facts = held.remembered.revocations(), held.remembered.uses(), held.snapshot()
        rows = chain(
            # In front what must not be left out, should there not be room for everything.
            (place_row(place),),
            map(revoked_row, revoked),
            map(used_row, used),
            starmap(fact_row, islice(facts, KEPT_FACTS)),
        )
        if not await self._in_turn(self._file.replace, _entries(rows), at):
            _log.warning("state_cut", file=str(self._file.path), hint="what was not used lately is not kept")
        self._whole_bytes = self._file.size

    def _fact_rows(self) -> Iterator[Row]:
        for fact in self._facts:
            held = self._state.held.find(fact)
            if held is not None:
                yield fact_row(fact, held)

    def _read(self) -> KeptState | None:
        found = [
            kept
            for path in sorted(self._folder.glob(f"{KIND}-*{SUFFIX}"))
            if (kept := self._read_one(path)) is not None
        ]
        return merge_kept(found) if found else None

    def _read_one(self, path: Path) -> KeptState | None:
        try:
            # What is over stays over, however old the file is; how old facts may be is looked at afterwards.
            kept = CacheFile(path, self._label, MAX_BYTES).read(self._clock.now(), REVOCATION_RETENTION)
            return None if kept is None else read_state(kept.entries, kept.at)
        except (IntegrityError, OSError) as error:
            _log.warning("kept_state_refused", file=str(path), why=str(error), hint="it is written anew")
            return None


def _entries(rows: Iterator[Row]) -> Iterator[bytes]:
    while some := list(islice(rows, _ROWS)):
        yield encode_rows(some)


def merge_kept(states: Sequence[KeptState]) -> KeptState:
    """Return what *states* of several processes of one sidecar, at least one, come to.

    Facts are taken from those that ended together with the last, and in the same data; they are as old as the oldest
    of these. What is over is taken from all.
    """
    last = max(states, key=lambda state: state.at)
    together = [
        state
        for state in states
        if state.place is not None
        and last.place is not None
        and state.place.epoch == last.place.epoch
        and last.at - state.at <= _TOGETHER
    ]
    oldest = min(together, key=lambda state: state.place.sequence if state.place is not None else 0, default=last)
    facts: dict[Fact, KnownFact] = {}
    for state in together:
        for fact, known in state.facts.items():
            facts[fact] = _both(facts[fact], known) if fact in facts else known
    return KeptState(
        min((state.at for state in together), default=last.at),
        oldest.place,
        facts,
        tuple(event for state in states for event in state.revoked),
        tuple(used for state in states for used in state.used),
    )


def _both(one: KnownFact, other: KnownFact) -> KnownFact:
    """Return what two processes together knew of one fact."""
    revoked = [at for at in (one.revoked_at, other.revoked_at) if at is not None]
    sessions = [session for session in (one.session, other.session) if session is not None]
    return KnownFact(
        max(revoked, default=None),
        one.consumed or other.consumed,
        max(sessions, key=lambda session: session.last_seen, default=None),
    )


def resume_from(state: RedisState, kept: KeptState, max_staleness: Millis, now: UnixMillis) -> None:
    """Have *state* go on from *kept*: from all of it while it is young enough, otherwise from what is over for good."""
    held, age = state.held, Millis(max(0, now - kept.at))
    for event in sorted(kept.revoked, key=lambda event: event.at):
        held.remembered.revoke(event)
    for used in sorted(kept.used, key=lambda used: used.at):
        held.remembered.consume(used)
    if kept.place is None:
        return
    is_current = age < max_staleness
    if is_current:
        for fact, known in kept.facts.items():
            held.learn(fact, known)
    state.following.resume(kept.place, age, is_current=is_current)
    if is_current:
        state.resume()
    _log.info("state_resumed", age_ms=age, facts=len(kept.facts) if is_current else 0, is_current=is_current)
