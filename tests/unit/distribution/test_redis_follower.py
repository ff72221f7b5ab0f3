"""Ids of a stream are ordered by time, then by number, and not as text."""

import pytest

from sidegate.distribution.redis_follower import order_of


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param(b"0-0", b"0-1", id="start"),
        pytest.param(b"9-0", b"10-0", id="longer-time"),
        pytest.param(b"5-9", b"5-10", id="longer-number"),
        pytest.param(b"5-10", b"6-0", id="time-before-number"),
        pytest.param(b"5", b"5-1", id="without-number"),
    ],
)
def test_order(earlier: bytes, later: bytes) -> None:
    """Each is before the next."""
    assert order_of(earlier) < order_of(later)
    assert order_of(later) == order_of(bytes(later))
