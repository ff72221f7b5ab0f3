"""Evidence of one allow."""

import pytest
from tests.unit.core.engine.asking import ask

from sidegate.core.engine.permit import Permit, permit_of
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.errors import InvariantError

ALLOW = Decision(Outcome.ALLOW, Reason.GRANTED, ("b1",), Remedy.NONE)
PARTS = (ask("read", "p1"), ask("write", "p2"))


@pytest.mark.parametrize("reason", [Reason.NO_GRANT, Reason.APPROVAL_REQUIRED, Reason.MFA_REQUIRED])
def test_a_deny_gives_no_permit(reason: Reason) -> None:
    """Whatever would change it."""
    assert None is permit_of(PARTS[0], deny(reason), "id")


def test_a_permit_says_what_was_allowed() -> None:
    """One part or several, the decision and its id."""
    one, both = permit_of(PARTS[0], ALLOW, "id-1"), permit_of(list(PARTS), ALLOW, "id-2")
    assert one is not None
    assert both is not None
    assert ((PARTS[0],), ALLOW, "id-1") == (one.queries, one.decision, one.decision_id)
    assert both.queries == PARTS


def test_a_permit_is_spent_once() -> None:
    """One allow never covers two requests."""
    permit = permit_of(PARTS[0], ALLOW, "id-1")
    assert permit is not None
    permit.spend()
    with pytest.raises(InvariantError, match="id-1 was spent twice"):
        permit.spend()


def test_no_permit_can_be_made_of_a_deny() -> None:
    """Not even by hand."""
    with pytest.raises(InvariantError, match="of a deny"):
        Permit(PARTS, deny(Reason.NO_GRANT), "id")
