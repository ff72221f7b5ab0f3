"""How old is what a sidecar has in memory, and of what is there known to be something newer (spec 5.3, 5.4)."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sidegate.core.model.authority import Authority
from sidegate.core.model.units import UnixMillis
from sidegate.distribution.redis_organization import Organization
from sidegate.distribution.staleness import Staleness

MAX_GENERATIONS: Final = 1000
"""Interruptions of which the time is remembered; what is from before them is too old for everything."""

_LONG_AGO: Final = UnixMillis(0)


class Freshness:
    """Ages of organizations. Pure: told the time.

    An organization is as old as the last moment at which everything was heard, unless it is in doubt: then as old as
    the last moment before something newer was heard of, or may have been missed.

    Args:
        staleness: How old a policy may be.
        on_doubt: Told an organization and since when it is in doubt; None when it is no more.

    Attributes:
        checked_at: When it was last known that nothing newer is in Redis; None before the first time.
        generation: Grows when changes may have been missed.
        stale_after: Before this instant nothing is too old; rather too early than too late.
    """

    def __init__(
        self, staleness: Staleness, on_doubt: Callable[[str, UnixMillis | None], None] = lambda _, __: None
    ) -> None:
        self._staleness = staleness
        self._on_doubt = on_doubt
        self.checked_at: UnixMillis | None = None
        self.generation = 1
        self.stale_after = _LONG_AGO
        self._doubted: dict[str, Organization] = {}
        self._oldest: UnixMillis | None = None
        self._missed_since: OrderedDict[int, UnixMillis] = OrderedDict()
        self._sweeping = 0
        self._is_heard = False

    def note_current(self, now: UnixMillis) -> None:
        """Note that at *now* every change was heard of."""
        self.checked_at = now
        self._is_heard = True
        self._set_stale_after()

    def note_kept(self, at: UnixMillis) -> None:
        """Note that nothing was heard yet, and that what is at hand was current at *at*."""
        if self.checked_at is None:
            self.checked_at = at
            self._set_stale_after()

    def note_missed(self, now: UnixMillis, known: Iterable[Organization]) -> Iterator[None]:
        """Note that changes may have been missed; returns what is left to do, in steps.

        Until the steps are done, an organization is known to be in doubt by its generation.
        """
        since = self.checked_at if self.checked_at is not None else now
        self.generation += 1
        self._missed_since[self.generation] = since
        if len(self._missed_since) > MAX_GENERATIONS:
            self._missed_since.popitem(last=False)
        self._sweeping += 1
        self._lower(since)
        return self._sweep(tuple(known))

    def _sweep(self, known: tuple[Organization, ...]) -> Iterator[None]:
        for one in known:
            if one.generation != self.generation and one.loaded is not None:
                self.doubt(one, self._since(one))
            yield
        self._sweeping -= 1
        self._set_stale_after()

    def doubt(self, known: Organization, since: UnixMillis) -> None:
        """Note that from *since* on there may be something newer than what is in memory of *known*."""
        if known.doubted_since is None or since < known.doubted_since:
            known.doubted_since = since
            self._doubted[known.name] = known
            self._on_doubt(known.name, since)
            self._lower(since)

    def settle(self, known: Organization) -> None:
        """Note that there is no doubt about *known* any more."""
        if known.doubted_since is not None:
            known.doubted_since = None
            self._on_doubt(known.name, None)
        self._doubted.pop(known.name, None)

    def forget(self, known: Organization) -> None:
        """Note that nothing of *known* is in memory any more."""
        self._doubted.pop(known.name, None)

    def is_current(self, known: Organization) -> bool:
        """Whether no change of *known* may have been missed."""
        return known.generation == self.generation

    def good_at(self, known: Organization | None) -> UnixMillis | None:
        """Return when *known* was last known to be as it is in Redis."""
        checked = self.checked_at
        if known is None or checked is None:
            return checked
        if known.doubted_since is not None:
            checked = min(checked, known.doubted_since)
        if known.generation != self.generation and known.loaded is not None:
            checked = min(checked, self._since(known))
        return checked

    def is_too_old(self, known: Organization | None, authorities: Iterable[Authority], now: UnixMillis) -> bool:
        """Whether what is in memory of *known* is older than it may be for one of *authorities*."""
        since = self.good_at(known)
        return since is None or now - since > self._staleness.limit_of(authorities)

    def doubted(self) -> Iterator[Organization]:
        """Yield those that are in doubt."""
        yield from self._doubted.values()

    @property
    def steady_at(self) -> UnixMillis | None:
        """When all that is not in doubt was last known to be as it is in Redis; None before Redis was heard."""
        if not self._is_heard or self.checked_at is None:
            return None
        # While doubts are still being told, the oldest of them counts for all.
        return self.checked_at if not self._sweeping or self._oldest is None else min(self.checked_at, self._oldest)

    @property
    def lag(self) -> int:
        """How many organizations have a revision that was heard of and is not in memory."""
        return sum(known.heard > known.revision for known in self._doubted.values())

    def _since(self, known: Organization) -> UnixMillis:
        if known.generation == 0:  # it never came from Redis: it says itself how old it is
            return known.doubted_since or _LONG_AGO
        return self._missed_since.get(known.generation + 1, _LONG_AGO)

    def _lower(self, since: UnixMillis) -> None:
        self._oldest = since if self._oldest is None else min(self._oldest, since)
        self._set_stale_after()

    def _set_stale_after(self) -> None:
        checked = self.checked_at
        if checked is None:
            return
        if not self._doubted and not self._sweeping:
            self._oldest = None
        oldest = checked if self._oldest is None else min(checked, self._oldest)
        self.stale_after = UnixMillis(oldest + self._staleness.shortest)
