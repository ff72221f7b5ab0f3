"""Node's fetch (undici)."""

import subprocess
from pathlib import Path

_SCRIPT = Path(__file__).with_name("fetching.mjs")


def use(folder: str, token: str) -> str:
    """Ask for everything below *folder*."""
    command = ["node", str(_SCRIPT), folder, token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return f"{done.returncode} {done.stderr}\n{done.stdout}"
