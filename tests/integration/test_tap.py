"""`sidegate tap` on a running sidecar."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import FILES, ROUTE_FILE, Sidecar


def _tap(sidecar: Sidecar, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sidegate", "tap", "--address", f"127.0.0.1:{sidecar.admin}", *arguments]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("SIDEGATE")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _lines_of_segments(sidecar: Sidecar) -> set[str]:
    return {line for path in Path(sidecar.spool).rglob("*.ndjson") for line in path.read_text().splitlines()}


def test_decisions_of_all_workers_are_watched(make_sidecar: MakeSidecar) -> None:
    """What is asked for comes as it is in the trail, whichever worker decided it; then the command ends by itself."""
    sidecar = make_sidecar(settings={"workers": 2}).start(workers=2)
    watching = _tap(sidecar, "--outcome", "deny", "--actor", "user:vera", "-n", "4", "-o", "json")
    # Whoever watches sees what comes from then on, so requests are made until enough of them were seen.
    while watching.poll() is None:
        assert sidecar.ask("PUT", f"{FILES}/a", who="vera", body=b"x").status == 403
        assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200
    shown, complained = watching.communicate()
    assert (watching.returncode, complained) == (0, "")
    records = [json.loads(line) for line in shown.splitlines()]
    assert [(record["outcome"], record["actor"]["account"]) for record in records] == [("deny", "user:vera")] * 4
    assert set(shown.splitlines()) <= _lines_of_segments(sidecar)


def test_end_of_the_sidecar_ends_the_tap(sidecar: Sidecar) -> None:
    """And the exit code says that it was not asked for."""
    watching = _tap(sidecar)
    assert watching.stdout is not None
    while not _has_output(watching):
        sidecar.ask("GET", ROUTE_FILE, who="vera")
    sidecar.stop()
    _, complained = watching.communicate()
    assert (watching.returncode, complained) == (69, "sidegate: the sidecar ended the stream\n")


def _has_output(watching: "subprocess.Popen[str]") -> bool:
    assert watching.stdout is not None
    return bool(select.select([watching.stdout], [], [], 0.05)[0])
