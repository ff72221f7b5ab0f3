"""P2: a deny is never overridden by any set of grants (spec 1.9)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.properties.strategies import bindings, decided, documents, generated, numbered, queries

from sidegate.core.model.authority import BIT
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.principal import AccountState, Query
from sidegate.core.model.target import ALL_PROJECTS, ALL_SECTIONS
from sidegate.core.policy.document import BindingEntry, DenyEntry, MemberEntry, PolicyDocument


@generated
@given(documents(), queries, st.lists(bindings, max_size=6), st.booleans())
def test_a_deny_stands_against_all_grants(
    document: PolicyDocument, query: Query, more: list[BindingEntry], through_group: bool
) -> None:
    """Whatever else is granted, on however narrow a scope, a deny that covers the target decides."""
    account = query.credential.account
    on = ALL_PROJECTS if query.target.section is None else ALL_SECTIONS
    final = DenyEntry("final", "group:fiber" if through_group else account, BIT[query.authority], on)
    granted = replace(
        document,
        members=(MemberEntry(account, AccountState.ACTIVE, ("Organization admin", "Member"), ("fiber",)),),
        bindings=numbered("b", [*document.bindings, *more, *(replace(entry, role="Admin") for entry in more)]),
        denies=(*document.denies, final),
    )
    decision = decided(granted, query)
    assert (decision.outcome, decision.reason) == (Outcome.DENY, Reason.DENIED_BY_RULE)
    assert "final" in decision.because
