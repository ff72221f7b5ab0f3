"""Follows the one stream of changes, in order, through lost connections, trimmed streams and fail-over (spec 5.3)."""

import asyncio
from typing import Final

from sidegate.core.model.errors import DependencyError, IntegrityError
from sidegate.core.model.units import Millis
from sidegate.distribution.piecework import PIECE_NS
from sidegate.distribution.redis_events import FIELD, Announced, Changed, read_event
from sidegate.distribution.redis_keys import CHANGES
from sidegate.distribution.redis_source import RedisPolicies
from sidegate.redis_link.errors import RedisAwayError
from sidegate.redis_link.link import Link, StreamEntry, stream_entries
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log
from sidegate.telemetry.tasks import TaskSet

_log: Final = get_log("distribution")

BLOCK: Final = Millis(250)
"""Of one read of the stream: so often it is known that nothing newer is there."""

COUNT: Final = 100
"""Events taken at a time: at most 1.5 MB, should each name a thousand accounts."""

START: Final = b"0-0"
_MEND_EVERY_S: Final = 0.05
_MENDED_AT_ONCE: Final = 64
_PAUSE_S: Final = 0.05
_LOOK_AGAIN_S: Final = 0.5
_NANOS_PER_MILLI: Final = 1_000_000


class ChangeFollower:
    """Tells a source what changed.

    Args:
        link: To Redis.
        policies: Told.
        clock: Wall and monotonic.

    Attributes:
        position: Id of the last event that was taken in; None before the stream was first read.
    """

    def __init__(self, link: Link, policies: RedisPolicies, clock: Clock) -> None:
        self._link = link
        self._policies = policies
        self._clock = clock
        self._announced: dict[str, int] = {}
        self._is_checked = False
        self._is_unreadable = False
        self._back = asyncio.Event()
        self.position: bytes | None = None
        link.on_change(self._link_changed)

    def start(self, tasks: TaskSet) -> None:
        """Follow from now on, until *tasks* is closed."""
        tasks.spawn(self._follow(), "policy_changes")
        tasks.spawn(self._mend(), "policy_mender")

    def _link_changed(self, is_up: bool) -> None:  # noqa: FBT001  a callback of the link
        if is_up:
            self._back.set()
        else:
            self._back.clear()
            self._policies.note_away()

    async def _follow(self) -> None:
        while True:
            try:
                await self.step()
            except RedisAwayError:
                self._is_checked = False
                await self._wait_for_redis()
            except (DependencyError, IntegrityError) as error:
                # Not a stream, or not one of ours.
                await self._doubt(str(error))
            except Exception as error:  # noqa: BLE001  (the rim: without this task changes would come with `max_staleness`)
                _log.exception("changes_failed")
                await self._doubt(f"{type(error).__name__}: {error}")
            else:
                if self._is_unreadable:
                    self._is_unreadable = False
                    _log.info("changes_followed")

    async def _doubt(self, why: str) -> None:
        """Begin anew in a moment: every change may have been missed until then. Told once."""
        if not self._is_unreadable:
            self._is_unreadable = True
            _log.warning("changes_unreadable", why=why)
        self._is_checked = False
        self.position = None
        await asyncio.sleep(_LOOK_AGAIN_S)

    async def step(self) -> None:
        """Take in what is new, waiting for it a moment.

        Raises:
            DependencyError: Redis is away, or holds something else.
            IntegrityError: An event cannot be read.
        """
        if not self._is_checked:
            await self._check()
        position = self.position or START
        entries = await self._link.read_stream(
            CHANGES, position, count=COUNT, block=BLOCK, doing="following the changes of policy"
        )
        if len(entries) == COUNT:
            # So many at once: some may have been trimmed before they were read.
            await self._check()
        until = self._clock.monotonic_ns() + PIECE_NS
        for entry in entries:
            self._take(entry)
            if self._clock.monotonic_ns() >= until:
                await asyncio.sleep(0)
                until = self._clock.monotonic_ns() + PIECE_NS
        self._policies.note_current(self._clock.now())

    async def _check(self) -> None:
        """Find out whether anything was missed between the last event that was taken in and what is there now."""
        first, last = await self._ends()
        position = self.position
        if position is None or order_of(last) < order_of(position) or order_of(first) > order_of(position):
            missed = position is not None and position != last
            self.position = last
            # Before this, everything that will be read is from after the end as it is now; what was read before may
            # be from before events that are gone.
            self._policies.note_missed()
            self._policies.note_current(self._clock.now())
            if missed:
                _log.warning("changes_missed", position=(position or START).decode(), first=first.decode())
        self._is_checked = True

    async def _ends(self) -> tuple[bytes, bytes]:
        doing = "looking at the changes of policy"
        answers = await self._link.call_all(
            [("XRANGE", CHANGES, "-", "+", "COUNT", 1), ("XREVRANGE", CHANGES, "+", "-", "COUNT", 1)],
            key=CHANGES,
            doing=doing,
        )
        ends = [stream_entries(answer) for answer in answers]
        if not ends[0] or not ends[1]:
            return START, START
        return ends[0][0][0], ends[1][0][0]

    def _take(self, entry: StreamEntry) -> None:
        entry_id, fields = entry
        text = fields.get(FIELD)
        event = None if text is None else read_event(text)
        match event:
            case Changed():
                self._announced.pop(event.org, None)
                self._policies.hear(event)
            case Announced():
                now = self._clock.monotonic_ns()
                self._announced[event.org] = now + event.within_ms * _NANOS_PER_MILLI
            case None:
                pass
        self.position = entry_id

    async def _mend(self) -> None:
        """Read again what is in doubt, and what was announced, until it is known."""
        while True:
            await asyncio.sleep(_MEND_EVERY_S)
            if self._link.up:
                try:
                    self._mend_once()
                except Exception:  # noqa: BLE001  (the rim, as above)
                    _log.exception("mending_failed")
                    await asyncio.sleep(_LOOK_AGAIN_S)

    def _mend_once(self) -> None:
        now = self._clock.monotonic_ns()
        for org, until in list(self._announced.items()):
            # Looked at first: the last look is after the last moment.
            self._policies.look_again(org)
            if now > until:
                del self._announced[org]
        for org in self._policies.doubtful(_MENDED_AT_ONCE):
            self._policies.look_again(org)

    async def _wait_for_redis(self) -> None:
        if self._link.up:
            # One call failed: Redis may be back already, or the link has not looked yet.
            await asyncio.sleep(_PAUSE_S)
            return
        await self._back.wait()


def order_of(entry_id: bytes) -> tuple[int, int]:
    """Return what ids of a stream are ordered by."""
    millis, _, number = entry_id.partition(b"-")
    return (int(millis), int(number or b"0"))
