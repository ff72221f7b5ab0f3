"""A data path without sockets for every test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from scripts.issuer import Issuer
from tests.exchange.rig import Rig
from tests.exchange.secure import SecureRig
from tests.integration.authority import Authority
from tests.integration.sidecar import ISSUER, Sidecar

from sidegate.telemetry.metrics import IN_FLIGHT

MakeRig = Callable[..., Awaitable[Rig]]
MakeSecureRig = Callable[..., Awaitable[SecureRig]]


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


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the certificates of both ends."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def make_secure_rig(tmp_path: Path, issuer: Issuer, authority: Authority) -> AsyncIterator[MakeSecureRig]:
    """Return a maker of data paths behind TLS; `tls=` and `listen=` are laid over those settings."""
    made: list[SecureRig] = []

    async def make(**options: Any) -> SecureRig:
        rig = SecureRig(tmp_path / f"secure{len(made)}", issuer, authority, **options)
        made.append(rig)
        await rig.start()
        return rig

    yield make
    for rig in made:
        await rig.close()
        assert rig.gateway.cells[IN_FLIGHT] == 0, "a request was never counted as over"
        assert not rig.gateway.connections


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
