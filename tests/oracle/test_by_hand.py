"""Answers worked out by hand from the text of spec 1, sentence by sentence: engine and oracle may share an error.

Each case is a line of `sidegate decide` (spec 6.4) over one policy; what is not written is the plainest case.
"""

import json
from typing import Any, Final

import pytest

from sidegate.cli.commands.decide import LineDecider
from sidegate.config.policy_file import read_policy
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.snapshot import Snapshot

POLICY: Final = """\
organization: acme
mfa_max_age_s: 3600
roles:
  Field lead: {clone: Designer, add: [approve], remove: [solve]}
  Intern: {authorities: [read, run], requires: {mfa: true}}
  Onsite: {authorities: [read, write], requires: {source: [10.0.0.0/8, "2001:db8::/32"]}}
  Keeper: {authorities: [delete], high_risk: true}
  Auditor: {sections: {/audit: [read]}, ceiling: [read]}
  Guest: {clone: Member, ceiling: [read, run]}
  Desk: {clone: Member, requires: {surface: [admin]}, ceiling: [share]}
  Remote: {clone: Field operator, requires: {surface: [web, mobile], mfa: true}}
members:
  user:ana: {roles: [Member], groups: [fiber]}
  user:bo: {roles: [Organization viewer, Guest]}
  user:cy: {roles: [Organization admin]}
  user:di: {roles: [Administrator]}
  user:ed: {roles: [Field operator]}
  user:flo: {roles: [Operator, Auditor]}
  user:gus: {state: suspended, roles: [Member]}
  user:hal: {state: deprovisioned}
  user:ivy: {}
  user:jo: {roles: [Identity Accounts - Creator, Identity Accounts - Validator]}
  user:kim: {roles: [Desk, Organization viewer]}
  user:lu: {roles: [Remote]}
  user:mo: {roles: [Member], groups: [fiber, night]}
  service:ci: {roles: [Full API Access]}
  service:ro: {roles: [Read-only API Access]}
groups: {fiber: {}, night: {}}
bindings:
  - {id: viewer-p1, who: user:ana, role: Viewer, on: p1}
  - {id: designer-p1-x, who: user:ana, role: Designer, on: "p1@x"}
  - {id: designer-p2, who: user:ana, role: Designer, on: p2}
  - {id: viewer-p2-main, who: user:ana, role: Viewer, on: "p2@main"}
  - {id: fiber-all-main, who: group:fiber, role: Admin, on: "*@main"}
  - {id: fiber-p3-dir, who: group:fiber, role: Reviewer, on: "p3@*:designs/current"}
  - {id: mo-p3-x, who: user:mo, role: Viewer, on: "p3@x"}
  - {id: mo-p4, who: user:mo, role: Intern, on: p4}
  - {id: mo-p4-too, who: user:mo, role: Onsite, on: p4}
  - {id: mo-p5, who: user:mo, role: Nobody knows this, on: p5}
  - {id: mo-p5-all, who: user:mo, role: Admin, on: "*"}
  - {id: mo-p6, who: user:mo, role: Keeper, on: p6}
  - id: mo-p7
    who: user:mo
    role: Designer
    on: p7
    not_before: 2026-06-01T00:00:00Z
    not_after: 2026-07-01T02:00:00+02:00
  - {id: mo-p8-new, who: user:mo, role: Viewer, on: p8, state: to_be_added}
  - {id: mo-p8-old, who: user:mo, role: Reviewer, on: p8, state: to_be_removed}
  - {id: mo-p8-gone, who: user:mo, role: Viewer, on: "p8@main", state: removed}
  - {id: bo-p1, who: user:bo, role: Admin, on: p1}
  - {id: ed-p1, who: user:ed, role: Admin, on: p1}
  - {id: flo-p1, who: user:flo, role: Field lead, on: p1}
  - {id: kim-p1, who: user:kim, role: Admin, on: p1}
  - {id: lu-p1, who: user:lu, role: Designer, on: p1, when: {source: 10.1.0.0/16}}
  - {id: ivy-p1, who: user:ivy, role: Admin, on: p1}
  - {id: gus-p1, who: user:gus, role: Admin, on: p1}
denies:
  - {id: no-night-delete, who: group:night, authorities: [delete], on: "p9@*:logs"}
  - {id: no-member-share, who: "role:Member", authorities: [share], on: p9}
  - {id: no-desk-read, who: "role:Desk", authorities: [read], on: "p1@secret"}
  - {id: no-bot, who: "agent:bot", authorities: [write], on: "p1@x:src"}
  - {id: no-billing, who: user:di, authorities: [configure], on: /billing}
approvals:
  - {id: promote, authorities: [approve], on: "*@main"}
  - {id: branch-delete, authorities: [delete], on: "*", kind: branch}
candidate:
  bindings: [{id: viewer-p1, who: user:ana, role: Designer, on: p1}]
  remove: [fiber-all-main]
"""

