"""Waiting for something that another process does: asked again and again until a deadline, never a fixed pause."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 20.0
RECOVERY_S = float(os.environ.get("RECOVERY_S", DEADLINE_S))
"""Two seconds are promised. They are held where the machine has nothing else to do: `make test-slow` says so."""
_BETWEEN_S = 0.01


def eventually(look: Callable[[], T | None], what: str, within_s: float = DEADLINE_S) -> T:
    """Return the first answer of *look* that is neither None nor False.

    Raises:
        AssertionError: There was none in time; names *what* was waited for.
    """
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(_BETWEEN_S)
