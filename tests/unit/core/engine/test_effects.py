"""Which answers change between two policies."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from sidegate.core.engine import effects
from sidegate.core.engine.effects import Circumstance, compare_effects
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Conditions,
    DenyEntry,
    GroupEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
)

NOW = UnixMillis(1_795_262_400_000)
PLAIN = Circumstance(mfa=False, surface="web", source=None)


def _binding(entry_id: str, role: str, on: str, **given: Any) -> BindingEntry:
    return BindingEntry(entry_id, "user:ana", role, parse_scope(on), **given)


BASE = PolicyDocument(
    "acme",
    members=(MemberEntry("user:ana", roles=("Member",), groups=("g",)), MemberEntry("user:bo", roles=("Member",))),
    groups=(GroupEntry("g"),),
    bindings=(_binding("b1", "Viewer", "p1"),),
)


def _changed(after: PolicyDocument, before: PolicyDocument = BASE) -> set[tuple[str, str, str, str]]:
    found = compare_effects(compile_document(before, 1), compile_document(after, 2), NOW)
    assert found.partial == ()
    return {
        (change.account, change.authority.value, change.target.text, f"{change.before.outcome}>{change.after.outcome}")
        for change in found.changes
    }


def test_the_same_policy_changes_nothing() -> None:
    """Two policies that mean the same answer the same."""
    assert _changed(replace(BASE, bindings=tuple(reversed(BASE.bindings)))) == set()


def test_a_wider_role() -> None:
    """More authorities are more allows: on the project, on any branch of it, on any path; for nobody else."""
    changed = _changed(replace(BASE, bindings=(_binding("b1", "Designer", "p1"),)))
    assert {
        ("user:ana", authority, target, "deny>allow")
        for authority in ("write", "run", "solve")
        for target in ("p1", "p1@any", "p1@any:any")
    } == changed


def _deny(entry_id: str, on: str) -> DenyEntry:
    return DenyEntry(entry_id, "user:ana", mask_of([Authority.READ]), parse_scope(on))


def test_where_scopes_meet() -> None:
    """A deny on every main takes away where it meets the binding on p1, though no entry names that place."""
    after = replace(BASE, denies=(_deny("d1", "*@main"), _deny("d2", "*@*:a"), _deny("d3", "*@x:b"), _deny("d4", "p2")))
    assert {target for _, _, target, _ in _changed(after)} == {
        "p1@any:a",
        "p1@main",
        "p1@main:a",
        "p1@main:any",
        "p1@x:b",
    }


@pytest.mark.parametrize(
    ("after", "targets"),
    [
        pytest.param(
            replace(BASE, denies=(DenyEntry("d1", "group:g", mask_of([Authority.READ]), parse_scope("p1@*:a/b")),)),
            {"p1@any:a/b"},
            id="deny-on-a-path",
        ),
        pytest.param(
            replace(BASE, denies=(DenyEntry("d1", "role:Member", mask_of([Authority.READ]), parse_scope("/audit")),)),
            {"/audit"},
            id="deny-on-a-section",
        ),
        pytest.param(
            replace(BASE, approvals=(ApprovalRule("a1", mask_of([Authority.READ]), parse_scope("p1@any")),)),
            {"p1@any", "p1@any:any"},
            id="approval-where-a-branch-is-called-any",
        ),
    ],
)
def test_what_takes_away(after: PolicyDocument, targets: set[str]) -> None:
    """Denies and approval rules are looked into where they stand, on one target of each kind there."""
    changed = _changed(after)
    assert {kind for *_, kind in changed} == {"allow>deny"}
    assert targets == {target for account, _, target, _ in changed if account == "user:ana"}


def test_names_that_nothing_mentions() -> None:
    """What a scope leaves open gets a name that no entry has, so that it stands for all others."""
    before = replace(BASE, bindings=(_binding("b1", "Viewer", "any@any:any"),))
    after = replace(before, bindings=(*before.bindings, _binding("b2", "Viewer", "*")))
    assert "any-1@any-1:any-1" in {target for _, _, target, _ in _changed(after, before)}


def test_the_plainest_circumstance_is_told() -> None:
    """Where a condition decides, the change is found with the condition met, and that is said."""
    office = Conditions(sources=(ip_network("10.0.0.0/8"),), surfaces=("mobile",), mfa=True)
    after = replace(BASE, bindings=(_binding("b1", "Viewer", "p1"), _binding("b2", "Viewer", "p2", when=office)))
    found = compare_effects(compile_document(BASE, 1), compile_document(after, 2), NOW)
    assert {change.circumstance for change in found.changes} == {
        Circumstance(mfa=True, surface="mobile", source=ip_address("10.0.0.0"))
    }
    assert {change.target.project for change in found.changes} == {"p2"}


def test_members_that_come_and_go() -> None:
    """Accounts of either policy are compared; their organization roles count, implied bindings and sections too."""
    after = replace(BASE, members=(*BASE.members, MemberEntry("service:ci", roles=("Read-only API Access", "Gone"))))
    changed = _changed(after)
    assert {
        ("service:ci", "read", target, "deny>allow") for target in ("/", "any", "any@any", "any@any:any")
    } == changed
    assert {(*one[:3], "allow>deny") for one in changed} == _changed(BASE, after)


def test_sections_of_a_role() -> None:
    """Each section that a role names is asked about."""
    roles = (RoleEntry("Auditor", sections={("audit",): mask_of([Authority.READ])}),)
    member = MemberEntry("user:eve", roles=("Auditor",))
    changed = _changed(replace(BASE, roles=roles, members=(*BASE.members, member)))
    assert changed == {("user:eve", "read", "/audit", "deny>allow")}


def test_too_many_scopes_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account with more scopes than are looked into is named: its list of changes may not be whole."""
    monkeypatch.setattr(effects, "_MAX_SCOPES", 3)
    bindings = tuple(_binding(f"b{number}", "Viewer", scope) for number, scope in enumerate(("p1", "*@x", "*@y", "p2")))
    document = compile_document(replace(BASE, bindings=bindings), 1)
    found = compare_effects(document, document, NOW)
    assert (found.changes, found.partial) == ((), ("user:ana",))
