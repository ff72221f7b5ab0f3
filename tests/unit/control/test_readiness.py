"""The checks of `/readyz`."""

import pytest

from sidegate.control.readiness import audit_check, listener_check, newest_policy_check, policy_check, redis_check
from sidegate.core.model.errors import Position, Problem
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.distribution.holder import SnapshotHolder

PROBLEM = Problem(Position("policy/acme.yaml", 3, 1), "bindings[0]", "is no object", "write {...}")


def test_a_listener_that_takes_nothing_is_not_ready() -> None:
    """Before the start has ended and while shutting down."""
    assert listener_check(lambda: True)() is None
    assert "not taking new connections" in (listener_check(lambda: False)() or "")


@pytest.mark.parametrize(
    ("problems", "expected"),
    [
        pytest.param((), "no policy was loaded yet; see /v1/snapshot", id="not-looked-yet"),
        pytest.param((PROBLEM,), f"no policy was loaded yet: {PROBLEM}", id="one"),
        pytest.param(
            (PROBLEM,) * 5,
            f"no policy was loaded yet: {PROBLEM}; {PROBLEM}; {PROBLEM}; and 2 more, see /v1/snapshot",
            id="many",
        ),
    ],
)
def test_without_a_policy_it_says_why(problems: tuple[Problem, ...], expected: str) -> None:
    """The place of the first errors, and where the rest is."""
    holder = SnapshotHolder()
    holder.problems = problems
    assert expected == policy_check(holder)()


def test_a_newer_policy_that_cannot_be_used_does_not_make_unready() -> None:
    """The last good one stays in force."""
    holder = SnapshotHolder()
    holder.swap(Snapshot(1), UnixMillis(1))
    holder.problems = (PROBLEM,)
    assert policy_check(holder)() is None


def test_a_newer_policy_that_cannot_be_used_is_told() -> None:
    """With its place, beside readiness, until it is mended (spec 5.1)."""
    holder = SnapshotHolder()
    holder.swap(Snapshot(1), UnixMillis(1))
    check = newest_policy_check(holder)
    assert check() is None
    holder.problems = (PROBLEM,) * 5
    assert check() == f"{PROBLEM}; {PROBLEM}; {PROBLEM}; and 2 more, see /v1/snapshot"


def test_a_trail_that_cannot_be_written_is_not_ready() -> None:
    """Every request is refused meanwhile; the check says what the trail says."""
    assert audit_check(lambda: None)() is None
    assert audit_check(lambda: PROBLEM)() == str(PROBLEM)


@pytest.mark.parametrize(
    ("problems", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param([None, None], None, id="there"),
        pytest.param([None, "redis at a is away: x"], "redis at a is away: x", id="one-away"),
        pytest.param(["a is away", "a is away", "b is away"], "a is away; b is away", id="each-said-once"),
    ],
)
def test_each_redis_that_is_away_is_told(problems: list[str | None], expected: str | None) -> None:
    """Policy and sessions may be in one Redis or in two."""
    assert redis_check(lambda: problems)() == expected
