"""Reasons and their remedies."""

import pytest

from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny, remedy_of

REMEDIES = {
    Remedy.AUTHENTICATE: {
        Reason.NO_CREDENTIAL,
        Reason.AMBIGUOUS_CREDENTIAL,
        Reason.INVALID_CREDENTIAL,
        Reason.SESSION_EXPIRED,
        Reason.SESSION_IDLE,
        Reason.SESSION_REVOKED,
        Reason.KEY_EXPIRED,
        Reason.KEY_REVOKED,
        Reason.KEY_CONSUMED,
        Reason.DELEGATION_EXPIRED,
    },
    Remedy.STEP_UP: {Reason.MFA_REQUIRED},
    Remedy.REQUEST_APPROVAL: {Reason.APPROVAL_REQUIRED},
    Remedy.REQUEST_ELEVATION: {Reason.NO_GRANT, Reason.NOT_GRANTED},
    Remedy.RETRY_LATER: {
        Reason.POLICY_UNAVAILABLE,
        Reason.AUDIT_UNAVAILABLE,
        Reason.OVERLOADED,
        Reason.REVISION_UNAVAILABLE,
        Reason.UPSTREAM_UNREACHABLE,
        Reason.UPSTREAM_TIMEOUT,
        Reason.REQUEST_TIMEOUT,
    },
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_remedy(reason: Reason) -> None:
    """What would change a deny; where nothing would, ``none`` (spec 1.5)."""
    expected = next((remedy for remedy, reasons in REMEDIES.items() if reason in reasons), Remedy.NONE)
    assert expected is remedy_of(reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_deny_carries_the_remedy_of_its_reason(reason: Reason) -> None:
    """Nobody has to remember it."""
    assert Decision(Outcome.DENY, reason, ("b1",), remedy_of(reason)) == deny(reason, ("b1",))


def test_a_deny_may_cite_nothing() -> None:
    """``no_grant`` has no entry that decided."""
    assert deny(Reason.NO_GRANT).because == ()
