"""What the tests of the trail share: signed chains, made by the module under test from records of a fixed form."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.chain import Linker, genesis
from sidegate.core.trail.checkpoint import Checkpoint, CheckpointCause, CheckpointSigner
from sidegate.core.trail.record import OpenRecord

ChainMaker = Callable[..., list[bytes]]


@pytest.fixture
def key() -> Ed25519PrivateKey:
    """A signing key, the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def signer(key: Ed25519PrivateKey) -> CheckpointSigner:
    """What signs with it."""
    return CheckpointSigner(key)


@pytest.fixture
def make_chain(signer: CheckpointSigner) -> ChainMaker:
    """Build the lines of a chain: an opening checkpoint, then per entry so many records and a checkpoint."""

    def make(*runs: int, sidecar: str = "host-w0", base: int = 1, every: int = 100, close: bool = True) -> list[bytes]:
        linker, head, lines = Linker(sidecar), genesis(sidecar), []

        def sign(cause: CheckpointCause) -> None:
            nonlocal head
            signed = signer.sign(
                Checkpoint(UnixMillis(1_700_000_000_000), sidecar, head.seq, head.hash, base, every, 0, cause)
            )
            lines.append(signed.line)
            head = signed.head_after

        sign(CheckpointCause.OPENED)
        for place, run in enumerate(runs):
            records = [OpenRecord(b'{"v":1,"record":"decision","n":%d' % (head.seq + n)) for n in range(1, run + 1)]
            linked, head = linker.link(records, head)
            lines += linked
            if close or place < len(runs) - 1:
                sign(CheckpointCause.INTERVAL)
        return lines

    return make
