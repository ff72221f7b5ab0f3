"""pydantic without plugins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_METADATA = "Metadata-Version: 2.1\nName: plugged\nVersion: 1\n"
_ENTRY_POINTS = "[pydantic]\nplugged = plugged:plugin\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("from pydantic import BaseModel\nclass M(BaseModel): a: int", "plugged", id="it-would-be-loaded"),
        pytest.param("import sidegate.config.settings_model", "", id="settings"),
        pytest.param("import sidegate.app.serve", "", id="sidecar"),
    ],
)
def test_no_plugin_sees_the_settings(tmp_path: Path, code: str, expected: str) -> None:
    """A package that is installed beside Sidegate has no say in how its files are read."""
    info = tmp_path / "plugged-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    (tmp_path / "plugged.py").write_text(
        "print('plugged')\nclass plugin:\n    new_schema_validator = staticmethod(lambda *a: (None, None, None))\n"
    )
    path = f"import sys; sys.path.append({str(tmp_path)!r})"
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYDANTIC_")}
    done = subprocess.run(
        [sys.executable, "-c", f"{path}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment,
    )
    assert expected == done.stdout.strip()
