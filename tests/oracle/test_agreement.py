"""P8: a compiled snapshot and a naive interpretation of the same policy agree on every request."""

import pytest
from tests.oracle.agreement import Tally, compare_many

from sidegate.core.model.decision import Reason

PAIRS = 25_000

POLICY_REASONS = {
    Reason.GRANTED,
    Reason.CROSS_ORG,
    Reason.ACCOUNT_INACTIVE,
    Reason.NOT_A_MEMBER,
    Reason.DENIED_BY_RULE,
    Reason.NOT_GRANTED,
    Reason.ABOVE_CEILING,
    Reason.NO_GRANT,
    Reason.SURFACE,
    Reason.SOURCE_ADDRESS,
    Reason.MFA_REQUIRED,
    Reason.DELEGATION_TOO_LONG,
    Reason.DELEGATION_EXPIRED,
    Reason.OUTSIDE_CREDENTIAL_SCOPE,
    Reason.APPROVAL_REQUIRED,
    Reason.SUBTREE_NARROWED,
}


@pytest.mark.parametrize("seed", range(1, 9))
def test_engine_equals_oracle(seed: int) -> None:
    """Outcome, reason, citations and remedy are the same, under the enforced policy and under the candidate."""
    tally = Tally()
    compare_many(seed, PAIRS, tally)
    # A generator that no longer reaches a reason would agree about nothing.
    assert {reason for reason, count in tally.enforced.items() if count >= 20} == POLICY_REASONS
    assert {reason for reason, count in tally.candidate.items() if count >= 10} == POLICY_REASONS
    assert tally.diverged >= 100
    assert tally.unconcerned >= 100
    assert tally.enforced[Reason.GRANTED] >= PAIRS // 20
