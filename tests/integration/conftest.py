"""A sidecar, an upstream and an issuer for every test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.issuer import Issuer
from tests.integration.sidecar import ISSUER, Sidecar
from tests.integration.upstream import LoggingUpstream

MakeSidecar = Callable[..., Sidecar]


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Return the issuer of sessions."""
    return Issuer(ISSUER)


@pytest.fixture
def upstream() -> Iterator[LoggingUpstream]:
    """Return an upstream that answers 200 unless told otherwise."""
    upstream = LoggingUpstream()
    yield upstream
    upstream.close()
    assert upstream.failures == []


@pytest.fixture
def make_sidecar(tmp_path: Path, issuer: Issuer, upstream: LoggingUpstream) -> Iterator[MakeSidecar]:
    """Return a maker of sidecars that are not started yet; `upstream=` names another one.

    Whatever a test does to them, no exception may end unhandled in their logs.
    """
    made: list[Sidecar] = []

    def make(**options: Any) -> Sidecar:
        url = options.pop("upstream", upstream.url)
        sidecar = Sidecar(tmp_path / f"sidecar{len(made)}", url, issuer, **options)
        made.append(sidecar)
        return sidecar

    yield make
    for sidecar in made:
        sidecar.close()
    logs = [sidecar.log.read_text() for sidecar in made if sidecar.log.exists()]
    assert [log for log in logs if "Traceback (most recent call last)" in log] == []


@pytest.fixture
def sidecar(make_sidecar: MakeSidecar) -> Sidecar:
    """Return a sidecar that is ready, in front of the logging upstream."""
    return make_sidecar().start()
