"""What changed between two policy documents, by what they mean."""

from dataclasses import replace
from typing import Any

import pytest

from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.errors import Position
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import Millis
from sidegate.core.policy.diff import ChangeKind, EntryChange, FieldChange, diff_documents
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    Conditions,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
    SessionLimits,
)

READ = mask_of([Authority.READ])
P1 = parse_scope("p1")
BINDING = BindingEntry("b1", "user:ana", "Viewer", P1)
MEMBER = MemberEntry("user:ana", roles=("Member", "Auditor"), groups=("a", "b"))
EMPTY = PolicyDocument("acme")


def _said(changes: tuple[EntryChange, ...]) -> list[tuple[str, str, str]]:
    return [(change.kind.value, change.section, change.key) for change in changes]


@pytest.mark.parametrize(
    ("entry", "section", "key"),
    [
        pytest.param({"roles": (RoleEntry("R"),)}, "roles", "role:R", id="role"),
        pytest.param({"members": (MEMBER,)}, "members", "member:user:ana", id="member"),
        pytest.param({"groups": (GroupEntry("g"),)}, "groups", "group:g", id="group"),
        pytest.param({"bindings": (BINDING,)}, "bindings", "b1", id="binding"),
        pytest.param({"denies": (DenyEntry("d1", "user:ana", READ, P1),)}, "denies", "d1", id="deny"),
        pytest.param({"approvals": (ApprovalRule("a1", READ, P1),)}, "approvals", "a1", id="approval"),
        pytest.param({"keys": (KeyEntry("k1", b"x", "user:ana"),)}, "keys", "key:k1", id="key"),
    ],
)
def test_entries_that_came_or_went(entry: dict[str, Any], section: str, key: str) -> None:
    """An entry of only the second document was added, one of only the first removed; told where it stands."""
    place = Position("acme.yaml", 3, 1)
    full = replace(EMPTY, **entry, positions={key: place})
    (added,) = diff_documents(EMPTY, full)
    (removed,) = diff_documents(full, EMPTY)
    (value,) = next(iter(entry.values()))
    assert added == EntryChange(ChangeKind.ADDED, section, key, (), None, value, place)
    assert removed == EntryChange(ChangeKind.REMOVED, section, key, (), value, None, place)


def test_fields_that_changed() -> None:
    """An entry of the same id is compared field by field; told where it stands in the second document."""
    other = replace(BINDING, role="Designer", when=Conditions(mfa=True))
    place = Position("new.yaml", 9, 3)
    (change,) = diff_documents(
        replace(EMPTY, bindings=(BINDING,)), replace(EMPTY, bindings=(other,), positions={"b1": place})
    )
    expected = (
        FieldChange("role", "Viewer", "Designer"),
        FieldChange("when", Conditions(), Conditions(mfa=True)),
    )
    assert (change.kind, change.fields, change.position) == (ChangeKind.CHANGED, expected, place)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            {"bindings": (BINDING, replace(BINDING, id="b2"))},
            {"bindings": (replace(BINDING, id="b2"), BINDING)},
            id="entries",
        ),
        pytest.param(
            {"members": (MEMBER,)},
            {"members": (replace(MEMBER, roles=("Auditor", "Member"), groups=("b", "a")),)},
            id="roles-and-groups",
        ),
        pytest.param(
            {"bindings": (replace(BINDING, when=Conditions(surfaces=("web", "mobile"))),)},
            {"bindings": (replace(BINDING, when=Conditions(surfaces=("mobile", "web"))),)},
            id="conditions",
        ),
    ],
)
def test_order_is_no_difference(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Spec 1.9, P6: the order of entries, and of lists in them, means nothing."""
    assert diff_documents(replace(EMPTY, **before), replace(EMPTY, **after)) == ()


def test_settings() -> None:
    """The age of a second factor and session limits are told like entries."""
    limits = SessionLimits(idle=Millis(5))
    before = replace(EMPTY, sessions={"web": limits, "admin": limits})
    after = replace(EMPTY, mfa_max_age_s=60, sessions={"web": replace(limits, absolute=Millis(9)), "mobile": limits})
    changes = diff_documents(before, after)
    assert _said(changes) == [
        ("changed", "settings", "mfa_max_age_s"),
        ("removed", "settings", "sessions.admin"),
        ("added", "settings", "sessions.mobile"),
        ("changed", "settings", "sessions.web"),
    ]
    assert changes[0].fields == (FieldChange("mfa_max_age_s", 43200, 60),)
    assert changes[3].fields == (FieldChange("absolute", None, Millis(9)),)


def test_candidates() -> None:
    """What stands in the candidate is compared apart, its removals too; that it came or went is told."""
    one = replace(EMPTY, candidate=Candidate(bindings=(BINDING,), remove=("x", "y")))
    other = replace(EMPTY, candidate=Candidate(bindings=(replace(BINDING, role="Designer"),), remove=("y", "z")))
    assert _said(diff_documents(one, other)) == [
        ("changed", "candidate.bindings", "candidate:b1"),
        ("added", "candidate.remove", "z"),
        ("removed", "candidate.remove", "x"),
    ]
    assert _said(diff_documents(EMPTY, one))[0] == ("added", "candidate.bindings", "candidate:b1")
    assert _said(diff_documents(EMPTY, one))[-1] == ("added", "settings", "candidate")
    assert _said(diff_documents(one, EMPTY))[-1] == ("removed", "settings", "candidate")
    assert _said(diff_documents(EMPTY, replace(EMPTY, candidate=Candidate()))) == [("added", "settings", "candidate")]
    assert diff_documents(one, one) == ()
