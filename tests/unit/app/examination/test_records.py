"""Looking at the audit trail."""

from pathlib import Path

import pytest
from tests.unit.app.examination.conftest import NOW, MakeSite, states

from sidegate.app.examination.check import State
from sidegate.app.examination.records import examine_audit
from sidegate.audit.keys import load_signer
from sidegate.audit.spool import Spool, SpoolLimits
from sidegate.audit.writer import TrailWriter
from sidegate.core.trail.checkpoint import CheckpointCause
from sidegate.telemetry.clock import ManualClock


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool with a signed checkpoint in it."""
    root = tmp_path / "audit"
    writer = TrailWriter(Spool(root / "a", "a", SpoolLimits()), load_signer(root), ManualClock(NOW), 1, None)
    writer.open()
    writer.write((), CheckpointCause.CLOSED)
    writer.close()
    return root


async def test_spool_that_is_not_there_yet(make_site: MakeSite) -> None:
    """Is made at the start; that records stay on this machine is worth a thought."""
    found = states(await examine_audit(make_site()))
    assert (found["audit-writable"], found["audit-room"], found["audit-whole"]) == (State.OK, State.OK, State.SKIPPED)
    assert (found["audit-shipped"], found["audit-sinks"]) == (State.WARNING, State.SKIPPED)


async def test_whole_and_tampered_with(make_site: MakeSite, spool: Path) -> None:
    """One changed byte is found."""
    assert states(await examine_audit(make_site()))["audit-whole"] is State.OK
    (segment,) = (spool / "a").glob("*.ndjson")
    segment.write_bytes(segment.read_bytes().replace(b'"sidecar":"a"', b'"sidecar":"b"', 1))
    assert states(await examine_audit(make_site()))["audit-whole"] is State.FAILED


async def test_too_little_room(make_site: MakeSite) -> None:
    """For the whole spool: one day it will be needed."""
    site = make_site(settings={"audit": {"spool": "audit", "max_bytes": 1 << 50}})
    assert states(await examine_audit(site))["audit-room"] is State.WARNING


async def test_spool_in_a_place_of_files(make_site: MakeSite, tmp_path: Path) -> None:
    """The folder cannot be made in a file system that takes no files."""
    site = make_site(settings={"audit": {"spool": "/proc/audit"}})
    assert states(await examine_audit(site))["audit-writable"] is State.FAILED
    assert tmp_path.is_dir()  # noqa: ASYNC240


async def test_memory_only(make_site: MakeSite) -> None:
    """No operation without its record: this is for measuring."""
    found = states(await examine_audit(make_site(settings={"audit": {"durability": "memory"}})))
    assert (found["audit-durable"], found["audit-writable"]) == (State.FAILED, State.SKIPPED)


async def test_file_sink(make_site: MakeSite, tmp_path: Path) -> None:
    """Its folder is made; what is above it has to be writable."""
    site = make_site(settings={"audit": {"spool": "audit", "sinks": [{"file": str(tmp_path / "copies")}]}})
    found = states(await examine_audit(site))
    assert (found["audit-shipped"], found["audit-sinks"]) == (State.OK, State.OK)
    site = make_site(settings={"audit": {"spool": "audit", "sinks": [{"file": "/proc/copies"}]}})
    assert states(await examine_audit(site))["audit-sinks"] is State.FAILED
