"""How faults are told."""

import pytest

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import (
    ConfigError,
    Dependency,
    DependencyError,
    NamingError,
    PolicyError,
    Position,
    Problem,
    SidegateError,
    WireError,
)

PLACED = Problem(Position("config/sidegate.yaml", 12, 12), "session.idle_ms", "is 'soon'", "write whole milliseconds")
UNPLACED = Problem(None, "SIDEGATE_LISTEN", "is empty", "unset it")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        pytest.param(
            PLACED,
            "config/sidegate.yaml:12:12: `session.idle_ms` is 'soon'; write whole milliseconds",
            id="with-place",
        ),
        pytest.param(UNPLACED, "`SIDEGATE_LISTEN` is empty; unset it", id="without-place"),
    ],
)
def test_a_problem_says_where_what_and_what_next(problem: Problem, text: str) -> None:
    """One line per problem that an editor can jump to."""
    assert text == str(problem)


def test_a_problem_for_a_program_has_its_place_apart() -> None:
    """What is outside files has none."""
    assert PLACED.describe() == {
        "file": "config/sidegate.yaml",
        "line": 12,
        "column": 12,
        "key": "session.idle_ms",
        "what": "is 'soon'",
        "hint": "write whole milliseconds",
        "text": str(PLACED),
    }
    assert [UNPLACED.describe()[name] for name in ("file", "line", "column")] == [None] * 3


@pytest.mark.parametrize("family", [ConfigError, PolicyError])
def test_all_problems_are_told_at_once(family: type[ConfigError | PolicyError]) -> None:
    """Not only the first."""
    error = family((PLACED, UNPLACED))
    assert error.problems == (PLACED, UNPLACED)
    assert f"{PLACED}\n{UNPLACED}" == str(error)
    assert isinstance(error, SidegateError)


def test_a_wire_error_carries_its_answer() -> None:
    """Status, reason and a sentence without bytes of the request."""
    error = WireError(400, Reason.AMBIGUOUS_PATH, "the path can be read in two ways")
    assert (
        error.status,
        error.reason,
        error.detail,
    ) == (400, Reason.AMBIGUOUS_PATH, "the path can be read in two ways")


@pytest.mark.parametrize("retry_after_s", [None, 2.0])
def test_a_dependency_error_says_what_was_being_done(retry_after_s: float | None) -> None:
    """And when to try again, if that is known."""
    error = DependencyError(Dependency.SPOOL, "appending a record", retry_after_s)
    assert str(error) == "spool failed while appending a record"
    assert retry_after_s == error.retry_after_s
    assert (error.dependency, error.doing) == (Dependency.SPOOL, "appending a record")


def test_a_naming_error_is_a_value_error() -> None:
    """Parsers of files turn value errors into problems with a place."""
    assert issubclass(NamingError, ValueError)
