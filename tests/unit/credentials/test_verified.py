"""A verified session is good until the first of its ends, and its activity is recorded in time for its idle limit."""

import pytest

from sidegate.core.identity.jwk import NO_KEYS
from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.principal import CredentialKind, VerifiedCredential
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.verified import Verified

T = UnixMillis(1_800_000_000_000)


@pytest.mark.parametrize(
    ("until", "absolute", "expected"),
    [
        pytest.param(T + 500, 1000, T + 500, id="token-ends-first"),
        pytest.param(T + 5000, 1000, T + 1000, id="session-ends-first"),
        pytest.param(T + 1000, 1000, T + 1000, id="both-at-once"),
    ],
)
def test_limits(until: int, absolute: int, expected: int) -> None:
    """The absolute limit counts from the start of the session; activity is due after a tenth of the idle limit."""
    credential = VerifiedCredential(CredentialKind.SESSION, "s1", "user:ana", "acme", issued_at=T)
    found = Verified(credential, UnixMillis(until), 1, Snapshot(1, []), NO_KEYS, T)
    found.limit(SessionLimits(idle=Millis(300), absolute=Millis(absolute)))
    assert (found.until, found.idle, found.due) == (expected, 300, 30)
