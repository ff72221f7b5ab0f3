"""The garbage collector of a process that must not pause (spec 7: no pause of the event loop above 5 ms).

A collection walks over every object that it has not given up on, with the interpreter lock in its hands: about 60 ns
each. What is freed by its last reference needs none: requests, connections, subjects and snapshots leave no cycles
behind. So collections are small, and whatever survives two of them is left alone for good.
"""

import gc
from typing import Any, Final

YOUNG_OBJECTS: Final = 20_000
"""Objects made and not yet freed, between two collections: some 1.2 ms. At Python's own 700 collections cost 5 % of the
CPU under load, because they come so often."""
YOUNG_COLLECTIONS: Final = 1
"""After more than so many the survivors are looked at again with the youngest: at most 60,000 objects, 3.6 ms."""
_OLD_COLLECTIONS: Final = 50
"""There is nothing in the oldest generation, so it costs nothing."""


def leave_alone() -> None:
    """Collect once, and never look again at what is there by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_COLLECTIONS, _OLD_COLLECTIONS)
    if _freeze_survivors not in gc.callbacks:
        gc.callbacks.append(_freeze_survivors)


def _freeze_survivors(phase: str, info: dict[str, Any]) -> None:
    """Move what survived its second collection to where none looks; what dies there by its last reference is freed."""
    if phase == "stop" and info["generation"] > 0:
        gc.freeze()
