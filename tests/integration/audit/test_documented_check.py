"""The program in docs/audit.md checks a real spool without Sidegate, and finds what was done to it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ROUTE_FILE

PAGE = Path(__file__).resolve().parents[3] / "docs" / "audit.md"

Lines = list[bytes]


def _program() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def _check(folder: Path, key: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", _program(), str(folder), str(key)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _changed(lines: Lines) -> Lines:
    return [*lines[:2], lines[2].replace(b'"method":"GET"', b'"method":"PUT"'), *lines[3:]]


@pytest.fixture
def spool(make_sidecar: MakeSidecar) -> Path:
    """The folder of a sidecar that served five requests and ended."""
    sidecar = make_sidecar(settings={"audit": {"checkpoint": {"records": 2}}}).start()
    for _ in range(5):
        sidecar.ask("GET", ROUTE_FILE)
    assert sidecar.stop() == 0
    (folder,) = (path for path in sidecar.spool.iterdir() if path.is_dir())
    return folder


def test_whole(spool: Path) -> None:
    """An untouched spool is whole, and signed to its end."""
    done = _check(spool, spool.parent / "checkpoint.pub")
    assert (done.stdout, done.returncode) == (f"{spool.name}: whole up to record 5, signed up to 5\n", 0), done.stderr


@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(_changed, id="changed"),
        pytest.param(lambda lines: [*lines[:2], *lines[3:]], id="removed"),
        pytest.param(lambda lines: [*lines[:3], *lines[2:]], id="inserted"),
        pytest.param(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], id="reordered"),
        pytest.param(lambda lines: [line for line in lines if b'"interval"' not in line], id="checkpoint-removed"),
    ],
)
def test_tampered(spool: Path, tamper: Callable[[Lines], Lines]) -> None:
    """Whatever is done to a line is found."""
    (segment,) = spool.glob("*.ndjson")
    lines = segment.read_bytes().splitlines(keepends=True)
    tampered = tamper(lines)
    assert tampered != lines
    segment.write_bytes(b"".join(tampered))
    assert _check(spool, spool.parent / "checkpoint.pub").returncode != 0