EIGHT_LINKS: Final = [{"id": f"ag{n}"} for n in range(8)]
CHILD: Final = {"id": "child"}
MFA: Final = {"mfa_age_s": 0}


@pytest.fixture(scope="module")
def decider() -> LineDecider:
    """Decide as `sidegate decide` does."""
    document = read_policy(POLICY.encode(), "acme.yaml").document
    return LineDecider(Snapshot(1, [compile_document(document, 1)]), None, UnixMillis(0))


def ask(decider: LineDecider, account: str, authority: str, target: str, more: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one line."""
    time = "2026-06-15T00:00:00Z"
    line = {"org": "acme", "account": account, "authority": authority, "target": target, "time": time, **more}
    answer = json.loads(decider.answer(json.dumps(line).encode()))
    assert "error" not in answer, answer
    return dict(answer)


CASES: Final[dict[str, list[tuple[str, str, str, dict[str, Any], str]]]] = {
    "1. cross_org comes before everything, also before who is inactive": [
        ("user:ana", "read", "p1", {"credential": {"org": "globex"}}, "cross_org"),
        ("user:gus", "read", "p1", {"credential": {"org": "globex"}}, "cross_org"),
    ],
    "2. the account's state, membership": [
        ("user:gus", "read", "p1", {}, "account_inactive"),
        ("user:hal", "read", "/", {}, "account_inactive"),
        ("user:nobody", "read", "p1", {}, "not_a_member"),
        ("service:ana", "read", "p1", {}, "not_a_member"),
    ],
    "3. denies: of groups, organization roles and links; before grants, and whatever is granted": [
        ("user:mo", "delete", "p9@main:logs/a", {}, "denied_by_rule"),
        ("user:mo", "delete", "p9@x:logs", {}, "denied_by_rule"),
        ("user:mo", "delete", "p9@x:logs2", {}, "granted"),
        ("user:mo", "delete", "p9@x:Logs", {}, "granted"),
        ("user:mo", "share", "p9", {}, "denied_by_rule"),
        ("user:ana", "share", "p9@main", {}, "denied_by_rule"),
        ("user:kim", "read", "p1@secret", {}, "denied_by_rule"),
        ("user:bo", "share", "p9", {}, "above_ceiling"),
        ("user:ana", "write", "p1@x:src/a.py", {"chain": [{"id": "bot"}, CHILD]}, "denied_by_rule"),
        ("user:ana", "write", "p1@x:src/a.py", {"chain": [CHILD]}, "granted"),
        ("user:ana", "read", "p1@x:src/a.py", {"chain": [{"id": "bot"}]}, "granted"),
        ("user:di", "configure", "/billing/plan", {}, "denied_by_rule"),
        ("user:di", "read", "/billing/plan", {}, "granted"),
    ],
    "4. of each organization role the longest section counts; then the union": [
        ("user:ana", "read", "/projects", {}, "not_granted"),
        ("user:ana", "write", "/projects", {}, "granted"),
        ("user:ana", "write", "/projects/p1", {}, "granted"),
        ("user:ana", "read", "/projectsx", {}, "granted"),
        ("user:ana", "write", "/skills", {}, "not_granted"),
        ("user:di", "configure", "/", {}, "granted"),
        ("user:di", "read", "/identity", {}, "not_granted"),
        ("user:di", "read", "/identity/roles", {}, "not_granted"),
        ("user:flo", "read", "/audit/2026", {}, "granted"),
        ("user:flo", "read", "/reports", {}, "granted"),
        ("user:flo", "read", "/", {}, "not_granted"),
        ("user:jo", "approve", "/identity/bindings", MFA, "granted"),
        ("user:jo", "approve", "/identity/bindings", {}, "mfa_required"),
        ("user:jo", "share", "/identity/bindings", {}, "not_granted"),
        ("user:ivy", "read", "/", {}, "not_granted"),
        ("user:bo", "read", "/projects", {}, "granted"),
    ],
    "5. the ceiling is the union of the roles'; no role, no ceiling": [
        ("user:bo", "run", "p1", {}, "granted"),
        ("user:bo", "write", "p1", {}, "above_ceiling"),
        ("user:ivy", "read", "p1", {}, "above_ceiling"),
        ("user:flo", "run", "p1", {}, "granted"),
        ("user:flo", "approve", "p1", {}, "above_ceiling"),
        ("user:jo", "read", "p1", MFA, "above_ceiling"),
        ("user:kim", "read", "p1", {}, "granted"),
        ("user:kim", "share", "p1", {}, "surface"),
        ("user:kim", "share", "p1", {"surface": "admin"}, "granted"),
        ("user:kim", "delete", "p1", {"surface": "admin"}, "above_ceiling"),
        ("user:ed", "write", "p1", {"surface": "mobile"}, "granted"),
        ("user:ed", "write", "p1", {}, "surface"),
        ("user:ed", "run", "p1", {}, "above_ceiling"),
    ],
    "6. the narrowest grants win, wherever they come from": [
        ("user:ana", "write", "p1@x", {}, "granted"),
        ("user:ana", "write", "p1@x:a/b", {}, "granted"),
        ("user:ana", "write", "p1@y", {}, "not_granted"),
        ("user:ana", "write", "p1", {}, "not_granted"),
        ("user:ana", "write", "p2@y", {}, "granted"),
        ("user:ana", "write", "p2@main", {}, "not_granted"),
        ("user:ana", "write", "p1@main", {}, "not_granted"),
        ("user:ana", "write", "p7@main", {}, "granted"),
        ("user:ana", "write", "p7@x", {}, "no_grant"),
        ("user:ana", "read", "P1", {}, "no_grant"),
        ("user:ana", "approve", "p3@x:designs/current/a", {}, "granted"),
        ("user:ana", "approve", "p3@x:designs", {}, "no_grant"),
        ("user:ana", "approve", "p3@x:designs/currents", {}, "no_grant"),
        ("user:ana", "delete", "p3@main:designs/current", {}, "not_granted"),
        ("user:mo", "approve", "p3@x:designs/current/a", {}, "not_granted"),
        ("user:mo", "read", "p5@main", {}, "not_granted"),
        ("user:mo", "read", "p6", {}, "not_granted"),
    ],
    "6. a binding is in force from its first instant until its last, pending additions are not, pending removals are": [
        ("user:mo", "write", "p7@x", {"time": "2026-05-31T23:59:59.999Z"}, "granted"),
        ("user:mo", "approve", "p7@x", {"time": "2026-05-31T23:59:59.999Z"}, "granted"),
        ("user:mo", "approve", "p7@x", {"time": "2026-06-01T00:00:00Z"}, "not_granted"),
        ("user:mo", "approve", "p7@x", {"time": "2026-06-30T23:59:59.999Z"}, "not_granted"),
        ("user:mo", "approve", "p7@x", {"time": "2026-07-01T00:00:00Z"}, "granted"),
        ("user:mo", "approve", "p7@x", {"time": "2026-07-01T01:30:00+01:30"}, "granted"),
        ("user:mo", "approve", "p8@x", {}, "granted"),
        ("user:mo", "share", "p8@x", {}, "not_granted"),
        ("user:mo", "approve", "p8@main", {"approved": True}, "granted"),
    ],
    "conditions: an unmet one never widens; of several ways the one that lacks least is told": [
        ("user:mo", "run", "p4", {}, "mfa_required"),
        ("user:mo", "run", "p4", {"mfa_age_s": 3600}, "granted"),
        ("user:mo", "run", "p4", {"mfa_age_s": 3601}, "mfa_required"),
        ("user:mo", "write", "p4", MFA, "source_address"),
        ("user:mo", "write", "p4", {"source": "10.255.255.255"}, "granted"),
        ("user:mo", "write", "p4", {"source": "11.0.0.0"}, "source_address"),
        ("user:mo", "write", "p4", {"source": "::ffff:10.0.0.1"}, "granted"),
        ("user:mo", "write", "p4", {"source": "2001:db8:ffff::1"}, "granted"),
        ("user:mo", "write", "p4", {"source": "2001:db9::"}, "source_address"),
        ("user:mo", "read", "p4", {}, "mfa_required"),
        ("user:mo", "read", "p4", {"source": "10.0.0.1"}, "granted"),
        ("user:mo", "delete", "p4", MFA, "not_granted"),
        ("user:mo", "delete", "p6", {}, "mfa_required"),
        ("user:mo", "delete", "p6", MFA, "granted"),
        ("user:lu", "write", "p1", {"surface": "admin", "source": "10.1.2.3"}, "mfa_required"),
        ("user:lu", "write", "p1", {"surface": "web", **MFA}, "source_address"),
        ("user:lu", "write", "p1", {"surface": "mobile", "source": "10.1.255.255", **MFA}, "granted"),
        ("user:lu", "solve", "p1", {"surface": "web", "source": "10.1.0.0", **MFA}, "above_ceiling"),
        ("user:cy", "read", "p1", {}, "mfa_required"),
        ("user:cy", "configure", "p1@main:a", MFA, "granted"),
        ("user:cy", "configure", "/identity", {"mfa_age_s": 3601}, "mfa_required"),
        ("service:ci", "configure", "p1", {}, "granted"),
        ("service:ro", "read", "p1@main:a", {}, "granted"),
        ("service:ro", "write", "p1@main:a", {}, "above_ceiling"),
    ],
    "7. credential and chain: length, then expiry, then lists; all of them count": [
        ("user:ana", "read", "p1", {"chain": EIGHT_LINKS}, "granted"),
        ("user:ana", "read", "p1", {"chain": [*EIGHT_LINKS, CHILD]}, "delegation_too_long"),
        (
            "user:ana",
            "read",
            "p1",
            {"chain": [{"id": "old", "expires_at": "2020-01-01T00:00:00Z"}, *EIGHT_LINKS]},
            "delegation_too_long",
        ),
        (
            "user:ana",
            "read",
            "p1",
            {"chain": [{"id": "a", "expires_at": "2026-06-15T00:00:00Z"}]},
            "delegation_expired",
        ),
        ("user:ana", "read", "p1", {"chain": [{"id": "a", "expires_at": "2026-06-15T00:00:00.001Z"}]}, "granted"),
        ("user:ana", "read", "p1", {"chain": [{"id": "a", "allow": ["write"]}]}, "outside_credential_scope"),
        ("user:ana", "read", "p1", {"chain": [{"id": "a", "allow": []}]}, "outside_credential_scope"),
        ("user:ana", "read", "p1", {"credential": {"authorities": ["run"]}}, "outside_credential_scope"),
        ("user:ana", "read", "p1", {"credential": {"scopes": ["p1@main"]}}, "outside_credential_scope"),
        ("user:ana", "read", "p1@main:a", {"credential": {"scopes": ["p2", "p1@main"]}}, "granted"),
        ("user:ana", "read", "p1@main", {"credential": {"scopes": ["/"]}}, "outside_credential_scope"),
        ("user:ana", "read", "/skills", {"credential": {"scopes": ["*"]}}, "outside_credential_scope"),
        ("user:ana", "read", "/skills", {"credential": {"scopes": ["/"]}}, "granted"),
        ("user:ana", "write", "p1", {"credential": {"authorities": ["read"]}}, "not_granted"),
        (
            "user:ana",
            "read",
            "p1@x",
            {"chain": [{"id": "a", "deny": [{"authorities": ["read"], "on": "*@x"}]}, CHILD]},
            "denied_by_rule",
        ),
    ],
    "8. approval comes last, and only what is covered needs it": [
        ("user:ana", "approve", "p9@main", {}, "approval_required"),
        ("user:ana", "approve", "p9@main:a", {}, "approval_required"),
        ("user:ana", "approve", "p9@main", {"approved": True}, "granted"),
        ("user:ana", "approve", "p9@main", {"credential": {"authorities": []}}, "outside_credential_scope"),
        ("user:mo", "delete", "p9@x", {}, "approval_required"),
        ("user:mo", "delete", "p9@x:a", {}, "granted"),
        ("user:mo", "delete", "p9", {}, "granted"),
    ],
    "1.6 a subtree is allowed if all of it is, existing or not; a rule counts if it covers anything in it": [
        ("user:ana", "read", "p1", {"subtree": True}, "granted"),
        ("user:ana", "write", "p1@x", {"subtree": True}, "granted"),
        ("user:ana", "write", "p2", {"subtree": True}, "subtree_narrowed"),
        ("user:ana", "write", "p2@y", {"subtree": True}, "granted"),
        ("user:ana", "write", "p2@main", {"subtree": True}, "not_granted"),
        ("user:mo", "delete", "p9@x", {"subtree": True, "approved": True}, "subtree_narrowed"),
        ("user:mo", "delete", "p9@x:logs", {"subtree": True}, "denied_by_rule"),
        ("user:mo", "delete", "p9@x:log", {"subtree": True}, "granted"),
        ("user:mo", "delete", "p5@x:a", {"subtree": True}, "not_granted"),
        ("user:cy", "delete", "p1", {"subtree": True, **MFA}, "approval_required"),
        ("user:cy", "delete", "p1@x:a", {"subtree": True, **MFA}, "granted"),
        ("user:ana", "approve", "p3@x:designs/current", {"subtree": True}, "granted"),
        ("user:cy", "approve", "p3", {"subtree": True, **MFA}, "approval_required"),
        ("user:cy", "approve", "p3@x", {"subtree": True, **MFA}, "granted"),
        ("user:di", "configure", "/", {"subtree": True}, "subtree_narrowed"),
        ("user:di", "share", "/", {"subtree": True}, "subtree_narrowed"),
        ("user:di", "share", "/skills", {"subtree": True}, "granted"),
        (
            "user:ana",
            "read",
            "p1@x",
            {"subtree": True, "credential": {"scopes": ["p1@x:a"]}},
            "outside_credential_scope",
        ),
        (
            "user:ana",
            "read",
            "p1",
            {"subtree": True, "chain": [{"id": "a", "deny": [{"authorities": ["read"], "on": "*@z:q"}]}]},
            "subtree_narrowed",
        ),
    ],
}


@pytest.mark.parametrize("sentence", CASES)
def test_by_hand(decider: LineDecider, sentence: str) -> None:
    """What the sentence says of each case."""
    expected = [(*case[:4], case[4]) for case in CASES[sentence]]
    found = [(*case[:4], ask(decider, *case[:4])["reason"]) for case in CASES[sentence]]
    assert found == expected


@pytest.mark.parametrize(
    ("asked", "enforced", "shadow"),
    [
        pytest.param(("user:ana", "write", "p1"), "not_granted", ("allow", "granted"), id="replaced"),
        pytest.param(("user:ana", "read", "p1"), "granted", None, id="no-other-outcome"),
        pytest.param(("user:ana", "read", "p9@main"), "granted", ("deny", "no_grant"), id="removed"),
        pytest.param(("user:ana", "write", "p9@x"), "no_grant", None, id="not-concerned"),
        pytest.param(("user:mo", "write", "p9@main"), "granted", None, id="something-else-grants-it"),
        pytest.param(("user:gus", "read", "p1"), "account_inactive", None, id="other-account"),
    ],
)
def test_candidate_by_hand(
    decider: LineDecider, asked: tuple[str, str, str], enforced: str, shadow: tuple[str, str] | None
) -> None:
    """The candidate is decided beside, never acts, and is told where the outcome is another (spec 1.8)."""
    answer = ask(decider, *asked, {})
    told = answer["shadow"] and (answer["shadow"]["outcome"], answer["shadow"]["reason"])
    assert (answer["reason"], told) == (enforced, shadow)
