"""Policy files become documents with the place of every entry, or every error at once (spec 6.3)."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from sidegate.config.policy_file import inspect_policy_file, load_policy_directory, load_policy_file, read_policy
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.errors import PolicyError
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import Kind, Scope
from sidegate.core.model.units import Millis, parse_instant
from sidegate.core.policy.document import (
    ApprovalRule,
    Approvers,
    BindingEntry,
    BindingState,
    Candidate,
    Conditions,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    KeyState,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
    SessionLimits,
)

WHOLE = f"""organization: acme
mfa_max_age_s: 60
roles:
  Field lead: {{clone: Designer, add: [approve], remove: [solve], high_risk: false}}
  Intern:     {{authorities: [read, run], requires: {{mfa: true}}}}
  Auditor:    {{sections: {{/audit: [read], /: []}}, ceiling: [read]}}
  Guest:      {{clone: Member, ceiling: []}}
members:
  user:ana:   {{roles: [Member], groups: [fiber]}}
  user:left:  {{state: deprovisioned}}
  service:ci: {{}}
groups:
  fiber: {{directory: "CN=Fiber,OU=Design"}}
  loose: {{}}
bindings:
  - {{id: b1, who: group:fiber, role: Designer, on: p1}}
  - id: b2
    who: user:ana
    role: Viewer
    on: "p1@*:designs/current"
    not_before: 2026-01-01T00:00:00Z
    not_after: 2026-12-01T00:00:00+01:00
    state: to_be_removed
    when: {{mfa: false, surface: mobile, source: [10.0.0.0/8, "::1"]}}
    purpose: "incident 4711"
denies:
  - {{id: d1, who: role:Member, authorities: [delete, share], on: "*"}}
  - {{id: d2, who: agent:ag_1, authorities: [read], on: /skills}}
approvals:
  - {{id: promote, authorities: [approve], on: "*@main"}}
  - id: branch-delete
    authorities: [delete]
    on: "*"
    kind: branch
    approvers: {{accounts: [user:ana], groups: [fiber]}}
    quorum: 2
    ttl_ms: 60000
keys:
  - id: 4fQz8Kd01LmNopQr
    digest: sha256:{"0a" * 32}
    account: service:ci
    authorities: [read]
    scopes: [p1, /skills]
    expires_at: 2027-01-01T00:00:00Z
    single_use: true
    networks: [10.0.0.0/8]
    state: revoked
    created_by: user:ana
    created_at: 2026-01-01T00:00:00.000Z
    rotated_at: 2026-01-02T00:00:00.000Z
sessions: {{web: {{idle_ms: 60000}}, mobile: {{absolute_ms: 120000}}}}
candidate:
  roles: {{Intern: {{authorities: [read]}}}}
  members: {{user:new: {{}}}}
  groups: {{crew: {{}}}}
  bindings: [{{id: b1, who: user:ana, role: Designer, on: p1}}]
  denies: [{{id: d1, who: user:ana, authorities: [run], on: p1}}]
  approvals: [{{id: run, authorities: [run], on: p1}}]
  remove: [b2]
