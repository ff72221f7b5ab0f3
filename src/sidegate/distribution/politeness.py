"""Work of a thread beside an event loop that must not notice."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

SWITCH_INTERVAL_S: Final = 0.000_5
"""While a thread computes, the event loop waits so long for the interpreter lock, not the usual 5 ms: one turn needs it
several times."""

FREEZE_EVERY: Final = 1250
"""Objects; half of those after which a process begins a collection."""

_one_at_a_time: Final = Lock()


@contextmanager
def politely() -> Iterator[None]:
    """Let the event loop run beside the work of this thread; others that are as polite wait their turn.

    The garbage collector is held off: it would walk over everything that is being built, again and again, with the
    interpreter lock in its hands (measured with 20,000 bindings: stalls of 270 ms with it).
    """
    with _one_at_a_time:
        before = sys.getswitchinterval()
        collects = gc.isenabled()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.disable()
        try:
            yield
        finally:
            if collects:
                gc.enable()
            sys.setswitchinterval(before)


@contextmanager
def loading() -> Iterator[None]:
    """Like :func:`politely`, for work whose result stays: the collector is never going to look at it.

    It would do so as soon as it is let loose again, all at once. What is loaded holds no cycles: it is freed when the
    last reference to it goes, frozen or not.
    """
    with politely():
        try:
            yield
        finally:
            gc.freeze()


class Loaded:
    """Counts what is loaded on the event loop, a little at a time, and keeps the collector from looking at it.

    Loaded piece by piece, a hundred megabytes of policy would be walked over by every tenth collection, for 60 ms per
    million objects.
    """

    __slots__ = ("_objects",)

    def __init__(self) -> None:
        self._objects = 0

    def note(self, objects: int) -> None:
        """Note that some *objects* were made and stay."""
        self._objects += objects
        if self._objects >= FREEZE_EVERY:
            self._objects = 0
            gc.freeze()
