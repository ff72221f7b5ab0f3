"""Keys made once per run: an RSA key takes a tenth of a second."""

import pytest
from tests.unit.core.identity.issuer import Issuer


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Return an issuer with one key of each kind."""
    return Issuer()