"""


def test_everything_that_can_be_written() -> None:
    """Each key of spec 6.3 is read into its value."""
    read = Authority.READ
    expected = PolicyDocument(
        organization="acme",
        mfa_max_age_s=60,
        roles=(
            RoleEntry(
                "Field lead",
                "Designer",
                add=mask_of([Authority.APPROVE]),
                remove=mask_of([Authority.SOLVE]),
                high_risk=False,
            ),
            RoleEntry("Intern", authorities=mask_of([read, Authority.RUN]), requires=Conditions(mfa=True)),
            RoleEntry("Auditor", sections={("audit",): mask_of([read]), (): mask_of([])}, ceiling=mask_of([read])),
            RoleEntry("Guest", "Member", ceiling=mask_of([])),
        ),
        members=(
            MemberEntry("user:ana", roles=("Member",), groups=("fiber",)),
            MemberEntry("user:left", AccountState.DEPROVISIONED),
            MemberEntry("service:ci"),
        ),
        groups=(GroupEntry("fiber", "CN=Fiber,OU=Design"), GroupEntry("loose")),
        bindings=(
            BindingEntry("b1", "group:fiber", "Designer", Scope(None, "p1", None, ())),
            BindingEntry(
                "b2",
                "user:ana",
                "Viewer",
                Scope(None, "p1", None, ("designs", "current")),
                parse_instant("2026-01-01T00:00:00Z"),
                parse_instant("2026-11-30T23:00:00Z"),
                BindingState.TO_BE_REMOVED,
                Conditions(False, ("mobile",), (ip_network("10.0.0.0/8"), ip_network("::1"))),
                "incident 4711",
            ),
        ),
        denies=(
            DenyEntry("d1", "role:Member", mask_of([Authority.DELETE, Authority.SHARE]), Scope(None, None, None, ())),
            DenyEntry("d2", "agent:ag_1", mask_of([read]), Scope(("skills",), None, None, ())),
        ),
        approvals=(
            ApprovalRule("promote", mask_of([Authority.APPROVE]), Scope(None, None, "main", ())),
            ApprovalRule(
                "branch-delete",
                mask_of([Authority.DELETE]),
                Scope(None, None, None, ()),
                Kind.BRANCH,
                Approvers(None, ("user:ana",), ("fiber",)),
                2,
                Millis(60000),
            ),
        ),
        keys=(
            KeyEntry(
                "4fQz8Kd01LmNopQr",
                b"\x0a" * 32,
                "service:ci",
                mask_of([read]),
                (Scope(None, "p1", None, ()), Scope(("skills",), None, None, ())),
                parse_instant("2027-01-01T00:00:00Z"),
                True,
                (ip_network("10.0.0.0/8"),),
                KeyState.REVOKED,
                "user:ana",
                parse_instant("2026-01-01T00:00:00Z"),
                parse_instant("2026-01-02T00:00:00Z"),
            ),
        ),
        sessions={"web": SessionLimits(Millis(60000)), "mobile": SessionLimits(None, Millis(120000))},
        candidate=Candidate(
            (RoleEntry("Intern", authorities=mask_of([read])),),
            (MemberEntry("user:new"),),
            (GroupEntry("crew"),),
            (BindingEntry("b1", "user:ana", "Designer", Scope(None, "p1", None, ())),),
            (DenyEntry("d1", "user:ana", mask_of([Authority.RUN]), Scope(None, "p1", None, ())),),
            (ApprovalRule("run", mask_of([Authority.RUN]), Scope(None, "p1", None, ())),),
            (),
            ("b2",),
        ),
    )
    assert expected == read_policy(WHOLE.encode(), "acme.yaml").document


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("role:Intern", "5:3"),
        ("member:user:ana", "9:3"),
        ("group:fiber", "13:3"),
        ("b1", "16:5"),
        ("b2", "17:5"),
        ("d2", "28:5"),
        ("promote", "30:5"),
        ("key:4fQz8Kd01LmNopQr", "39:5"),
        ("candidate:role:Intern", "53:11"),
        ("candidate:b1", "56:14"),
        ("candidate:remove", "59:3"),
    ],
)
def test_positions(key: str, expected: str) -> None:
    """Every entry knows where it was written, so that an answer can cite its line."""
    assert f"acme.yaml:{expected}" == str(read_policy(WHOLE.encode(), "acme.yaml").document.positions[key])


def problems(text: str, name: str = "acme.yaml") -> list[str]:
    """Read *text*, which has to fail, and return what is wrong."""
    with pytest.raises(PolicyError) as caught:
        read_policy(text.encode(), name)
    return [str(problem) for problem in caught.value.problems]


def test_every_error_at_once() -> None:
    """Everything that is wrong is said in one go, in the order of the file."""
    found = problems(f"""organization: acme
member: {{}}
roles: {{X: {{authority: [read]}}, Y: {{authorities: [reed, read]}}}}
bindings:
  - {{id: b1, who: fiber, role: Designer, on: p1:x}}
  - {{id: b1, who: user:ana, role: 1.10, on: "p1@main", not_after: }}
  - {{id: b3, who: user:bo, on: p2, not_after: 2026-12-01, when: {{source: [10.0.0.1/8], mfa: yes}}}}
denies:
  - {{id: d1, who: user:ana, authorities: [], on: "*"}}
