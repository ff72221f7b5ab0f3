"""Attacks on the wire within TLS: of each class some, each as one record and one byte to a record (spec 2)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripts.issuer import Issuer
from tests.exchange.rig import bytewise
from tests.exchange.secure import SecureRig
from tests.integration.authority import Authority
from tests.wire.attacks import ATTACKS
from tests.wire.bench import Bench
from tests.wire.kinds import Kind
from tests.wire.test_attacks import ask_canary, hold_to

from sidegate.telemetry.metrics import IN_FLIGHT

EVERY = 2
"""One in so many of each class is played; all of them are in the clear."""
BYTEWISE = 800


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the certificates of both ends."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def bench(tmp_path: Path, issuer: Issuer, authority: Authority) -> AsyncIterator[Bench]:
    """Return a data path behind TLS whose upstream reads strictly and answers everything."""
    rig = SecureRig(tmp_path / "rig", issuer, authority)
    await rig.start()
    yield Bench(rig)
    await rig.close()
    assert rig.gateway.cells[IN_FLIGHT] == 0, "a request was never counted as over"
    assert not rig.gateway.connections


@pytest.mark.parametrize("kind", [kind for kind in Kind if any(attack.kind is kind for attack in ATTACKS)])
async def test_attacks(bench: Bench, vera: bytes, ana: bytes, kind: Kind) -> None:
    """Verdicts, and what is forwarded, are what they are in the clear; a canary is answered for what it asks."""
    of_kind = [attack for attack in ATTACKS if attack.kind is kind]
    for number, attack in enumerate(of_kind[::EVERY]):
        data = attack.bytes_for(vera, ana)
        await hold_to(bench, attack, data, ())
        if len(data) < BYTEWISE:
            await hold_to(bench, attack, data, bytewise(data))
        await ask_canary(bench, ana, number)
