"""What the tests of the audit trail share: a folder, a clock, a key, and somebody who waits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sidegate.audit.spool import SpoolLimits
from sidegate.audit.trail import AuditTrail, TrailSettings
from sidegate.audit.verify import verify
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.checkpoint import CheckpointSigner, key_id_of
from sidegate.core.trail.durability import Durability
from sidegate.core.trail.record import OpenRecord
from sidegate.telemetry.clock import ManualClock

Told = list[tuple[str, int]]


class Recorder:
    """Notes what a waiter is told, in a list that several of them share."""

    def __init__(self, told: Told, number: int) -> None:
        self._told = told
        self._number = number

    def recorded(self) -> None:
        """The record is kept."""
        self._told.append(("recorded", self._number))

    def unrecorded(self) -> None:
        """The record is not kept."""
        self._told.append(("unrecorded", self._number))


@pytest.fixture
def told() -> Told:
    """What waiters were told, in order."""
    return []


@pytest.fixture
def waiter(told: Told) -> Callable[[int], Recorder]:
    """Make the waiter of a number."""
    return lambda number: Recorder(told, number)


@pytest.fixture
def make_record() -> Callable[..., OpenRecord]:
    """Make a record that holds a number, and *size* bytes more."""

    def make(number: int, size: int = 0) -> OpenRecord:
        return OpenRecord(b'{"v":1,"record":"decision","id":"%d","pad":"%b"' % (number, b"x" * size))

    return make


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands."""
    return ManualClock(UnixMillis(1_764_547_200_000))


@pytest.fixture
def key() -> Ed25519PrivateKey:
    """A signing key, the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def signer(key: Ed25519PrivateKey) -> CheckpointSigner:
    """What signs with it."""
    return CheckpointSigner(key)


@pytest.fixture
def keys(key: Ed25519PrivateKey) -> dict[str, Ed25519PublicKey]:
    """The public key by its id."""
    return {key_id_of(key.public_key()): key.public_key()}


@pytest.fixture
def make_trail(tmp_path: Path, signer: CheckpointSigner, clock: ManualClock) -> Callable[..., AuditTrail]:
    """Build a trail whose spool is in ``tmp_path/audit``."""

    def make(
        limits: SpoolLimits | None = None,
        *,
        sidecar: str = "host-w0",
        every: int = 1000,
        copy: Path | None = None,
        durability: Durability = Durability.PROCESS,
    ) -> AuditTrail:
        settings = TrailSettings(
            tmp_path / "audit",
            sidecar,
            limits or SpoolLimits(reserve_bytes=0, durability=durability),
            checkpoint_records=every,
            checkpoint_copy=copy,
        )
        return AuditTrail(settings, signer, clock)

    return make


@pytest.fixture
def findings(tmp_path: Path, keys: dict[str, Ed25519PublicKey]) -> Callable[[], list[str]]:
    """Verify the spool: what is wrong, without places."""

    def read() -> list[str]:
        return [f"{finding.kind}: {finding.text}" for finding in verify(tmp_path / "audit", keys).findings]

    return read
