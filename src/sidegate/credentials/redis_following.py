"""Follows the stream of revocations, and knows whether what is in Redis can be believed.

A Redis that lost its data, or the last of it, counts as away for a moment longer after it is back: everybody who knows
of a revocation or a used-up key writes it again first (:data:`SETTLE`).
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from sidegate.core.model.errors import DependencyError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value
from sidegate.credentials.events import Revoked
from sidegate.credentials.redis_store import BEGINNING, RedisStore, Standing, StreamId
from sidegate.credentials.remembered import Remembered
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.log import get_log

HEARTBEAT: Final = Millis(1000)
"""How long a read of the stream waits at most: so often it is proved that nothing was missed."""
PAUSE_S: Final = 0.1
"""Before Redis is tried again; the link itself looks for it more often."""
SETTLE: Final = Millis(1000)
"""For so long nothing new is believed of a Redis that lost data. Links find it back within half a second, followers a
tenth later; what they remember is written in another tenth."""
DOUBTED: Final = Millis(60_000)
"""How much of the last of what is remembered is written again after any interruption."""

_SHORTEST: Final = Millis(1)
"""Redis takes 0 for "for ever"."""
_NANOS_PER_MILLI: Final = 1_000_000

_log: Final = get_log("credentials")


@value
class FollowedPlace:
    """Up to where changes were taken in.

    Attributes:
        epoch: Name of the data.
        position: Of the last event.
        sequence: Its number.
    """

    epoch: bytes
    position: StreamId
    sequence: int


class ChangeFollower:
    """Follows the stream.

    Args:
        store: Where it is.
        remembered: Written again to a Redis that may have lost it.
        clock: Monotonic and wall.
        max_staleness: How long what is held is believed without word from Redis; for the log, and for how often to ask.
        on_revoked: Told each revocation, in order.
        on_missed: Called when changes were missed: nothing that was fetched before may be believed.
        on_heard: Called whenever it was proved that nothing is missing.
    """

    __slots__ = (
        "_clock",
        "_doubts_until_ns",
        "_epoch",
        "_heard_at_ns",
        "_heartbeat",
        "_is_doubtful",
        "_is_interrupted",
        "_max_staleness",
        "_on_heard",
        "_on_missed",
        "_on_revoked",
        "_position",
        "_remembered",
        "_sequence",
        "_settled_at_ns",
        "_settling_in",
        "_store",
        "_told",
    )

    def __init__(
        self,
        store: RedisStore,
        remembered: Remembered,
        clock: Clock,
        max_staleness: Millis,
        *,
        on_revoked: Callable[[Revoked], None],
        on_missed: Callable[[], None],
        on_heard: Callable[[], None],
    ) -> None:
        self._store = store
        self._remembered = remembered
        self._clock = clock
        self._max_staleness = max_staleness
        # Well within it, or what is current would look too old between two beats.
        self._heartbeat = min(HEARTBEAT, Millis(max_staleness // 4))
        self._on_revoked = on_revoked
        self._on_missed = on_missed
        self._on_heard = on_heard
        self._position: StreamId | None = None
        self._sequence = 0
        self._epoch: bytes | None = None
        self._is_interrupted = False
        self._is_doubtful = False
        self._settled_at_ns: int | None = None
        self._settling_in = b""
        self._doubts_until_ns = 0
        self._heard_at_ns: int | None = None
        self._told: str | None = "nothing was read from redis yet"

    @property
    def age(self) -> Millis | None:
        """How long ago it was proved that nothing was missed; None before the first time."""
        heard = self._heard_at_ns
        return None if heard is None else Millis(max(0, self._clock.monotonic_ns() - heard) // _NANOS_PER_MILLI)

    @property
    def place(self) -> FollowedPlace | None:
        """Up to where changes were taken in; None before the first time."""
        if self._epoch is None or self._position is None:
            return None
        return FollowedPlace(self._epoch, self._position, self._sequence)

    @property
    def readable_epoch(self) -> bytes | None:
        """Name of the data in which absence means something; None while none is known to be that."""
        return None if self._settled_at_ns is not None or self._position is None else self._epoch

    @property
    def usable_epoch(self) -> bytes | None:
        """Name of the data in which keys may be used up. Not for a moment after any interruption: it may have been a
        fail-over that lost a use, which whoever knows of it writes again first."""
        is_doubtful = self._is_interrupted or self._clock.monotonic_ns() < self._doubts_until_ns
        return None if is_doubtful else self.readable_epoch

    def resume(self, place: FollowedPlace, age: Millis, *, is_current: bool) -> None:
        """Go on from where an earlier process was.

        Args:
            place: Up to where it had taken changes in.
            age: How long ago it was proved that it had missed none.
            is_current: Whether what it held is held here too; without it, only that data may be lost is known.
        """
        self._epoch, self._sequence = place.epoch, place.sequence
        if is_current:
            self._position = place.position
            self._heard_at_ns = self._clock.monotonic_ns() - age * _NANOS_PER_MILLI
            self._told = None

    def doubt(self) -> None:
        """Look at the next opportunity whether Redis still has the data that is followed."""
        self._is_doubtful = True

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            if await self.connect():
                try:
                    while not self._is_doubtful:
                        await self.step(self._heartbeat)
                except DependencyError as error:
                    self._interrupt(str(error))
            await asyncio.sleep(PAUSE_S)

    async def connect(self) -> bool:
        """Find the place in the stream to follow from, and take in what was missed.

        Returns:
            Whether Redis was there and can be believed.
        """
        asked_at_ns = self._clock.monotonic_ns()
        self._is_doubtful = False
        try:
            standing = await self._store.synchronize(os.urandom(16).hex())
            if self._lacks_data(standing):
                if not await self._settle(standing):
                    return False
                # The changes that others have written since are in what is read from here on.
                standing = await self._store.synchronize(os.urandom(16).hex())
            await self._take_place(standing)
            # What changed while nobody listened comes before anything is believed again.
            while self._position is not None and self._position < standing.last:
                await self._read(_SHORTEST)
        except DependencyError as error:
            self._interrupt(str(error))
            return False
        if self._is_interrupted:
            self._is_interrupted = False
            self._doubts_until_ns = self._clock.monotonic_ns() + SETTLE * _NANOS_PER_MILLI
        self._hear(asked_at_ns)
        return True

    async def step(self, block: Millis) -> None:
        """Take in what changed, waiting up to *block* for something.

        Raises:
            DependencyError: Redis is away.
        """
        asked_at_ns = self._clock.monotonic_ns()
        found = await self._read(block)
        # What is proved is what was so when Redis answered, however late that arrives: an empty answer is given when
        # the time is up, one with something in it at any time after the question.
        waited_ns = 0 if found else block * _NANOS_PER_MILLI
        self._hear(min(asked_at_ns + waited_ns, self._clock.monotonic_ns()))

    # Within.

    async def _read(self, block: Millis) -> bool:
        changes = await self._store.read_changes(self._position or BEGINNING, block)
        for change in changes:
            self._position = change.at
            if change.sequence != self._sequence + 1 or not isinstance(change.event, Revoked):
                # Something is missing, or cannot be read: it may have revoked anything.
                _log.error("changes_broken", sequence=change.sequence, expected=self._sequence + 1)
                self._on_missed()
                self.doubt()
            self._sequence = change.sequence
            if isinstance(change.event, Revoked):
                self._on_revoked(change.event)
        return bool(changes)

    def _lacks_data(self, standing: Standing) -> bool:
        """Whether Redis has lost what it had, or may have, as far as can be known here."""
        if self._epoch is None:
            # It was away when this process began: nobody here can tell what it had before.
            return self._is_interrupted
        return (
            standing.epoch != self._epoch
            or standing.sequence < self._sequence
            or (self._position is not None and standing.last < self._position)
        )

    async def _settle(self, standing: Standing) -> bool:
        """Write again what is remembered; returns whether others have had the time to do so too."""
        now_ns = self._clock.monotonic_ns()
        if self._settled_at_ns is None or standing.epoch != self._settling_in:
            self._settling_in = standing.epoch
            self._settled_at_ns = now_ns + SETTLE * _NANOS_PER_MILLI
            if self._epoch is not None:
                _log.warning(
                    "state_lost",
                    sequence=standing.sequence,
                    expected=self._sequence,
                    hint="make redis keep its data (docs/sessions-and-keys.md)",
                )
            self._told = "redis lost data, which is being written again"
            await self._restore(None)
            return False
        return now_ns >= self._settled_at_ns

    async def _take_place(self, standing: Standing) -> None:
        before = self._position
        if before is None or self._settled_at_ns is not None or standing.first > before:
            if before is not None:
                _log.warning("changes_missed", is_lost=self._settled_at_ns is not None)
                # Forgotten before the place is taken: what is fetched from here on is as young as the place.
                self._on_missed()
            self._position, self._sequence = standing.last, standing.sequence
        self._epoch = standing.epoch
        self._settled_at_ns = None
        if before is not None:
            await self._restore(UnixMillis(self._clock.now() - DOUBTED))

    async def _restore(self, since: UnixMillis | None) -> None:
        """Write again what Redis may have lost. Nothing happens to what it has."""
        revoked, used = tuple(self._remembered.revocations(since)), tuple(self._remembered.uses(since))
        if not (revoked or used):
            return
        restored = await self._store.restore(revoked, used, self._clock.now())
        if restored:
            _log.warning("revocations_restored", revocations_and_uses=restored)

    def _hear(self, at_ns: int) -> None:
        self._heard_at_ns = at_ns
        if self._told is not None:
            self._told = None
            _log.info("state_followed")
        self._on_heard()

    def _interrupt(self, why: str) -> None:
        self._is_interrupted = True
        # Whoever wrote something again may have written it to a server that is gone by now.
        self._settled_at_ns = None
        if self._told is None:
            _log.warning("state_unfollowed", why=why, believed_for_ms=self._max_staleness)
        self._told = why
