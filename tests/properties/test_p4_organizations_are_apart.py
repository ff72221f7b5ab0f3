"""P4: no decision for organization A depends on any entry of organization B (spec 1.9)."""

from dataclasses import replace

from hypothesis import given
from tests.properties.strategies import NOW, candidates, decided, documents, generated, queries

from sidegate.core.engine.decide import decide
from sidegate.core.engine.shadow import decide_shadow
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.principal import Query
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import Candidate, PolicyDocument
from sidegate.core.policy.snapshot import Snapshot


@generated
@given(documents(), documents(), candidates(), queries)
def test_another_organization_changes_nothing(
    document: PolicyDocument, other: PolicyDocument, candidate: Candidate, query: Query
) -> None:
    """The same accounts, groups, roles and ids in another organization leave the answer as it is."""
    beside = replace(other, organization="other", candidate=candidate)
    both = Snapshot(1, [compile_document(beside, 1), compile_document(document, 1)])
    enforced = decide(both, query, NOW)
    assert decided(document, query) == enforced
    assert decide_shadow(both, [query], NOW, enforced) is None


@generated
@given(documents(), documents(), queries)
def test_nobody_reaches_into_another_organization(
    document: PolicyDocument, other: PolicyDocument, query: Query
) -> None:
    """A credential of one organization is refused on targets of the other, whatever both grant."""
    both = Snapshot(1, [compile_document(document, 1), compile_document(replace(other, organization="other"), 1)])
    elsewhere = replace(query, credential=replace(query.credential, org="other"))
    decision = decide(both, elsewhere, NOW)
    assert (decision.outcome, decision.reason) == (Outcome.DENY, Reason.CROSS_ORG)
