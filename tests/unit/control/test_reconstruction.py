"""Asking again what a recorded decision was about."""

from dataclasses import replace

import pytest

from sidegate.control.reconstruction import Assumption, reconstruct
from sidegate.core.engine.decide import decide
from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.model.decision import Outcome, Reason, Remedy
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import Kind, parse_scope, parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import BindingEntry, Conditions, MemberEntry, PolicyDocument
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.trail.record import Actor, ActorType, CredentialReference, DecisionRecord

NOW = UnixMillis(1_800_000_000_000)

SNAPSHOT = Snapshot(
    3,
    [
        compile_document(
            PolicyDocument(
                organization="acme",
                members=(MemberEntry("user:ana", roles=("Member",)),),
                bindings=(
                    BindingEntry("b1", "user:ana", "Designer", parse_scope("p1")),
                    BindingEntry("b2", "user:ana", "Viewer", parse_scope("p1@main")),
                    BindingEntry("b3", "user:ana", "Designer", parse_scope("p2"), when=Conditions(mfa=True)),
                    BindingEntry(
                        "b4", "user:ana", "Designer", parse_scope("p3"), when=Conditions(surfaces=("mobile",))
                    ),
                ),
            ),
            3,
        )
    ],
)

RECORD = DecisionRecord(
    id="01890a5d-ac96-7740-8000-000000000000",
    time=NOW,
    org="acme",
    actor=Actor("user:ana", ActorType.USER, ()),
    credential=CredentialReference(CredentialKind.SESSION, "s1"),
    authority=Authority.WRITE,
    primitive=None,
    target="p1@main:a",
    kind=Kind.PATH,
    outcome=Outcome.DENY,
    reason=Reason.NOT_GRANTED,
    because=("b2",),
    remedy=Remedy.REQUEST_ELEVATION,
    shadow=None,
    revision=3,
    approval_id=None,
    method="PUT",
    path="/p1",
    route="r",
    source="10.0.0.9",
    request_id=None,
    trace_id=None,
    decision_ns=900,
)
ALLOWED = replace(RECORD, outcome=Outcome.ALLOW, reason=Reason.GRANTED, remedy=Remedy.NONE)


@pytest.mark.parametrize(
    ("record", "assumption"),
    [
        pytest.param(RECORD, Assumption("web", second_factor=False, subtree=False), id="plain"),
        pytest.param(
            replace(ALLOWED, target="p2@x", because=("b3",)),
            Assumption("web", second_factor=True, subtree=False),
            id="with-a-second-factor",
        ),
        pytest.param(
            replace(ALLOWED, target="p3@x", because=("b4",)),
            Assumption("mobile", second_factor=False, subtree=False),
            id="on-another-surface",
        ),
        pytest.param(
            replace(RECORD, target="p1", reason=Reason.SUBTREE_NARROWED, because=("b2",), source="unix:/run/x.sock"),
            Assumption("web", second_factor=False, subtree=True),
            id="over-a-subtree",
        ),
        pytest.param(
            replace(
                ALLOWED,
                authority=Authority.READ,
                primitive=Primitive.GLOB,
                target="p1@x",
                because=("b1",),
                credential=None,
                source=None,
            ),
            Assumption("web", second_factor=False, subtree=True),
            id="glob-is-a-subtree",
        ),
    ],
)
def test_a_question_that_leads_to_the_recorded_decision_is_found(
    record: DecisionRecord, assumption: Assumption
) -> None:
    """And only such a one is explained: the explanation ends in what was recorded."""
    found = reconstruct(SNAPSHOT, record)
    assert found is not None
    decision = found.explanation.decision
    assert (decision.outcome, decision.reason, decision.because) == (record.outcome, record.reason, record.because)
    assert assumption == found.assumption


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(replace(RECORD, because=("b9",)), id="another-entry-decided"),
        pytest.param(replace(RECORD, reason=Reason.OUTSIDE_CREDENTIAL_SCOPE, because=("credential",)), id="credential"),
        pytest.param(replace(RECORD, revision=2), id="another-revision"),
        pytest.param(replace(RECORD, revision=None), id="no-revision"),
        pytest.param(replace(RECORD, org="other"), id="unknown-organization"),
        pytest.param(replace(RECORD, org=None), id="no-organization"),
        pytest.param(replace(RECORD, actor=None), id="nobody"),
        pytest.param(replace(RECORD, target=None), id="no-target"),
        pytest.param(replace(RECORD, authority=None), id="no-authority"),
        pytest.param(replace(RECORD, target="p1@*"), id="target-that-is-none"),
    ],
)
def test_what_cannot_be_shown_to_lead_there_is_not_explained(record: DecisionRecord) -> None:
    """No explanation is better than one of another decision."""
    assert reconstruct(SNAPSHOT, record) is None


def test_links_of_the_chain_take_part_by_their_ids() -> None:
    """What a policy denies to a link is found again; what the link itself withheld is not in the record."""
    chained = replace(RECORD, actor=Actor("user:ana", ActorType.AGENT, ("ag_1",)))
    found = reconstruct(SNAPSHOT, chained)
    assert found is not None
    query = Query(
        VerifiedCredential(CredentialKind.SESSION, "s", "user:ana", "acme"),
        Authority.WRITE,
        parse_target("acme", "p1@main:a"),
    )
    assert found.explanation.decision == decide(SNAPSHOT, query, NOW)
