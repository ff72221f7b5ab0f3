"""The limits that a session has in the end (spec 3.1)."""

import pytest

from sidegate.core.identity.session import SessionLimits
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.document import SessionLimits as Tightening
from sidegate.core.policy.snapshot import Snapshot
from sidegate.credentials.limits import effective_limits
from sidegate.credentials.table import SessionRecord

SURFACES = {"web": SessionLimits(Millis(1000), Millis(5000))}


def _record(limits: SessionLimits | None) -> SessionRecord:
    return SessionRecord("s", "user:a", "acme", "web", UnixMillis(0), UnixMillis(0), limits)


@pytest.mark.parametrize(
    ("tightened", "own", "expected"),
    [
        pytest.param(None, None, (1000, 5000), id="configured"),
        pytest.param(Tightening(Millis(500), None), None, (500, 5000), id="organization-tightens"),
        pytest.param(Tightening(Millis(2000), Millis(9000)), None, (1000, 5000), id="organization-cannot-loosen"),
        pytest.param(None, SessionLimits(Millis(2000), Millis(3000)), (1000, 3000), id="own-tighten"),
        pytest.param(
            Tightening(Millis(500), None), SessionLimits(Millis(400), Millis(9000)), (400, 5000), id="strictest-of-all"
        ),
    ],
)
def test_strictest_holds(tightened: Tightening | None, own: SessionLimits | None, expected: tuple[int, int]) -> None:
    """Organization and session tighten what is configured, and never loosen it."""
    document = PolicyDocument("acme", sessions={} if tightened is None else {"web": tightened})
    snapshot = Snapshot(1, [compile_document(document, 1)])
    limits = effective_limits("web", "acme", _record(own), SURFACES, snapshot)
    assert (limits.idle, limits.absolute) == expected


def test_unknown_organization() -> None:
    """An organization without a policy tightens nothing; a session without a record has the configured limits."""
    assert effective_limits("web", "nobody", None, SURFACES, Snapshot(1)) == SURFACES["web"]
