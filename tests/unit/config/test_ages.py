"""Ages are read in one way."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sidegate.config.ages import MAX_AGE, Age

AGES = TypeAdapter[Any](Age)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("15m", 900_000),
        ("60s", 60_000),
        ("1ms", 1),
        ("2h", 7_200_000),
        ("30d", MAX_AGE),
        (1500, 1500),
        (MAX_AGE, MAX_AGE),
    ],
)
def test_read(written: object, expected: int) -> None:
    """A number with its unit, or whole milliseconds."""
    assert AGES.validate_python(written) == expected


@pytest.mark.parametrize(
    "written", ["", "15", "m", "-1s", "1.5h", "15 m", "31d", "0s", 0, -1, MAX_AGE + 1, True, None, 1.5]
)
def test_refused(written: object) -> None:
    """Nothing without a unit, nothing that is none, and nothing longer than a month."""
    with pytest.raises(ValidationError, match="write it like 15m"):
        AGES.validate_python(written)
