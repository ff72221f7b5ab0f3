"""A polite thread leaves everything as it found it."""

import gc
import sys

import pytest

from sidegate.distribution.politeness import SWITCH_INTERVAL_S, politely


def _fail_politely() -> None:
    with politely():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
        assert not gc.isenabled()
        raise KeyError


def test_put_back() -> None:
    """Switch interval and collector are as before, also after a failure."""
    before = sys.getswitchinterval()
    with pytest.raises(KeyError):
        _fail_politely()
    assert sys.getswitchinterval() == pytest.approx(before)
    assert gc.isenabled()
