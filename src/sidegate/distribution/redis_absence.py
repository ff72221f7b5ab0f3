"""What was looked for in Redis and is not there: believed for a moment, in a bounded place (spec 5.2)."""

from collections import OrderedDict
from typing import Final

from sidegate.core.model.units import Millis, UnixMillis
from sidegate.telemetry.clock import Clock

ABSENT_FOR: Final = Millis(5000)
"""How long it is believed, should no event say otherwise before."""

MAX_ABSENT: Final = 4096
"""Names remembered as nobody's: whoever invents names evicts only invented ones."""


class Absences:
    """Names of which nothing is there.

    Args:
        clock: Wall clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: OrderedDict[str, UnixMillis] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def note(self, name: str) -> None:
        """Note that there is nothing called *name*."""
        self._until[name] = UnixMillis(self._clock.now() + ABSENT_FOR)
        self._until.move_to_end(name)
        if len(self._until) > MAX_ABSENT:
            self._until.popitem(last=False)

    def holds(self, name: str) -> bool:
        """Whether it is still believed that there is nothing called *name*."""
        until = self._until.get(name)
        if until is None:
            return False
        if self._clock.now() < until:
            return True
        del self._until[name]
        return False

    def forget(self, name: str) -> None:
        """Believe it no longer: there may be something now."""
        self._until.pop(name, None)

    def clear(self) -> None:
        """Believe nothing any more."""
        self._until.clear()
