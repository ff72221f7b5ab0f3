"""A data path in memory with a strict upstream, and cookies, for every test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from scripts.issuer import Issuer
from tests.exchange.rig import Rig
from tests.integration.sidecar import ISSUER, Sidecar
from tests.wire.bench import Bench

from sidegate.telemetry.metrics import IN_FLIGHT

MakeBench = Callable[..., Awaitable[Bench]]


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Return the issuer of sessions; its signatures are the cheapest to make."""
    return Issuer(ISSUER, algorithm="EdDSA")


@pytest.fixture(scope="session")
def vera(issuer: Issuer) -> bytes:
    """Return the session token of a Viewer of p1."""
    return issuer.session("vera", "acme").encode()


@pytest.fixture(scope="session")
def ana(issuer: Issuer) -> bytes:
    """Return the session token of a Designer of p1."""
    return issuer.session("ana", "acme").encode()


@pytest.fixture
async def make_rig(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    """Return a maker of data paths whose upstream is the test; `settings=` and the like are those of a sidecar."""
    made: list[Rig] = []

    async def make(**options: Any) -> Rig:
        rig = Rig(Sidecar(tmp_path / f"rig{len(made)}", "http://127.0.0.1:9", issuer, **options))
        made.append(rig)
        await rig.start()
        return rig

    yield make
    for rig in made:
        await rig.close()
        assert rig.gateway.cells[IN_FLIGHT] == 0, "a request was never counted as over"
        assert not rig.gateway.connections


@pytest.fixture
async def rig(make_rig: Callable[..., Awaitable[Rig]]) -> Rig:
    """Return a data path whose upstream is the test."""
    return await make_rig()


@pytest.fixture
async def make_bench(make_rig: Callable[..., Awaitable[Rig]]) -> MakeBench:
    """Return a maker of data paths whose upstream reads strictly and answers everything."""

    async def make(**options: Any) -> Bench:
        return Bench(await make_rig(**options))

    return make


@pytest.fixture
async def bench(make_bench: MakeBench) -> Bench:
    """Return a data path whose upstream reads strictly and answers everything."""
    return await make_bench()
