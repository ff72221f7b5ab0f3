"""Policies and requests for the properties, drawn by hypothesis so that a counterexample shrinks to what matters."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st

from sidegate.core.engine.decide import decide
from sidegate.core.model.authority import Authority, Mask
from sidegate.core.model.decision import Decision
from sidegate.core.model.principal import CredentialKind, Link, LinkDeny, Query, VerifiedCredential
from sidegate.core.model.target import Scope, project_target, section_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    BindingState,
    Candidate,
    Conditions,
    DenyEntry,
    GroupEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
)
from sidegate.core.policy.snapshot import Snapshot

generated = settings(max_examples=250, deadline=None, derandomize=True, database=None)
"""Deterministic, and without deadlines: timing is not what the properties test."""

NOW = UnixMillis(1_000_000)
ACCOUNTS = ("user:ana", "service:ci")
ROLES = ("Viewer", "Designer", "Reviewer", "Admin", "Custom")
ORGANIZATION_ROLES = (
    "Member",
    "Organization admin",
    "Organization viewer",
    "Field operator",
    "Full API Access",
    "Guest",
)

authorities = st.sampled_from(tuple(Authority))
masks = st.integers(0, 255).map(Mask)
some_masks = st.integers(1, 255).map(Mask)
paths = st.sampled_from([(), ("a",), ("a", "b"), ("c",)])
sections = st.sampled_from([(), ("skills",), ("skills", "fiber"), ("projects",)])
project_scopes = st.builds(
    Scope, st.none(), st.sampled_from([None, "p1", "p2"]), st.sampled_from([None, "main", "dev"]), paths
)
scopes = project_scopes | st.builds(Scope, sections, st.none(), st.none(), st.just(()))
instants = st.sampled_from([None, UnixMillis(NOW - 1), NOW, UnixMillis(NOW + 1)])
conditions = st.just(Conditions()) | st.builds(
    Conditions,
    mfa=st.sampled_from([None, True]),
    surfaces=st.sampled_from([None, ("mobile",), ("web",)]),
    sources=st.sampled_from([None, (ip_network("10.0.0.0/8"),)]),
)
members = st.builds(
    MemberEntry,
    account=st.sampled_from(ACCOUNTS),
    roles=st.lists(st.sampled_from(ORGANIZATION_ROLES), max_size=2).map(tuple),
    groups=st.sampled_from([(), ("fiber",)]),
)
bindings = st.builds(
    BindingEntry,
    id=st.just(""),
    who=st.sampled_from([*ACCOUNTS, "group:fiber"]),
    role=st.sampled_from([*ROLES, "Nobody knows"]),
    on=project_scopes,
    not_before=instants,
    not_after=instants,
    state=st.sampled_from(BindingState),
    when=conditions,
)
denies = st.builds(
    DenyEntry,
    id=st.just(""),
    who=st.sampled_from([*ACCOUNTS, "group:fiber", "role:Member", "agent:ag_1"]),
    authorities=some_masks,
    on=scopes,
)
approvals = st.builds(ApprovalRule, id=st.just(""), authorities=some_masks, on=scopes)
roles = st.tuples(
    st.builds(RoleEntry, name=st.just("Custom"), authorities=masks, requires=conditions),
    st.builds(
        RoleEntry,
        name=st.just("Guest"),
        sections=st.dictionaries(sections, masks, max_size=2),
        ceiling=masks,
        requires=conditions,
        high_risk=st.sampled_from([None, True]),
    ),
)
links = st.builds(
    Link,
    id=st.sampled_from(["ag_1", "ag_2"]),
    allow=st.none() | masks,
    scopes=st.none() | st.lists(scopes, max_size=2).map(tuple),
    deny=st.lists(st.builds(LinkDeny, some_masks, scopes), max_size=1).map(tuple),
    expires_at=instants,
)
targets = st.builds(
    lambda project, branch, path, subtree: project_target(
        "acme", project, branch, path if branch is not None else (), subtree=subtree
    ),
    st.sampled_from(["p1", "p2", "p9"]),
    st.sampled_from([None, "main", "dev", "b9"]),
    st.sampled_from([(), ("a",), ("a", "b"), ("a", "b", "x"), ("z",)]),
    st.booleans(),
) | st.builds(lambda section, subtree: section_target("acme", section, subtree=subtree), sections, st.booleans())
credentials = st.builds(
    VerifiedCredential,
    kind=st.sampled_from(CredentialKind),
    id=st.just("c1"),
    account=st.sampled_from(ACCOUNTS),
    org=st.just("acme"),
    authorities=st.none() | masks,
    scopes=st.none() | st.lists(scopes, max_size=2).map(tuple),
    chain=st.lists(links, max_size=2).map(tuple),
    second_factor_at=st.sampled_from([None, NOW]),
    surface=st.sampled_from(["web", "mobile"]),
)
queries = st.builds(
    Query,
    credential=credentials,
    authority=authorities,
    target=targets,
    source=st.sampled_from([None, ip_address("10.0.0.9")]),
    approved=st.booleans(),
)


Entry = TypeVar("Entry", BindingEntry, DenyEntry, ApprovalRule)


def numbered(letter: str, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Give each entry an id of its own."""
    return tuple(replace(entry, id=f"{letter}{place}") for place, entry in enumerate(entries))


@st.composite
def documents(draw: st.DrawFn) -> PolicyDocument:
    """A valid policy of one organization."""
    return PolicyDocument(
        "acme",
        roles=draw(roles),
        members=tuple({member.account: member for member in draw(st.lists(members, max_size=2))}.values()),
        groups=(GroupEntry("fiber"),),
        bindings=numbered("b", draw(st.lists(bindings, max_size=6))),
        denies=numbered("d", draw(st.lists(denies, max_size=2))),
        approvals=numbered("a", draw(st.lists(approvals, max_size=1))),
    )


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    """An overlay that replaces some of the first entries and adds others."""
    return Candidate(
        roles=draw(st.just(()) | roles),
        members=draw(st.lists(members, max_size=1).map(tuple)),
        bindings=numbered("b", draw(st.lists(bindings, max_size=3))),
        denies=numbered("d", draw(st.lists(denies, max_size=2))),
        approvals=numbered("a", draw(st.lists(approvals, max_size=1))),
    )


def decided(document: PolicyDocument, query: Query) -> Decision:
    """What the engine answers from *document* alone."""
    return decide(Snapshot(1, [compile_document(document, 1)]), query, NOW)
