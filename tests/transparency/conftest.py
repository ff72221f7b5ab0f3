"""A sidecar in front of a stage, for all exchanges of a module."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from scripts.issuer import Issuer
from tests.integration.sidecar import ISSUER, Sidecar
from tests.transparency.exchange import Exchange
from tests.transparency.exchanges import ROUTES
from tests.transparency.stage import Seen, Stage


@dataclass(frozen=True)
class Theatre:
    """Plays exchanges with Sidegate and without.

    Attributes:
        sidecar: Running, in front of the stage.
        cookie: The line with a session that it accepts, with CRLF.
    """

    runner: asyncio.Runner
    stage: Stage
    sidecar: Sidecar
    cookie: bytes

    def play(self, exchange: Exchange) -> tuple[Seen, Seen]:
        """Return what both ends saw without Sidegate, and what they saw with it."""
        direct = self.runner.run(self.stage.play(exchange, self.stage.port, self.cookie, is_direct=True))
        return direct, self.runner.run(self.stage.play(exchange, self.sidecar.port, self.cookie, is_direct=False))


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """Return a theatre; nothing in its sidecar's log may be an error when all is over."""
    folder: Path = tmp_path_factory.mktemp("transparency")
    issuer = Issuer(ISSUER, algorithm="EdDSA")
    with asyncio.Runner() as runner:
        stage = runner.run(Stage().start())
        sidecar = Sidecar(folder / "sidecar", f"http://127.0.0.1:{stage.port}", issuer, routes=ROUTES)
        try:
            sidecar.start()
            yield Theatre(runner, stage, sidecar, f"Cookie: __session={issuer.session('ana', 'acme')}\r\n".encode())
            assert sidecar.stop() == 0
            assert [event for event in sidecar.events() if event.get("level") in {"error", "critical"}] == []
            assert "Traceback" not in sidecar.log.read_text()
        finally:
            sidecar.close()
            runner.run(stage.close())
