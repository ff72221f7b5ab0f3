"""Recorded requests decided again, beside a candidate."""

from typing import Any

import pytest
from tests.unit.cli.samples import decision_record

from sidegate.config.policy_file import read_policy
from sidegate.control.replay import replay
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.principal import CredentialKind
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.trail.record import Actor, ActorType, CredentialReference

POLICY = b"""organization: acme
roles:
  Careful: {authorities: [write], requires: {mfa: true}}
members:
  user:ana: {roles: [Member]}
  service:ci: {roles: [Member]}
bindings:
  - {id: b2, who: user:ana, role: Viewer, on: "p1@main"}
  - {id: b3, who: user:ana, role: Careful, on: p2}
  - {id: b4, who: service:ci, role: Designer, on: p1}
keys:
  - id: 4fQz8Kd01LmNopQr
    digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    account: service:ci
    authorities: [read]
candidate:
  bindings:
    - {id: b2, who: user:ana, role: Designer, on: "p1@main"}
    - {id: b5, who: user:ana, role: Designer, on: p2}
  remove: [b4]
"""

SNAPSHOT = Snapshot(7, [compile_document(read_policy(POLICY, "acme.yaml").document, 7)])
CI: dict[str, Any] = {
    "actor": Actor("service:ci", ActorType.SERVICE, ()),
    "credential": CredentialReference(CredentialKind.API_KEY, "4fQz8Kd01LmNopQr"),
    "target": "p1@x:a",
}


@pytest.mark.parametrize(
    ("given", "enforced", "candidate"),
    [
        pytest.param({}, "deny not_granted", "allow granted", id="candidate-allows"),
        pytest.param({"authority": Authority.DELETE}, "deny not_granted", None, id="both-deny"),
        pytest.param(
            {"target": "p2@x:a", "reason": Reason.MFA_REQUIRED}, "deny mfa_required", "allow granted", id="without-mfa"
        ),
        pytest.param(
            {"target": "p2@x:a", "outcome": Outcome.ALLOW, "reason": Reason.GRANTED},
            "allow granted",
            None,
            id="with-mfa",
        ),
        pytest.param(
            CI | {"authority": Authority.READ, "outcome": Outcome.ALLOW, "reason": Reason.GRANTED},
            "allow granted",
            "deny no_grant",
            id="candidate-denies",
        ),
        pytest.param(
            CI | {"reason": Reason.OUTSIDE_CREDENTIAL_SCOPE},
            "deny outside_credential_scope",
            None,
            id="limits-of-a-key",
        ),
    ],
)
def test_asked_as_it_was(given: dict[str, Any], enforced: str, candidate: str | None) -> None:
    """The assumption that leads to what was recorded is taken; the candidate counts where its outcome is another."""
    found = replay(SNAPSHOT, decision_record(1, **given))
    assert found is not None
    assert found.is_as_recorded
    assert f"{found.enforced.outcome} {found.enforced.reason}" == enforced
    said = None if found.candidate is None else f"{found.candidate.outcome} {found.candidate.reason}"
    assert said == candidate


def test_policy_that_changed_since() -> None:
    """What nothing leads to is asked in the plainest case, and that is said."""
    found = replay(SNAPSHOT, decision_record(1, outcome=Outcome.ALLOW, reason=Reason.GRANTED))
    assert found is not None
    assert (found.is_as_recorded, found.enforced.reason) == (False, Reason.NOT_GRANTED)
    assert found.candidate is not None


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"actor": None}, id="nobody"),
        pytest.param({"target": None}, id="no-target"),
        pytest.param({"target": "p1@"}, id="no-name"),
        pytest.param({"org": None}, id="no-organization"),
        pytest.param({"org": "globex"}, id="unknown-organization"),
    ],
)
def test_no_question(given: dict[str, Any]) -> None:
    """Records that ask nothing are left out."""
    assert replay(SNAPSHOT, decision_record(1, **given)) is None
