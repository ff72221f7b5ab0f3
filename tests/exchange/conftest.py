"""A data path without sockets for every test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from scripts.issuer import Issuer
from tests.exchange.rig import Rig
from tests.integration.sidecar import ISSUER, Sidecar

from sidegate.telemetry.metrics import IN_FLIGHT

MakeRig = Callable[..., Awaitable[Rig]]


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Return the issuer of sessions; its signatures are the cheapest to make."""
    return Issuer(ISSUER, algorithm="EdDSA")


@pytest.fixture(scope="session")
def vera(issuer: Issuer) -> bytes:
    """Return the Cookie line of a Viewer of p1."""
    return f"Cookie: __session={issuer.session('vera', 'acme')}\r\n".encode()


@pytest.fixture(scope="session")
def ana(issuer: Issuer) -> bytes:
    """Return the Cookie line of a Designer of p1."""
    return f"Cookie: __session={issuer.session('ana', 'acme')}\r\n".encode()


@pytest.fixture
async def make_rig(tmp_path: Path, issuer: Issuer) -> AsyncIterator[MakeRig]:
    """Return a maker of data paths; `settings=` and the like are those of a sidecar."""
    made: list[Rig] = []

    async def make(**options: Any) -> Rig:
        files = Sidecar(tmp_path / f"rig{len(made)}", "http://127.0.0.1:9", issuer, **options)
        rig = Rig(files)
        made.append(rig)
        await rig.start()
        return rig

    yield make
    for rig in made:
        await rig.close()
        assert rig.gateway.cells[IN_FLIGHT] == 0, "a request was never counted as over"
        assert not rig.gateway.connections


@pytest.fixture
async def rig(make_rig: MakeRig) -> Rig:
    """Return a data path with the usual settings."""
    return await make_rig()
