"""No record of anything that went on is lost, however the process ends (spec 5.6)."""

import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from sidegate.audit.keys import load_public_keys, load_signer
from sidegate.audit.reader import TrailReader
from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AuditTrail, TrailSettings
from sidegate.audit.verify import verify
from sidegate.telemetry.clock import SystemClock

_WRITER = Path(__file__).with_name("writer_process.py")


def _record_and_kill(root: Path, durability: str, after: int) -> list[str]:
    """Let a process record until it has told of *after* records, kill it, and return all ids that it told."""
    with subprocess.Popen(
        [sys.executable, _WRITER, root, durability], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
        logged = process.stderr.read().splitlines()
    # The kill before this one may have torn the line that was being written; nobody was told of that one.
    assert [line for line in logged if b"spool_line_cut" not in line] == []
    assert process.returncode == -signal.SIGKILL
    # The last line may be torn: the process was killed while it was telling.
    return [line.decode().strip() for line in told if line.endswith(b"\n")]


@pytest.mark.parametrize(("durability", "after"), [("process", 1), ("process", 700), ("process", 2500), ("host", 150)])
async def test_killed_process_loses_no_record_it_told_of(durability: str, after: int, tmp_path: Path) -> None:
    """``kill -9`` in full flow, twice; the chain goes on and is intact, without a gap."""
    root = tmp_path / "audit"
    told = [*_record_and_kill(root, durability, after), *_record_and_kill(root, durability, after)]
    assert len(told) >= 2 * after

    trail = AuditTrail(TrailSettings(root, "host-w0", SpoolLimits(reserve_bytes=0)), load_signer(root), SystemClock())
    trail.open()
    await trail.close()

    spooled = [entry.members for entry in TrailReader(root).oldest_first() if entry.members["record"] == "decision"]
    assert set(told) <= {members["id"] for members in spooled}
    assert [members["seq"] for members in spooled] == list(range(1, len(spooled) + 1))
    report = verify(root, load_public_keys(root))
    assert [str(finding) for finding in report.findings] == []
    assert report.chains[0].unsigned_records == 0


def test_killed_process_leaves_a_spool_that_a_changed_byte_shows_in(tmp_path: Path) -> None:
    """Also before it is opened again."""
    root = tmp_path / "audit"
    _record_and_kill(root, "process", 200)
    keys = load_public_keys(root)
    assert verify(root, keys).is_intact
    path = min((root / "host-w0").glob("*.ndjson"))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    number = orjson.loads(data[data.rfind(b"\n", 0, middle) + 1 : data.find(b"\n", middle)])["seq"]
    data[middle] ^= 1
    path.write_bytes(data)
    findings = verify(root, keys).findings
    assert findings
    assert all(number <= finding.last_seq + 1 and finding.first_seq <= number + 1 for finding in findings)
