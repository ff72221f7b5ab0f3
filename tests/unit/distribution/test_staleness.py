"""How old a policy may be follows from what is asked."""

import pytest

from sidegate.core.model.authority import Authority
from sidegate.core.model.units import Millis
from sidegate.distribution.staleness import Staleness

LIMITS = Staleness(Millis(900), {Authority.APPROVE: Millis(60), Authority.READ: Millis(5000)})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([Authority.WRITE], 900),
        ([Authority.APPROVE], 60),
        ([Authority.READ], 5000),
        ([Authority.READ, Authority.APPROVE], 60),
        ([Authority.READ, Authority.WRITE], 900),
    ],
)
def test_limit(asked: list[Authority], expected: int) -> None:
    """Of several authorities the tightest limit holds."""
    assert LIMITS.limit_of(asked) == expected


def test_ends() -> None:
    """The first limit that is reached, and the last."""
    assert (LIMITS.shortest, LIMITS.longest) == (60, 5000)
    assert (Staleness(Millis(9), {}).shortest, Staleness(Millis(9), {}).longest) == (9, 9)
