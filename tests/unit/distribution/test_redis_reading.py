"""One read asks for so much and no more, and what is large is opened beside the loop."""

import threading

import pytest
from tests.unit.distribution.organizations import answer, header_record

from sidegate.core.model.errors import IntegrityError
from sidegate.distribution.redis_memory import BIG_BYTES
from sidegate.distribution.redis_organization import Organization
from sidegate.distribution.redis_reading import BATCH, open_raw, take_some


def test_so_many_at_a_time() -> None:
    """In the order in which they were wanted; the rest stays."""
    wanted = dict.fromkeys(map(str, range(BATCH + 2)))
    assert take_some(wanted) == tuple(map(str, range(BATCH)))
    assert list(wanted) == [str(BATCH), str(BATCH + 1)]
    assert (take_some(wanted), take_some(wanted)) == ((str(BATCH), str(BATCH + 1)), ())


async def test_small_and_large_are_opened_alike() -> None:
    """In place, or in a thread: the same comes of it, refusals too."""
    small = answer(5, "user:u0", header=5)
    large = answer(5, "user:u0", header=5, subjects={"user:big": b"x" * BIG_BYTES})
    known = Organization("acme")
    assert (small.is_big, large.is_big) == (False, True)
    one, other = await open_raw(known, small, None), await open_raw(known, large, None)
    assert set(one.subjects) == set(other.subjects) == {"user:u0"}
    assert (set(one.refused), set(other.refused)) == (set(), {"user:big"})
    assert threading.active_count() >= 1
    wrong = answer(4, header=5, subjects={"user:big": b"x" * BIG_BYTES})
    with pytest.raises(IntegrityError, match="later than 4"):
        await open_raw(known, wrong, None)
    assert header_record(5).startswith(b"sidegate-record 2 header 5 ")
