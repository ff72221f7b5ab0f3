"""A share of what `make wire` plays: generated requests hold the three invariants (spec 2)."""

import pytest
from tests.wire.generate import FailureError, minimize, run
from tests.wire.grammar import Grammar


@pytest.mark.parametrize("seed", [1, 2])
async def test_generated(seed: int) -> None:
    """Good, odd and broken requests, alone and in a row, whole and cut, with a canary beside them."""
    tally = await run(1500, seed)
    assert tally.requests >= 1500
    # The generator reaches what it is for: requests that pass, and refusals of every layer.
    reached = {"granted", "not_granted", "no_credential", "malformed_request", "ambiguous_framing", "ambiguous_path"}
    assert reached <= set(tally.outcomes)


def test_seeds_repeat() -> None:
    """The same seed makes the same cases, so that a failure can be played again."""
    one, two = Grammar(5), Grammar(5)
    assert [one.case() for _ in range(50)] == [two.case() for _ in range(50)]


async def test_minimizing() -> None:
    """What a failing case does not need for it to fail is left out."""

    async def fails(case: bytes) -> bool:
        return b"X" in case and b"Y" in case

    assert await minimize(b"aaaaXbbbbbYcc", fails) == b"XY"


def test_failure_names_the_bytes() -> None:
    """A failure can be played again from its message."""
    assert "sent: b'GET'" in str(FailureError(b"GET", ValueError("why")))
