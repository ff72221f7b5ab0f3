"""`sidegate why`: a recorded decision, explained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.samples import decision_record, divergence

from sidegate.core.model.decision import Outcome, Reason, Remedy
from sidegate.core.model.principal import CredentialKind
from sidegate.core.trail.record import Actor, ActorType, CredentialReference, DecisionRecord

Spool = Callable[..., Path]


def _revision(policy: Path) -> int:
    return (policy / "acme.yaml").stat().st_mtime_ns // 1_000_000


def test_names_the_entry_with_file_and_line(sidegate: Any, spool: Spool, policy: Path, config: Path) -> None:
    """Who asked for what, when, the answer, the entry that decided with its place, and what would change it."""
    record = divergence(1, revision=_revision(policy))
    spool([decision_record(2), record])
    done = sidegate("why", record.id, "--config", "sidegate.yaml")
    assert config.is_file()
    expected = """\
deny  not_granted
who     user:ana in acme
asked   write on p1@main:designs/a.json
by      PUT /v1/orgs/acme/projects/p1/branches/main/files/designs/a.json
when    2026-11-21T12:00:01.000Z
because
  policy/acme.yaml:15:5: b2: user:ana is Viewer on p1@main
hint    ask for a role on this scope that gives the authority
candidate  would have said allow granted
"""
    assert (0, expected, "") == (done.code, done.out, done.err)


def test_a_policy_that_was_changed_since(sidegate: Any, spool: Spool, policy: Path) -> None:
    """When the revision is another one, it says so and what the present policy answers."""
    root = spool([decision_record(1, revision=1)])
    file = policy / "acme.yaml"
    file.write_text(file.read_text().replace("role: Viewer", "role: Designer"))
    done = sidegate("why", decision_record(1).id, "--spool", root, "--policy", policy)
    assert (
        "The policy was changed since; entries are shown as they are now, and the present one says allow granted"
        in (done.out)
    )
    said = sidegate("why", decision_record(1).id, "--spool", root, "--policy", policy, "-o", "json").json
    assert (said["policy_changed"], said["now"]) == (True, {"outcome": "allow", "reason": "granted", "because": ["b2"]})


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        pytest.param(decision_record(1), ("deny", "not_granted"), id="session"),
        pytest.param(
            decision_record(
                1,
                actor=Actor("service:ci", ActorType.SERVICE, ()),
                credential=CredentialReference(CredentialKind.API_KEY, "4fQz8Kd01LmNopQr"),
                target="p2@x",
            ),
            ("deny", "outside_credential_scope"),
            id="key-with-its-own-limits",
        ),
        pytest.param(
            decision_record(1, target="p1", reason=Reason.SUBTREE_NARROWED), ("deny", "subtree_narrowed"), id="subtree"
        ),
        pytest.param(
            decision_record(1, actor=Actor("user:gus", ActorType.USER, ()), reason=Reason.CROSS_ORG, because=()),
            ("deny", "cross_org"),
            id="cross-org",
        ),
    ],
)
def test_puts_the_recorded_question_to_the_present_policy(
    sidegate: Any, spool: Spool, policy: Path, record: DecisionRecord, answer: tuple[str, str]
) -> None:
    """What the record tells is asked again: the account, the key's own limits, the subtree, the organization."""
    root = spool([record])
    now = sidegate("why", record.id, "--spool", root, "--policy", policy, "-o", "json").json["now"]
    assert answer == (now["outcome"], now["reason"])


def test_a_refusal_before_anybody_was_known(sidegate: Any, spool: Spool, policy: Path) -> None:
    """Such a record names nobody and no entry; no policy decided, so none can have changed."""
    record = decision_record(
        1,
        org=None,
        actor=None,
        credential=None,
        authority=None,
        target=None,
        kind=None,
        reason=Reason.NO_CREDENTIAL,
        because=(),
        remedy=Remedy.AUTHENTICATE,
        path=None,
    )
    root = spool([record])
    done = sidegate("why", record.id, "--spool", root, "--policy", policy)
    expected = """\
deny  no_credential
who     nobody proven in no organization
by      PUT (unreadable path)
when    2026-11-21T12:00:01.000Z
hint    sign in again, or use a credential that is still valid
"""
    assert (0, expected) == (done.code, done.out)


def test_entries_that_are_gone(sidegate: Any, spool: Spool, policy: Path) -> None:
    """An entry that was removed since is named all the same."""
    root = spool([decision_record(1, because=("b9", "agent:ag_1", "credential", "role:Member"), outcome=Outcome.DENY)])
    out = sidegate("why", decision_record(1).id, "--spool", root, "--policy", policy).out
    assert "  b9: not in the policy any more\n" in out
    assert "  agent:ag_1: a link of the delegation chain, by its own restrictions\n" in out
    assert "  credential: the credential's own list of authorities or scopes\n" in out
    assert "  role:Member: on sections /: read; /projects: write, in projects at most everything; built in\n" in out


def test_a_decision_that_is_not_there(sidegate: Any, spool: Spool, policy: Path) -> None:
    """Exit code 65: the spool holds no such record."""
    root = spool([decision_record(1)])
    done = sidegate("why", "nothing", "--spool", root, "--policy", policy)
    assert (done.code, "no decision `nothing` is in the spool" in done.err) == (65, True)


def test_a_name_cannot_rewrite_the_screen(sidegate: Any, spool: Spool, policy: Path) -> None:
    """What came from clients is shown with escapes for everything that a terminal would obey."""
    record = decision_record(1, actor=Actor("user:\x1b[2Jeve\u202e", ActorType.USER, ()))
    root = spool([record])
    out = sidegate("why", record.id, "--spool", root, "--policy", policy).out
    assert "user:\\x1b[2Jeve\\u202e in acme" in out
