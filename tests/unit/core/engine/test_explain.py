"""The answer and how it came about."""

from dataclasses import replace

import pytest
from tests.unit.core.engine.asking import ANA, NOW, ask, bind, mask, policy, snapshot_of, withhold

from sidegate.core.engine.decide import decide
from sidegate.core.engine.explain import Check, Explanation, Step, explain, remedy_text
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.errors import Position
from sidegate.core.model.principal import AccountState, Link, Query
from sidegate.core.model.target import parse_scope, parse_target
from sidegate.core.policy.document import ApprovalRule, Conditions, MemberEntry, PolicyDocument

PLACE = Position("policy/acme.yaml", 12, 5)
DOCUMENT = replace(
    policy(
        bind("b1", "Designer", "p1"),
        bind("b2", "Viewer", "p1@main"),
        bind("b3", "Designer", "p3", when=Conditions(mfa=True)),
        bind("b4", "Viewer", "p3"),
    ),
    denies=(withhold("d1", "delete", "*"),),
    approvals=(ApprovalRule("a1", mask("solve"), parse_scope("*")),),
    positions={"b2": PLACE},
)


def explained(query: Query, document: PolicyDocument = DOCUMENT) -> Explanation:
    """The explanation; it always says what the engine decides."""
    snapshot = snapshot_of(document)
    explanation = explain(snapshot, query, NOW)
    assert decide(snapshot, query, NOW) == explanation.decision
    last = explanation.steps[-1]
    assert (last.step is Step.FAILED) is (explanation.decision.outcome is Outcome.DENY)
    assert all(step.step is Step.PASSED for step in explanation.steps[:-1])
    assert all(step.text for step in explanation.steps)
    return explanation


PROJECT = [Check.ORGANIZATION, Check.MEMBERSHIP, Check.DENIES, Check.CEILING, Check.GRANTS, Check.CREDENTIAL]
SECTION = [Check.ORGANIZATION, Check.MEMBERSHIP, Check.DENIES, Check.SECTIONS, Check.CREDENTIAL]


@pytest.mark.parametrize(
    ("query", "reason", "checks"),
    [
        pytest.param(ask("write", "p1"), Reason.GRANTED, [*PROJECT, Check.APPROVAL], id="allowed"),
        pytest.param(
            ask("read", "p1", subtree=True), Reason.GRANTED, [*PROJECT, Check.SUBTREE, Check.APPROVAL], id="subtree"
        ),
        pytest.param(
            ask("write", "p1", subtree=True), Reason.SUBTREE_NARROWED, [*PROJECT, Check.SUBTREE], id="narrowed"
        ),
        pytest.param(ask("read", "/skills"), Reason.GRANTED, [*SECTION, Check.APPROVAL], id="section"),
        pytest.param(ask("write", "/skills"), Reason.NOT_GRANTED, SECTION[:4], id="section-not-granted"),
        pytest.param(
            replace(ask("read", "p1"), target=parse_target("other", "p1")),
            Reason.CROSS_ORG,
            PROJECT[:1],
            id="cross-org",
        ),
        pytest.param(
            replace(ask("read", "p1", org="other"), target=parse_target("other", "p1")),
            Reason.NOT_A_MEMBER,
            PROJECT[:2],
            id="unknown-organization",
        ),
        pytest.param(ask("read", "p1", account="user:x"), Reason.NOT_A_MEMBER, PROJECT[:2], id="stranger"),
        pytest.param(ask("delete", "p1"), Reason.DENIED_BY_RULE, PROJECT[:3], id="denied"),
        pytest.param(ask("write", "p2"), Reason.NO_GRANT, PROJECT[:5], id="no-grant"),
        pytest.param(ask("write", "p1@main"), Reason.NOT_GRANTED, PROJECT[:5], id="not-granted"),
        pytest.param(ask("write", "p3"), Reason.MFA_REQUIRED, PROJECT[:5], id="unmet-condition"),
        pytest.param(
            ask("write", "p1", authorities=mask("read")), Reason.OUTSIDE_CREDENTIAL_SCOPE, PROJECT, id="credential"
        ),
        pytest.param(
            ask("write", "p1", chain=(Link("ag_1", expires_at=NOW),)), Reason.DELEGATION_EXPIRED, PROJECT, id="expired"
        ),
        pytest.param(ask("write", "p1", chain=(Link("ag_1"),) * 9), Reason.DELEGATION_TOO_LONG, PROJECT, id="too-long"),
        pytest.param(ask("solve", "p1"), Reason.APPROVAL_REQUIRED, [*PROJECT, Check.APPROVAL], id="approval"),
        pytest.param(ask("solve", "p1", approved=True), Reason.GRANTED, [*PROJECT, Check.APPROVAL], id="approved"),
    ],
)
def test_checks_up_to_the_one_that_decided(query: Query, reason: Reason, checks: list[Check]) -> None:
    """In the order of spec 1.5; nothing after the check that failed."""
    explanation = explained(query)
    assert reason is explanation.decision.reason
    assert checks == [step.check for step in explanation.steps]


@pytest.mark.parametrize(
    ("document", "reason", "checks"),
    [
        pytest.param(
            replace(DOCUMENT, members=(MemberEntry(ANA, AccountState.SUSPENDED),)),
            Reason.ACCOUNT_INACTIVE,
            PROJECT[:2],
            id="inactive",
        ),
        pytest.param(replace(DOCUMENT, members=(MemberEntry(ANA),)), Reason.ABOVE_CEILING, PROJECT[:4], id="ceiling"),
    ],
)
def test_other_policies(document: PolicyDocument, reason: Reason, checks: list[Check]) -> None:
    """What an account without roles or an inactive one is told."""
    explanation = explained(ask("write", "p1"), document)
    assert reason is explanation.decision.reason
    assert checks == [step.check for step in explanation.steps]


def test_a_section_that_no_role_names() -> None:
    """There is nothing to list."""
    step = explained(ask("read", "/skills"), policy(roles=("Operator",))).steps[-1]
    assert (step.check, step.step, step.considered) == (Check.SECTIONS, Step.FAILED, ())


def test_entries_considered() -> None:
    """Every entry of the narrowest place, which of them decided, what it gives and where it is written."""
    step = explained(ask("write", "p3")).steps[-1]
    assert [(entry.key, entry.decided) for entry in step.considered] == [("b3", True), ("b4", False)]
    assert step.considered[0].authorities == ("read", "write", "run", "solve")
    narrower = explained(ask("write", "p1@main")).steps[-1].considered
    assert [(entry.key, entry.decided, entry.position) for entry in narrower] == [("b2", True, PLACE)]
    withheld = explained(ask("delete", "p1")).steps[-1].considered
    assert [(entry.key, entry.authorities, entry.position) for entry in withheld] == [("d1", ("delete",), None)]


def test_revision_and_organization() -> None:
    """None when the organization is unknown."""
    assert (explained(ask("read", "p1")).organization, explained(ask("read", "p1")).revision) == ("acme", 1)
    unknown = explained(replace(ask("read", "p1", org="other"), target=parse_target("other", "p1")))
    assert (unknown.organization, unknown.revision) == ("other", None)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in {Reason.GRANTED, Reason.PUBLIC_ROUTE}])
def test_every_deny_has_a_sentence_on_what_would_change_it(reason: Reason) -> None:
    """Also where the answer is that the caller can do nothing."""
    assert remedy_text(deny(reason))


def test_an_allow_needs_no_remedy() -> None:
    """Nothing to say."""
    assert remedy_text(Decision(Outcome.ALLOW, Reason.GRANTED, (), Remedy.NONE)) == ""
