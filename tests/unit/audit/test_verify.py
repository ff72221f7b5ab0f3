"""Tests of checking folders. What is found in one chain is tested with the chain itself."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sidegate.audit.layout import FolderLock, segment_path
from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AuditTrail
from sidegate.audit.verify import FindingKind, verify
from sidegate.core.model.errors import ConfigError

Keys = dict[str, Ed25519PublicKey]


@pytest.fixture
async def root(tmp_path: Path, make_trail: Callable[..., AuditTrail], make_record: Any) -> Path:
    """A spool that two sidecars wrote, with several segments and checkpoints."""
    for sidecar in ("host-w0", "host-w1"):
        trail = make_trail(
            SpoolLimits(segment_bytes=2000, reserve_bytes=0), sidecar=sidecar, every=3, copy=tmp_path / "copy"
        )
        trail.open()
        for batch in range(4):
            for number in range(3):
                trail.submit(make_record(batch * 3 + number, 100))
            await _turn()
        await trail.close()
    return tmp_path / "audit"


async def _turn() -> None:
    for _ in range(2):
        await asyncio.sleep(0)


def test_untouched_spool_is_intact(root: Path, keys: Keys) -> None:
    """Each sidecar by itself; with the public key alone."""
    report = verify(root, keys)
    assert report.is_intact
    assert report.is_signature_checked
    assert [(chain.sidecar, chain.records, chain.signed_seq) for chain in report.chains] == [
        ("host-w0", 12, 12),
        ("host-w1", 12, 12),
    ]
    assert len(list((root / "host-w0").glob("*.ndjson"))) > 2


def test_without_a_key_it_says_so(root: Path) -> None:
    """The chain is checked, but whoever can write it can compute it anew."""
    report = verify(root, None)
    assert report.is_intact
    assert not report.is_signature_checked


def test_one_sidecar_can_be_checked(root: Path, keys: Keys) -> None:
    """By its own folder."""
    assert [chain.sidecar for chain in verify(root / "host-w1", keys).chains] == ["host-w1"]


def test_every_byte_of_a_spool_counts(root: Path, keys: Keys) -> None:
    """Each byte of a segment in the middle; the finding names the file."""
    path = segment_path(root / "host-w0", 2)
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        findings = verify(root / "host-w0", keys).findings
        assert findings, place
        assert any(finding.place is not None for finding in findings), place
    path.write_bytes(data)
    assert verify(root, keys).is_intact


@pytest.mark.parametrize("number", [1, 2])
def test_removed_segment_is_found(number: int, root: Path, keys: Keys) -> None:
    """From the front, as nobody signed its release, and from the middle."""
    segment_path(root / "host-w0", number).unlink()
    assert {finding.kind for finding in verify(root, keys).findings} == {FindingKind.REMOVED}


def test_last_segment_that_is_gone_shows_in_the_second_place(root: Path, keys: Keys, tmp_path: Path) -> None:
    """The spool alone cannot show it."""
    max((root / "host-w0").glob("*.ndjson")).unlink()
    assert verify(root, keys).is_intact
    assert {finding.kind for finding in verify(root, keys, tmp_path / "copy").findings} == {FindingKind.REMOVED}


def test_sidecar_that_is_gone_shows_in_the_second_place(root: Path, keys: Keys, tmp_path: Path) -> None:
    """A whole chain."""
    for path in (root / "host-w0").iterdir():
        path.unlink()
    report = verify(root, keys, tmp_path / "copy")
    assert [(chain.sidecar, bool(chain.findings)) for chain in report.chains] == [("host-w1", False), ("host-w0", True)]


def test_untouched_spool_agrees_with_the_second_place(root: Path, keys: Keys, tmp_path: Path) -> None:
    """Every checkpoint is in both."""
    assert verify(root, keys, tmp_path / "copy").is_intact


def test_exchanged_segments_are_found(root: Path, keys: Keys) -> None:
    """Between places of one sidecar, and between two sidecars."""
    first, second = segment_path(root / "host-w0", 1), segment_path(root / "host-w0", 2)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert FindingKind.REORDERED in {finding.kind for finding in verify(root, keys).findings}
    first.write_bytes(one)
    second.write_bytes(segment_path(root / "host-w1", 2).read_bytes())
    kinds = {finding.kind for finding in verify(root, keys).findings}
    assert {FindingKind.INSERTED, FindingKind.REMOVED} <= kinds


def test_torn_line_counts_only_when_nobody_writes(root: Path, keys: Keys) -> None:
    """Beside a running sidecar the last line may be on its way; in any other file it never is."""
    last = max((root / "host-w0").glob("*.ndjson"))
    with last.open("ab") as file:
        file.write(b'{"v":1,"rec')
    lock = FolderLock(root / "host-w0")
    lock.take()
    assert verify(root, keys).is_intact
    lock.release()
    assert [finding.kind for finding in verify(root, keys).findings] == [FindingKind.TORN]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None], ids=["empty-folder", "file", "nothing"])
def test_nothing_to_check_is_not_intact(make: Callable[[Path], object], tmp_path: Path, keys: Keys) -> None:
    """A wrong folder must not look like success."""
    make(tmp_path / "x")
    with pytest.raises(ConfigError, match="holds no segments"):
        verify(tmp_path / "x", keys)
