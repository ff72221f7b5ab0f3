"""structlog without what it brings along."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("import sidegate.telemetry.log, sys; print('rich' in sys.modules)", "False", id="not-loaded"),
        pytest.param("import sidegate.telemetry.log, rich.console; print(rich.__name__)", "rich", id="loadable-after"),
        pytest.param(
            "import rich, sidegate.telemetry.log, sys; print(sys.modules['rich'] is rich)", "True", id="before"
        ),
    ],
)
def test_the_log_does_not_load_rich_and_does_not_spoil_it(code: str, expected: str) -> None:
    """A sidecar has no use for it; the command line loads it before or after."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert expected == done.stdout.strip()
