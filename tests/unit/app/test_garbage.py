"""The garbage collector of a process that must not pause."""

import subprocess
import sys

import pytest

_PRELUDE = """
import gc, weakref
from sidegate.app.garbage import YOUNG_COLLECTIONS, YOUNG_OBJECTS, leave_alone
class Thing: pass
leave_alone()
seen = []
def note(phase, info):
    if phase == "start":
        seen.append(sum(len(gc.get_objects(generation=age)) for age in range(info["generation"] + 1)))
"""
_MOST = """
gc.callbacks.append(note)
kept = [[] for _ in range(20 * YOUNG_OBJECTS)]
bound = (YOUNG_COLLECTIONS + 2) * (YOUNG_OBJECTS + 10)
print(len(seen) > 10 and max(seen) <= min(bound, 6000) and not gc.get_objects(generation=2))
"""
_CYCLES = """
thing = Thing(); thing.self = thing; gone = weakref.ref(thing); del thing
kept = [[] for _ in range(2 * YOUNG_OBJECTS)]
print(gone() is None)
"""
_REFERENCES = """
thing = Thing(); gone = weakref.ref(thing)
kept = [[] for _ in range(20 * YOUNG_OBJECTS)]
frozen = gc.get_freeze_count() >= YOUNG_OBJECTS
del thing
print(frozen and gone() is None)
"""
_TWICE = "leave_alone(); print(len(gc.callbacks) == 1)"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(_MOST, id="no-collection-is-large"),
        pytest.param(_CYCLES, id="young-cycles-are-collected"),
        pytest.param(_REFERENCES, id="what-is-left-alone-is-freed-by-its-last-reference"),
        pytest.param(_TWICE, id="twice"),
    ],
)
def test_collections_are_small(code: str) -> None:
    """However much a process holds, a collection walks over the youngest of it only, and nothing is kept for that."""
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "True"
