"""Tests of what the trail asks of the parts around it."""

from sidegate.audit.memory import MemorySpool
from sidegate.audit.ports import NOBODY, Store
from sidegate.audit.spool import Spool


def test_nobody_hears_either_answer() -> None:
    """A record after the fact: both answers end there."""
    NOBODY.recorded()
    NOBODY.unrecorded()


def test_both_spools_are_stores() -> None:
    """Every name that a writer asks for is there."""
    asked = {name for name in vars(Store) if not name.startswith("_")}
    for store in (Spool, MemorySpool):
        assert asked <= set(dir(store)), store
