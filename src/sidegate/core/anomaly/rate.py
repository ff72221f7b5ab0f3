"""Counts that forget: how much happened lately, and how much usually does."""

from math import exp

from sidegate.core.model.units import Millis, UnixMillis


class DecayedCount:
    """A count in which what is older weighs less: after one *window* 1/e of it is left.

    With a steady stream of ``r`` events per window the count comes to ``r``.

    Args:
        window: Over which it forgets, more than 0.
        now: When it begins.
    """

    __slots__ = ("_at", "_count", "_window")

    def __init__(self, window: Millis, now: UnixMillis) -> None:
        self._window = window
        self._at = now
        self._count = 0.0

    def add(self, now: UnixMillis) -> float:
        """Count one more and return the count.

        A clock that was set back counts as no time at all. By more than a window, it was wrong before: what there is
        begins to fade from *now* on, not only when the clock has come back to where it was.
        """
        self._count = self.read(now) + 1.0
        if now > self._at or self._at - now > self._window:
            self._at = now
        return self._count

    def read(self, now: UnixMillis) -> float:
        """Return the count at *now*."""
        passed = now - self._at
        return self._count * exp(-passed / self._window) if passed > 0 else self._count


class UsualRate:
    """How many events per *window* there usually are, as far as was seen.

    Args:
        memory: How far back it looks, more than 0.
        now: When it begins.
    """

    __slots__ = ("_began", "_count", "_memory")

    def __init__(self, memory: Millis, now: UnixMillis) -> None:
        self._memory = memory
        self._began = now
        self._count = DecayedCount(memory, now)

    def add(self, now: UnixMillis) -> None:
        """Count one more. A clock that was set back to before the beginning moves that, or it would never be usual."""
        self._began = min(self._began, now)
        self._count.add(now)

    def per(self, window: Millis, now: UnixMillis) -> float:
        """Return the usual number of events in *window*; 0 before any time has passed."""
        age = max(0, now - self._began)
        # What a steady stream would have come to by now: a young count is not full yet.
        full = self._memory * (1.0 - exp(-age / self._memory))
        return self._count.read(now) * window / full if full else 0.0

    def age(self, now: UnixMillis) -> Millis:
        """Return for how long it has been looking."""
        return Millis(max(0, now - self._began))
