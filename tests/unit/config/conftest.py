"""Shared by the tests of configuration files."""

from pathlib import Path

import pytest
from tests.unit.config.files import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with routes, policy and keys, in which a configuration file can be written."""
    return Folder(tmp_path)
