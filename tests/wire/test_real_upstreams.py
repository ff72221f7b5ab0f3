"""Whatever a real server reads of what Sidegate forwards is what was decided (spec 2, W-A and W-B)."""

from pathlib import Path

import pytest
from scripts.issuer import Issuer
from tests.integration.sidecar import Sidecar
from tests.wire.attack import ALLOW
from tests.wire.attacks import ATTACKS
from tests.wire.real.comparing import Sent, compare, play
from tests.wire.real.journal import read_journal
from tests.wire.real.naive import NaiveGateway
from tests.wire.real.servers import FROM_PIP, serving

# What is refused reaches no upstream; `make wire` sends that as well.
PASSING = [attack for attack in ATTACKS if ALLOW in attack.verdicts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for the server."""
    (tmp_path / "server").mkdir()
    return tmp_path / "server"


@pytest.mark.parametrize("name", FROM_PIP)
def test_server_reads_what_was_decided(name: str, folder: Path, issuer: Issuer, vera: bytes, ana: bytes) -> None:
    """Method, path, query, identity and body, once per decision, of every attack that is let through."""
    sent = Sent()
    with serving(name, folder) as upstream:
        sidecar = Sidecar(folder.parent / "sidecar", f"http://127.0.0.1:{upstream}", issuer)
        try:
            sidecar.start()
            for attack in PASSING:
                play(sidecar.port, attack, attack.bytes_for(vera, ana), sent)
            entries = read_journal(folder / "journal")
            assert compare(sidecar.decisions(), entries, sent.requests) == []
            assert len(entries) >= len(PASSING) // 2
            assert [event for event in sidecar.events() if event.get("level") in {"error", "critical"}] == []
        finally:
            sidecar.close()


def test_comparison_sees_a_naive_gateway(folder: Path, vera: bytes, ana: bytes) -> None:
    """The negative control: what a gateway that passes bytes on lets through is seen."""
    seen = set()
    with serving("aiohttp", folder) as upstream:
        for attack in PASSING[::7]:
            gateway = NaiveGateway(upstream)
            sent = Sent()
            (folder / "journal").unlink(missing_ok=True)
            play(gateway.port, attack, attack.bytes_for(vera, ana), sent)
            gateway.close()
            if compare(gateway.records, read_journal(folder / "journal"), sent.requests):
                seen.add(attack.kind)
    assert len(seen) >= 5
