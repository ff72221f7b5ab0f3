"""The charts, rendered once for all tests of this folder."""

from pathlib import Path

import pytest
from tests.unit.deploy.rendering import Charts


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """Return both charts, loaded."""
    return Charts(tmp_path_factory.mktemp("charts"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for a chart of the test's own."""
    return tmp_path
