"""What holds of connections in the clear holds of those under TLS: the same tests, with the client's end encrypted."""

import pytest
from tests.exchange.conftest import MakeRig, MakeSecureRig
from tests.exchange.test_access_ends import *  # noqa: F403  every one of them
from tests.exchange.test_back_pressure import *  # noqa: F403
from tests.exchange.test_connections import *  # noqa: F403


@pytest.fixture
def make_rig(make_secure_rig: MakeSecureRig) -> MakeRig:
    """Return a maker of data paths behind TLS."""
    return make_secure_rig
