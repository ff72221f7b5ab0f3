"""An arena of streams for every test."""

from collections.abc import Iterator

import pytest
from tests.integration.streams.arena import Arena


@pytest.fixture
def arena() -> Iterator[Arena]:
    """Return an arena without streams."""
    arena = Arena()
    yield arena
    arena.close()
