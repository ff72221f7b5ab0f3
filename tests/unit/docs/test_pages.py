"""Reference pages are what the code says, and links lead somewhere."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "docs.py"


@pytest.fixture(name="docs")
def _docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_pages_are_current(docs: ModuleType) -> None:
    """Each page that is written from the code equals what the code would write now; `make docs` writes them."""
    assert docs.outdated_pages() == []


def test_links_lead_somewhere(docs: ModuleType) -> None:
    """Every relative link of every page names a file that is there."""
    assert docs.broken_links() == []
