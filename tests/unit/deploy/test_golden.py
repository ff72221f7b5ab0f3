"""Every set of values renders to what was looked at and found good."""

from typing import Any

import pytest
from tests.unit.deploy.rendering import GOLDEN, Charts, golden_text, value_sets

SETS = value_sets()


@pytest.mark.parametrize(("name", "values"), SETS.items(), ids=SETS)
def test_rendered_as_before(charts: Charts, name: str, values: dict[str, Any]) -> None:
    """What a change does to the objects shows in its diff; `python -m tests.unit.deploy.rendering` writes the files."""
    assert (GOLDEN / f"{name}.txt").read_text("utf-8") == golden_text(charts, values)


def test_no_golden_file_is_left_over() -> None:
    """A golden file without its values would be read as if it held."""
    assert sorted(SETS) == sorted(path.stem for path in GOLDEN.iterdir())
