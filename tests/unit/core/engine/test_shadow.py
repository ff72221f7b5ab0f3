"""What the candidate would have answered."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.core.engine.asking import NOW, ask, bind, policy, snapshot_of, subject_of, withhold

from sidegate.core.engine.decide import decide, decide_all
from sidegate.core.engine.shadow import ShadowFailure, decide_shadow, decide_shadow_subject
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.principal import Query
from sidegate.core.model.target import parse_target
from sidegate.core.policy.document import Candidate, PolicyDocument

BASE = policy(bind("b1", "Viewer", "p1"), bind("b2", "Designer", "p2"))
ALLOWED_BY_B1 = Decision(Outcome.ALLOW, Reason.GRANTED, ("b1",), Remedy.NONE)


def told(document: PolicyDocument, queries: Sequence[Query]) -> Decision | ShadowFailure | None:
    """What is told of the candidate of *document* for one request."""
    snapshot = snapshot_of(document)
    return decide_shadow(snapshot, queries, NOW, decide_all(snapshot, queries, NOW))


@pytest.mark.parametrize(
    ("candidate", "query", "expected"),
    [
        pytest.param(None, ask("write", "p1"), None, id="no-candidate"),
        pytest.param(Candidate(), ask("write", "p1"), None, id="nothing-changed"),
        pytest.param(
            Candidate(bindings=(bind("b1", "Designer", "p1"),)), ask("write", "p1"), ALLOWED_BY_B1, id="would-allow"
        ),
        pytest.param(
            Candidate(denies=(withhold("d1", "read", "p1"),)),
            ask("read", "p1"),
            deny(Reason.DENIED_BY_RULE, ("d1",)),
            id="would-deny",
        ),
        pytest.param(Candidate(bindings=(bind("b1", "Designer", "p1"),)), ask("read", "p1"), None, id="both-allow"),
        pytest.param(
            Candidate(denies=(withhold("d1", "write", "p1"),)),
            ask("write", "p1"),
            None,
            id="both-deny-for-other-reasons",
        ),
        pytest.param(
            Candidate(bindings=(bind("b9", "Admin", "p1", who="group:fiber"),)),
            ask("write", "p9", account="user:nobody"),
            None,
            id="stranger",
        ),
    ],
)
def test_differences_in_effect(candidate: Candidate | None, query: Query, expected: Decision | None) -> None:
    """Told exactly where the outcome is another one (spec 1.8)."""
    assert expected == told(replace(BASE, candidate=candidate), [query])


def test_all_parts_are_decided_together() -> None:
    """The parts of one request have one answer."""
    document = replace(BASE, candidate=Candidate(bindings=(bind("b1", "Designer", "p1"),)))
    parts = [ask("write", "p2"), ask("write", "p1")]
    assert Decision(Outcome.ALLOW, Reason.GRANTED, ("b1", "b2"), Remedy.NONE) == told(document, parts)


def test_an_unknown_organization_has_no_candidate() -> None:
    """Nothing is told."""
    query = replace(ask("read", "p1", org="nowhere"), target=parse_target("nowhere", "p1"))
    assert None is told(replace(BASE, candidate=Candidate(remove=("b1",))), [query])


def test_whom_it_does_not_concern_pays_one_look() -> None:
    """There is no shadow to ask."""
    document = replace(BASE, candidate=Candidate(bindings=(bind("b9", "Admin", "p1", who="user:bo"),)))
    subject = subject_of(document)
    assert None is subject.shadow
    assert None is decide_shadow_subject(subject, [ask("write", "p1")], NOW, deny(Reason.NOT_GRANTED))


def test_an_error_in_the_candidate_is_recorded_and_goes_no_further() -> None:
    """Here: a compiled form that was broken behind the engine's back (spec 1.8)."""
    document = replace(BASE, candidate=Candidate(remove=("b1",)))
    snapshot = snapshot_of(document)
    query = ask("read", "p1")
    candidate = snapshot.organizations["acme"].candidate
    assert candidate is not None
    del candidate.header.roles
    before = decide(snapshot, query, NOW)
    failure = decide_shadow(snapshot, [query], NOW, before)
    assert isinstance(failure, ShadowFailure)
    assert failure.error.startswith("AttributeError: ")
    assert ALLOWED_BY_B1 == before == decide(snapshot, query, NOW)
