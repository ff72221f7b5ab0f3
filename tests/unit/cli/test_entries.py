"""Policy entries in words."""

from ipaddress import ip_network
from typing import Any

import pytest

from sidegate.cli.entries import CitedEntry, cite, describe_citation, describe_entry, describe_role
from sidegate.core.model.authority import ALL_AUTHORITIES, NO_AUTHORITY, Authority, mask_of
from sidegate.core.model.errors import Position
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import Kind, parse_scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.builtin import BUILT_IN_ROLES
from sidegate.core.policy.document import (
    ApprovalRule,
    Approvers,
    BindingEntry,
    BindingState,
    Conditions,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    KeyState,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
)

P1 = parse_scope("p1")
READ = mask_of([Authority.READ])
SOURCES = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        pytest.param(BindingEntry("b", "user:a", "Viewer", P1), "user:a is Viewer on p1", id="binding"),
        pytest.param(
            BindingEntry(
                "b",
                "group:g",
                "Admin",
                P1,
                not_before=UnixMillis(0),
                not_after=UnixMillis(1000),
                state=BindingState.TO_BE_REMOVED,
                when=Conditions(mfa=True, surfaces=("web", "mobile"), sources=SOURCES),
                purpose="incident",
            ),
            "group:g is Admin on p1, from 1970-01-01T00:00:00.000Z, until 1970-01-01T00:00:01.000Z,"
            " state to_be_removed, with a second factor, only from surface web or mobile,"
            ' only from 10.0.0.0/8 or 2001:db8::/32, purpose "incident"',
            id="binding-with-everything",
        ),
        pytest.param(
            BindingEntry("b", "user:a", "Viewer", P1, when=Conditions(surfaces=(), sources=())),
            "user:a is Viewer on p1, only from surface none, only from nowhere",
            id="conditions-that-nothing-meets",
        ),
        pytest.param(
            DenyEntry("d", "user:a", ALL_AUTHORITIES, P1), "user:a may not everything on p1", id="deny-everything"
        ),
        pytest.param(
            ApprovalRule("r", READ, P1, Kind.BRANCH, Approvers(None, ("user:a",), ("g",)), 2),
            "read on p1 of kind branch needs 2 approvals by user:a or group:g",
            id="rule",
        ),
        pytest.param(
            ApprovalRule("r", READ, P1, approvers=Approvers(None)), "read on p1 needs 1 approval by nobody", id="nobody"
        ),
        pytest.param(
            MemberEntry("user:a", AccountState.SUSPENDED, ("Member",), ("g", "h")),
            "state suspended; roles Member; groups g, h",
            id="member",
        ),
        pytest.param(
            KeyEntry(
                "k",
                b"",
                "service:ci",
                authorities=NO_AUTHORITY,
                scopes=(P1,),
                networks=SOURCES,
                expires_at=UnixMillis(0),
                single_use=True,
                state=KeyState.REVOKED,
            ),
            "service:ci, state revoked, only none, only on p1, only from 10.0.0.0/8, 2001:db8::/32,"
            " until 1970-01-01T00:00:00.000Z, single use",
            id="key",
        ),
        pytest.param(KeyEntry("k", b"", "service:ci"), "service:ci, state active", id="plain-key"),
        pytest.param(GroupEntry("g", "CN=g"), '{"name":"g","directory":"CN=g"}', id="anything-else"),
        pytest.param("word", "word", id="word"),
    ],
)
def test_entries(entry: object, text: str) -> None:
    """Each kind of entry has its sentence."""
    assert describe_entry(entry) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("Designer", "gives read, write, run, solve", id="project"),
        pytest.param(
            "Administrator",
            "on sections /: everything; /identity: nothing, in projects at most everything",
            id="sections",
        ),
        pytest.param(
            "Field operator",
            "nothing on sections, in projects at most read, write, only from surface mobile",
            id="condition",
        ),
        pytest.param(
            "Service Accounts",
            "on sections /identity/service-accounts: read, write, delete, in projects at most nothing, high risk",
            id="high-risk",
        ),
    ],
)
def test_roles(name: str, text: str) -> None:
    """What a role gives on sections, in projects, and what it asks for."""
    assert describe_role(BUILT_IN_ROLES[name]) == text


def test_citations() -> None:
    """Entries with their places; what is built in or belongs to the credential has none."""
    place = Position("acme.yaml", 3, 1)
    given: dict[str, Any] = {
        "bindings": (BindingEntry("b", "user:a", "R", P1),),
        "denies": (DenyEntry("d", "user:a", READ, P1),),
        "approvals": (ApprovalRule("r", READ, P1),),
        "roles": (RoleEntry("R", authorities=READ),),
    }
    document = PolicyDocument("acme", positions={"b": place, "role:R": place}, **given)
    found = cite(document, ("b", "d", "r", "role:R", "role:Viewer", "role:Gone", "gone", "credential", "agent:x"))
    assert [(entry.text, entry.position) for entry in found] == [
        ("user:a is R on p1", place),
        ("user:a may not read on p1", None),
        ("read on p1 needs 1 approval by holders of approve", None),
        ("gives read", place),
        ("gives read; built in", None),
        ("no such role", None),
        ("not in the policy any more", None),
        ("the credential's own list of authorities or scopes", None),
        ("a link of the delegation chain, by its own restrictions", None),
    ]
    assert str(found[0]) == "acme.yaml:3:1: b: user:a is R on p1"
    assert str(found[1]) == "d: user:a may not read on p1"


def test_citations_without_a_policy() -> None:
    """Of an organization that nobody knows, nothing can be cited."""
    (entry,) = cite(None, ["b"])
    assert entry == CitedEntry("b", "nothing is known of this organization's policy", None)
    expected = {"id": "b", "text": entry.text, "file": None, "line": None, "column": None}
    assert describe_citation(entry) == expected
