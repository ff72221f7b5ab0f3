"""What changed since the last writing is gathered, or it is known that something is missing."""

import pytest

from sidegate.core.model.units import UnixMillis
from sidegate.distribution import redis_cache_log
from sidegate.distribution.redis_cache_content import Step, StepKind
from sidegate.distribution.redis_cache_log import CacheLog

STEP = Step(StepKind.DROP_RECORDS, "acme")


def test_nothing_before_it_is_wanted() -> None:
    """A sidecar without a cache gathers nothing."""
    log = CacheLog()
    log.add(STEP)
    assert (list(log.take()), log.is_wanted, log.is_broken) == ([], False, True)


def test_gathered_in_order() -> None:
    """Until it is taken."""
    log = CacheLog()
    log.begin()
    log.add_all([STEP, STEP])
    log.doubt("acme", UnixMillis(5))
    log.doubt("acme", None)
    expected = [STEP, STEP, Step(StepKind.DOUBT, "acme", "5"), Step(StepKind.DOUBT, "acme", "")]
    assert (list(log.take()), list(log.take())) == (expected, [])


def test_broken_off() -> None:
    """Then nothing is gathered until everything is written anew."""
    log = CacheLog()
    log.begin()
    log.add(STEP)
    log.break_off()
    log.add(STEP)
    assert (list(log.take()), log.is_broken) == ([], True)
    log.begin()
    log.add(STEP)
    assert list(log.take()) == [STEP]


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too much to gather is the same as something missing."""
    monkeypatch.setattr(redis_cache_log, "MAX_STEPS", 3)
    log = CacheLog()
    log.begin()
    log.add_all([STEP] * 3)
    assert not log.is_broken
    log.add(STEP)
    assert (list(log.take()), log.is_broken) == ([], True)
