"""A digest over what a policy document means."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

import pytest

from sidegate.core.model.authority import Authority, Mask, mask_of
from sidegate.core.model.errors import Position
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import ALL_PROJECTS, Kind, parse_scope
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.policy import digest
from sidegate.core.policy.digest import digest_of
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

READ = mask_of([Authority.READ])
WRITE = mask_of([Authority.WRITE])
ROLE = RoleEntry("R", "Designer", READ, WRITE, READ, None, None, Conditions(), None)
SECTIONED = RoleEntry("S", sections={("a",): READ, ("b",): WRITE}, ceiling=READ)
MEMBER = MemberEntry("user:ana", roles=("Member", "Operator"), groups=("copper", "fiber"))
BINDING = BindingEntry("b1", "user:ana", "R", parse_scope("p1"))
TWIN = BindingEntry("b2", "user:ana", "R", parse_scope("p1"))
DENY = DenyEntry("d1", "user:ana", READ, ALL_PROJECTS)
RULE = ApprovalRule("a1", READ, ALL_PROJECTS, None, Approvers(accounts=("user:bo", "user:cy"), groups=("g", "h")))
KEY = KeyEntry("k1", bytes(32), "user:ana", READ, (parse_scope("p1"), parse_scope("p2")))
WHOLE = PolicyDocument(
    "acme",
    1,
    (ROLE, SECTIONED),
    (MEMBER,),
    (GroupEntry("fiber"),),
    (BINDING, TWIN),
    (DENY,),
    (RULE,),
    (KEY,),
    {"web": SessionLimits(Millis(1), Millis(2))},
    Candidate(bindings=(BINDING,), remove=("d1", "b2")),
)


def with_binding(**changes: object) -> PolicyDocument:
    """The document with its first binding changed."""
    return replace(WHOLE, bindings=(replace(BINDING, **changes), TWIN))  # type: ignore[arg-type]


def with_role(**changes: object) -> PolicyDocument:
    """The document with its first role changed."""
    return replace(WHOLE, roles=(replace(ROLE, **changes), SECTIONED))  # type: ignore[arg-type]


def with_key(**changes: object) -> PolicyDocument:
    """The document with its key changed."""
    return replace(WHOLE, keys=(replace(KEY, **changes),))  # type: ignore[arg-type]


def with_rule(**changes: object) -> PolicyDocument:
    """The document with its approval rule changed."""
    return replace(WHOLE, approvals=(replace(RULE, **changes),))  # type: ignore[arg-type]


def test_a_digest_is_a_sha256_in_hexadecimal() -> None:
    """And the same every time, in every process: it is compared between sidecars."""
    assert len(digest_of(WHOLE)) == 64
    assert digest_of(WHOLE) == digest_of(WHOLE)
    assert digest_of(PolicyDocument("acme")) == EMPTY_ACME


EMPTY_ACME = "6ee851d64a20dbebc037cc2af2e2f49c1f14dc11cec0f1dd9c83521a86c2d85a"


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(replace(WHOLE, bindings=(TWIN, BINDING)), id="order-of-bindings"),
        pytest.param(replace(WHOLE, roles=(SECTIONED, ROLE)), id="order-of-roles"),
        pytest.param(
            replace(WHOLE, roles=(ROLE, replace(SECTIONED, sections={("b",): WRITE, ("a",): READ}))),
            id="order-of-sections",
        ),
        pytest.param(
            replace(WHOLE, members=(replace(MEMBER, roles=("Operator", "Member"), groups=("fiber", "copper")),)),
            id="order-in-a-member",
        ),
        pytest.param(with_key(scopes=(parse_scope("p2"), parse_scope("p1"))), id="order-of-scopes"),
        pytest.param(
            with_rule(approvers=Approvers(accounts=("user:cy", "user:bo"), groups=("h", "g"))), id="order-of-approvers"
        ),
        pytest.param(
            replace(WHOLE, candidate=Candidate(bindings=(BINDING,), remove=("b2", "d1"))), id="order-of-removals"
        ),
        pytest.param(replace(WHOLE, positions={"b1": Position("a.yaml", 1, 1)}), id="positions"),
    ],
)
def test_what_does_not_count(same: PolicyDocument) -> None:
    """The order of entries never matters (P6), nor where they were written."""
    assert digest_of(WHOLE) == digest_of(same)


CHANGES = {
    "organization": replace(WHOLE, organization="other"),
    "mfa-max-age": replace(WHOLE, mfa_max_age_s=2),
    "no-session-limits": replace(WHOLE, sessions={}),
    "idle": replace(WHOLE, sessions={"web": SessionLimits(Millis(2), Millis(2))}),
    "absolute": replace(WHOLE, sessions={"web": SessionLimits(Millis(1), Millis(3))}),
    "surface": replace(WHOLE, sessions={"admin": SessionLimits(Millis(1), Millis(2))}),
    "no-candidate": replace(WHOLE, candidate=None),
    "empty-candidate": replace(WHOLE, candidate=Candidate()),
    "candidate-entry": replace(WHOLE, candidate=Candidate(bindings=(TWIN,), remove=("d1", "b2"))),
    "candidate-removal": replace(WHOLE, candidate=Candidate(bindings=(BINDING,), remove=("d1",))),
    "one-entry-less": replace(WHOLE, bindings=(BINDING,)),
    "binding-id": with_binding(id="b9"),
    "binding-who": with_binding(who="user:bo"),
    "binding-role": with_binding(role="Viewer"),
    "binding-scope": with_binding(on=parse_scope("p1@main")),
    "binding-not-before": with_binding(not_before=UnixMillis(1)),
    "binding-not-after": with_binding(not_after=UnixMillis(1)),
    "binding-state": with_binding(state=BindingState.REMOVED),
    "binding-mfa": with_binding(when=Conditions(mfa=True)),
    "binding-mfa-false": with_binding(when=Conditions(mfa=False)),
    "binding-surfaces": with_binding(when=Conditions(surfaces=())),
    "binding-sources": with_binding(when=Conditions(sources=(ip_network("10.0.0.0/8"),))),
    "binding-purpose": with_binding(purpose="incident"),
    "role-name": with_role(name="T"),
    "role-clone": with_role(clone="Viewer"),
    "role-authorities": with_role(authorities=None),
    "role-add": with_role(add=Mask(0)),
    "role-remove": with_role(remove=Mask(0)),
    "role-sections": with_role(sections={}),
    "role-ceiling": with_role(ceiling=Mask(0)),
    "role-requires": with_role(requires=Conditions(mfa=True)),
    "role-high-risk": with_role(high_risk=False),
    "member-state": replace(WHOLE, members=(replace(MEMBER, state=AccountState.SUSPENDED),)),
    "member-roles": replace(WHOLE, members=(replace(MEMBER, roles=("Member",)),)),
    "member-groups": replace(WHOLE, members=(replace(MEMBER, groups=()),)),
    "group-directory": replace(WHOLE, groups=(GroupEntry("fiber", "CN=Fiber"),)),
    "deny-authorities": replace(WHOLE, denies=(replace(DENY, authorities=WRITE),)),
    "deny-who": replace(WHOLE, denies=(replace(DENY, who="agent:x"),)),
    "rule-kind": with_rule(kind=Kind.BRANCH),
    "rule-quorum": with_rule(quorum=2),
    "rule-ttl": with_rule(ttl=Millis(1)),
    "rule-approvers": with_rule(approvers=Approvers(None, ("user:bo", "user:cy"), ("g", "h"))),
    "key-digest": with_key(digest=bytes(31) + b"1"),
    "key-account": with_key(account="service:ci"),
    "key-authorities": with_key(authorities=None),
    "key-scopes": with_key(scopes=None),
    "key-no-scopes": with_key(scopes=()),
    "key-expires": with_key(expires_at=UnixMillis(1)),
    "key-single-use": with_key(single_use=True),
    "key-networks": with_key(networks=()),
    "key-state": with_key(state=KeyState.REVOKED),
    "key-created-by": with_key(created_by="user:bo"),
    "key-created-at": with_key(created_at=UnixMillis(1)),
    "key-rotated-at": with_key(rotated_at=UnixMillis(1)),
}


def test_everything_else_counts() -> None:
    """Every field of every entry: no two of these documents have the same digest."""
    digests = {name: digest_of(document) for name, document in {"as-is": WHOLE, **CHANGES}.items()}
    assert len(CHANGES) + 1 == len(set(digests.values()))


def test_never_much_is_sorted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting keeps the interpreter lock until it is done: of a large document pieces are sorted, then merged."""
    bindings = tuple(BindingEntry(f"b{n * 7 % 100}", "user:ana", "Viewer", parse_scope("p1")) for n in range(100))
    document = PolicyDocument("acme", bindings=bindings)
    whole = digest_of(document)
    sizes: list[int] = []

    def count(items: Iterable[str]) -> list[str]:
        found = sorted(items)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(digest, "_SORTED_AT_ONCE", 10)
    monkeypatch.setattr(digest, "sorted", count, raising=False)
    assert digest_of(replace(document, bindings=tuple(reversed(bindings)))) == whole
    assert max(sizes) == 10
