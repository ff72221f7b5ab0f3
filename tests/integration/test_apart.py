"""A sidecar serves without what reads its files (spec 7, resident memory)."""

from pathlib import Path

from tests.integration.sidecar import ACME, ROUTE_FILE, Sidecar
from tests.integration.waiting import eventually

_READERS = ("_pydantic_core.", "/yaml/", "typer")


def _loaded(pid: int) -> set[str]:
    """Return which readers' libraries the process has in memory."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {reader for reader in _READERS if reader in maps}


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_what_reads_is_not_loaded(sidecar: Sidecar) -> None:
    """Neither at the start nor after policy changed: another process reads, and ends."""
    assert (_loaded(sidecar.pid), _children(sidecar.pid)) == (set(), [])
    assert sidecar.ask("PUT", ROUTE_FILE, who="vera").status == 403
    (sidecar.policy / "acme.yaml").write_text(ACME.replace("user:vera, role: Viewer", "user:vera, role: Designer"))
    eventually(lambda: sidecar.ask("PUT", ROUTE_FILE, who="vera").status == 200, "the new policy is in force")
    assert (_loaded(sidecar.pid), _children(sidecar.pid)) == (set(), [])


def test_what_is_wrong_with_a_change_is_said_with_its_place(sidecar: Sidecar) -> None:
    """By the sidecar, in its log, though another process found it; what was last good stays in force."""
    (sidecar.policy / "acme.yaml").write_text(ACME.replace("user:vera, role:", "user:vera, rol:"))
    eventually(lambda: _rejected(sidecar) or None, "the change is refused")
    said = [line for lines in _rejected(sidecar) for line in lines]
    assert [line for line in said if "/acme.yaml:10:" in line and "is not known; did you mean `role`?" in line] != []
    assert sidecar.ask("GET", ROUTE_FILE, who="vera").status == 200


def _rejected(sidecar: Sidecar) -> list[list[str]]:
    return [event["problems"] for event in sidecar.events() if event["event"] == "snapshot_rejected"]
