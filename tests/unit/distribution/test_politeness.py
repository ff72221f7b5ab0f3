"""A polite thread leaves everything as it found it, and what is loaded is none of the collector's business."""

import gc
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from sidegate.distribution.politeness import FREEZE_EVERY, SWITCH_INTERVAL_S, Loaded, loading, politely


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Have the collector look at everything again afterwards."""
    gc.unfreeze()
    yield
    gc.unfreeze()


def _fail(way: AbstractContextManager[None]) -> None:
    with way:
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
        assert not gc.isenabled()
        raise KeyError


@pytest.mark.parametrize(("way", "freezes"), [(politely, False), (loading, True)], ids=["politely", "loading"])
def test_put_back(way: type[AbstractContextManager[None]], *, freezes: bool) -> None:
    """Switch interval and collector are as before, also after a failure; only what is loaded is set aside."""
    before = sys.getswitchinterval()
    with pytest.raises(KeyError):
        _fail(way())
    assert sys.getswitchinterval() == pytest.approx(before)
    assert gc.isenabled()
    assert (gc.get_freeze_count() > 0) is freezes


def test_the_collector_stays_off_for_whoever_wants_that() -> None:
    """It is put back, not switched on."""
    gc.disable()
    try:
        with politely():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_loaded_piece_by_piece() -> None:
    """After so many objects they are set aside, and counted anew."""
    loaded = Loaded()
    loaded.note(FREEZE_EVERY - 1)
    assert gc.get_freeze_count() == 0
    loaded.note(1)
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    loaded.note(FREEZE_EVERY - 1)
    assert gc.get_freeze_count() == 0
