"""P7: the candidate never changes the enforced decision (spec 1.9)."""

from dataclasses import replace

from hypothesis import given
from tests.properties.strategies import NOW, candidates, decided, documents, generated, queries

from sidegate.core.engine.decide import decide
from sidegate.core.engine.shadow import decide_shadow
from sidegate.core.model.principal import Query
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import Candidate, PolicyDocument
from sidegate.core.policy.overlay import apply_candidate
from sidegate.core.policy.snapshot import Snapshot


@generated
@given(documents(), candidates(), queries)
def test_enforced_is_decided_as_if_there_were_no_candidate(
    document: PolicyDocument, candidate: Candidate, query: Query
) -> None:
    """Before and after the candidate was evaluated."""
    snapshot = Snapshot(1, [compile_document(replace(document, candidate=candidate), 1)])
    alone = decided(document, query)
    assert alone == decide(snapshot, query, NOW)
    decide_shadow(snapshot, [query], NOW, alone)
    assert alone == decide(snapshot, query, NOW)


@generated
@given(documents(), candidates(), queries)
def test_shadow_is_what_promotion_would_enforce(document: PolicyDocument, candidate: Candidate, query: Query) -> None:
    """A divergence is told exactly where the promoted policy has another outcome, and is its decision."""
    overlaid = replace(document, candidate=candidate)
    snapshot = Snapshot(1, [compile_document(overlaid, 1)])
    enforced = decided(document, query)
    promoted = decided(apply_candidate(overlaid), query)
    expected = None if promoted.outcome is enforced.outcome else promoted
    assert expected == decide_shadow(snapshot, [query], NOW, enforced)
