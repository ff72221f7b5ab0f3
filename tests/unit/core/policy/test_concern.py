"""Whom a candidate concerns."""

from dataclasses import replace

import pytest

from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    DenyEntry,
    GroupEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
)

READ = mask_of([Authority.READ])
ENFORCED = PolicyDocument(
    "acme",
    roles=(
        RoleEntry("Lead", "Designer"),
        RoleEntry("Sublead", "Lead"),
        RoleEntry("Guest", "Member"),
        RoleEntry("Idle", "Viewer"),
    ),
    members=(
        MemberEntry("user:own", roles=("Member",)),
        MemberEntry("user:grouped", roles=("Member",), groups=("fiber",)),
        MemberEntry("user:guest", roles=("Guest",)),
        MemberEntry("user:plain", roles=("Operator",)),
    ),
    groups=(GroupEntry("fiber"), GroupEntry("copper")),
    bindings=(
        BindingEntry("b1", "user:own", "Sublead", ALL_PROJECTS),
        BindingEntry("b2", "group:fiber", "Lead", ALL_PROJECTS),
        BindingEntry("b3", "user:plain", "Viewer", ALL_PROJECTS),
    ),
    denies=(DenyEntry("d1", "role:Operator", READ, ALL_PROJECTS), DenyEntry("d2", "agent:x", READ, ALL_PROJECTS)),
)
ALL = {"user:own", "user:grouped", "user:guest", "user:plain"}


@pytest.mark.parametrize(
    ("candidate", "concerned"),
    [
        pytest.param(Candidate(), set(), id="empty"),
        pytest.param(Candidate(bindings=(ENFORCED.bindings[0],)), set(), id="the-same-again"),
        pytest.param(Candidate(roles=(ENFORCED.roles[0],)), set(), id="the-same-role-again"),
        pytest.param(
            Candidate(bindings=(BindingEntry("b9", "user:plain", "Admin", ALL_PROJECTS),)),
            {"user:plain"},
            id="own-binding",
        ),
        pytest.param(
            Candidate(bindings=(replace(ENFORCED.bindings[0], who="user:plain"),)),
            {"user:own", "user:plain"},
            id="binding-changes-hands",
        ),
        pytest.param(Candidate(remove=("b1",)), {"user:own"}, id="own-binding-removed"),
        pytest.param(Candidate(remove=("b2",)), {"user:grouped"}, id="group-binding-removed"),
        pytest.param(
            Candidate(denies=(DenyEntry("d9", "group:fiber", READ, ALL_PROJECTS),)), {"user:grouped"}, id="group-deny"
        ),
        pytest.param(
            Candidate(bindings=(BindingEntry("b9", "group:copper", "Admin", ALL_PROJECTS),)), set(), id="empty-group"
        ),
        pytest.param(
            Candidate(denies=(DenyEntry("d9", "role:Guest", READ, ALL_PROJECTS),)), {"user:guest"}, id="role-deny"
        ),
        pytest.param(Candidate(remove=("d1",)), {"user:plain"}, id="role-deny-removed"),
        pytest.param(
            Candidate(roles=(RoleEntry("Lead", "Viewer"),)), {"user:own", "user:grouped"}, id="role-and-clones-of-it"
        ),
        pytest.param(Candidate(roles=(RoleEntry("Guest", "Operator"),)), {"user:guest"}, id="organization-role"),
        pytest.param(Candidate(roles=(RoleEntry("Idle", "Admin"),)), set(), id="role-nobody-has"),
        pytest.param(Candidate(members=(MemberEntry("user:own"),)), {"user:own"}, id="membership"),
        pytest.param(Candidate(remove=("member:user:own",)), {"user:own"}, id="no-longer-a-member"),
        pytest.param(Candidate(members=(MemberEntry("user:new"),)), {"user:new"}, id="new-member"),
        pytest.param(
            Candidate(approvals=(ApprovalRule("a1", READ, ALL_PROJECTS),)), {*ALL, "user:new"}, id="approval-rule"
        ),
        pytest.param(Candidate(remove=("d2",)), {*ALL, "user:new"}, id="deny-on-a-link"),
    ],
)
def test_whom_it_concerns(candidate: Candidate, concerned: set[str]) -> None:
    """Exactly those who could be decided differently; everyone else pays one attribute test (spec 1.8, 7)."""
    organization = compile_document(replace(ENFORCED, candidate=candidate), 1)
    asked = ALL | {"user:new"}
    assert concerned == {account for account in asked if organization.subject(account).shadow is not None}