keys: [{{id: x, digest: y, account: z}}, {{id: {"a" * 16}, digest: sha256:{"A" * 64}, account: user:a}}]
""")
    assert [line.split(";")[0].removeprefix("acme.yaml:") for line in found] == [
        "2:1: `member` is not known",
        "3:13: `roles.X.authority` is not known",
        "3:51: `roles.Y.authorities[0]` is 'reed'",
        "5:19: `bindings[0].who` is 'fiber'",
        "5:46: `bindings[0].on` is 'p1:x'",
        "6:35: `bindings[1].role` is 1.10",
        "6:56: `bindings[1].not_after` is empty",
        "7:5: `bindings[2].role` is missing",
        "7:47: `bindings[2].not_after` is '2026-12-01'",
        "7:75: `bindings[2].when.source[0]` is '10.0.0.1/8'",
        "7:93: `bindings[2].when.mfa` is 'yes'",
        "9:42: `denies[0].authorities` is a list",
        "10:13: `keys[0].id` is 'x'",
        "10:24: `keys[0].digest` is 'y'",
        "10:36: `keys[0].account` is 'z'",
        f"10:71: `keys[1].digest` is 'sha256:{'A' * 64}'",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "acme.yaml:1:1: `organization` is missing; add it, e.g. `organization: acme`", id="empty"),
        pytest.param("bindings: []", "acme.yaml:1:1: `organization` is missing; ", id="nameless"),
        pytest.param("[]", "acme.yaml:1:1: `file` is a list; write a mapping", id="list"),
        pytest.param("organization: [", "`file` cannot be read: ", id="syntax"),
        pytest.param(
            "organization: -acme", "`organization` is '-acme'; organization `-acme` is not a name", id="no-name"
        ),
        pytest.param(
            "organization: acme\nbindings:\n  - {id: a, who: user:a, role: V, on: p}\n"
            "  - {id: a, who: user:a, role: V, on: p}",
            "acme.yaml:4:5: `a` stands more than once; ",
            id="same-id-twice",
        ),
        pytest.param(
            "organization: acme\ndenies: [{id: d, who: role:Nobody, authorities: [read], on: p}]",
            "acme.yaml:2:10: `d` is for the role `Nobody`, which nobody knows",
            id="deny-for-nobody",
        ),
        pytest.param(
            "organization: acme\nroles: {A: {clone: B}, B: {clone: A}}",
            "acme.yaml:2:9: `role:A` ",
            id="circle-of-clones",
        ),
        pytest.param(
            "organization: acme\ncandidate: {remove: [none]}",
            "acme.yaml:2:13: `candidate:remove` holds `none`, which nothing is called",
            id="candidate-removes-nothing",
        ),
        pytest.param(
            "organization: acme\nmembers: {'user:a\x7f': {}}", "holds a control character", id="control-character"
        ),
        pytest.param(
            "organization: acme\nmembers: {ana: {}}",
            "2:11: `members.ana` is 'ana'; write user:ID or service:ID",
            id="member",
        ),
        pytest.param(
            "organization: acme\nroles: {X: {sections: {audit: [read]}}}",
            "`roles.X.sections.audit` is 'audit'; section `audit` does not start with `/`",
            id="section",
        ),
    ],
)
def test_refused(text: str, expected: str) -> None:
    """Each mistake is refused with its place, also one that shows only in the whole document."""
    assert expected in problems(text)[0]


def test_warnings_do_not_refuse() -> None:
    """What fails safe is said and used: a binding to an unknown role grants nothing (spec 1.5)."""
    text = "organization: acme\nmembers: {user:a: {}}\nbindings: [{id: b, who: user:a, role: Viewr, on: p}]"
    loaded = read_policy(text.encode(), "acme.yaml")
    assert [str(warning) for warning in loaded.warnings] == [
        "acme.yaml:3:12: `b` gives the role `Viewr`, which nobody knows: it grants nothing; did you mean `Viewer`?"
    ]


def test_file(tmp_path: Path) -> None:
    """A file is read by its path, and its positions show that path."""
    path = tmp_path / "acme.yaml"
    path.write_text(WHOLE)
    assert load_policy_file(path) == inspect_policy_file(path).document
    assert load_policy_file(path).positions["b1"].file == str(path)
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        load_policy_file(tmp_path / "none.yaml")


def test_directory(tmp_path: Path) -> None:
    """A folder holds one file per organization; everything wrong in any of them is said."""
    for name in ("globex", "acme"):
        (tmp_path / f"{name}.yaml").write_text(f"organization: {name}")
    (tmp_path / "README.md").write_text("no policy")
    loaded = load_policy_directory(tmp_path)
    assert [one.document.organization for one in loaded] == ["acme", "globex"]
    (tmp_path / "acme.yml").write_text("organization: acme")
    (tmp_path / "other.yaml").write_text("organization: acme")
    with pytest.raises(PolicyError) as caught:
        load_policy_directory(tmp_path)
    assert [problem.hint for problem in caught.value.problems] == ["put both into one file"] * 2
    with pytest.raises(PolicyError, match="`policy` cannot be read: No such file"):
        load_policy_directory(tmp_path / "none")
