"""Keys made once per run, and whole policies to verify against."""

import pytest
from tests.unit.core.identity.issuer import Issuer


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Return an issuer with one key of each kind."""
    return Issuer()
