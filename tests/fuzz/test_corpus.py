"""Every known-bad input, and mutations of all seeds: read, or refused with the one documented exception."""

from itertools import islice
from pathlib import Path

import pytest
from tests.fuzz.corpus import TARGET_NAMES, files_of, seeds_of
from tests.fuzz.mutating import mutate
from tests.fuzz.targets import TARGETS

MUTATIONS = 300


@pytest.mark.parametrize(
    ("name", "path"),
    [pytest.param(name, path, id=f"{name}-{path.name}") for name in TARGET_NAMES for path in files_of(name)],
)
def test_file(name: str, path: Path) -> None:
    """A file of the corpus is read, or refused as documented."""
    TARGETS[name].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGET_NAMES)
def test_mutations(name: str) -> None:
    """So are mutations of it; `make fuzz` makes many more."""
    for data in islice(mutate(seeds_of(name), 1), MUTATIONS):
        TARGETS[name].run(data)


def test_targets_and_names() -> None:
    """Every target has its seeds and is run."""
    assert tuple(TARGETS) == TARGET_NAMES
    assert [name for name in TARGET_NAMES if not files_of(name)] == []
