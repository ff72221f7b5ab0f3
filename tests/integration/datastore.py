"""The example DataStore in a process of its own."""

import subprocess
import sys
from pathlib import Path

from tests.integration.waiting import DEADLINE_S

ROOT = Path(__file__).resolve().parents[2]


class DataStore:
    """A seeded DataStore on a free port.

    Args:
        root: Where its files lie.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        arguments = ["-m", "examples.datastore", "--listen", "127.0.0.1:0", "--root", str(root), "--seed"]
        self._process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        assert line.startswith("datastore listening on "), line
        self.url = line.split()[-1]

    def file(self, branch: str, path: str, project: str = "p1") -> Path:
        """Return where a file of organization acme lies on the disk."""
        return self.root / "acme" / project / "branches" / branch / "files" / path

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(DEADLINE_S)
        finally:
            self._process.kill()
            assert self._process.stderr is not None
            self._process.stderr.close()
