"""Who holds an effective permission."""

from ipaddress import ip_network

import pytest
from tests.unit.core.engine.asking import NOW, bind, mask, snapshot_of, withhold

from sidegate.core.engine.effective import Needs, who_can
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import Target, parse_scope, parse_target
from sidegate.core.policy.document import ApprovalRule, Conditions, GroupEntry, MemberEntry, Network, PolicyDocument

TEN, TEN_ONE, SIX = ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")
MEMBER = ("Member",)


def when(
    *, mfa: bool | None = None, surfaces: tuple[str, ...] | None = None, sources: tuple[Network, ...] | None = None
) -> Conditions:
    """Conditions of a binding."""
    return Conditions(mfa, surfaces, sources)


DOCUMENT = PolicyDocument(
    "acme",
    members=(
        MemberEntry("user:admin", roles=("Organization admin",)),
        MemberEntry("service:api", roles=("Full API Access",)),
        MemberEntry("user:group", roles=MEMBER, groups=("fiber",)),
        MemberEntry("user:viewer", roles=MEMBER),
        MemberEntry("user:ceiling", roles=("Organization viewer",)),
        MemberEntry("user:denied", roles=MEMBER, groups=("fiber",)),
        MemberEntry("user:left", AccountState.DEPROVISIONED, MEMBER, ("fiber",)),
        MemberEntry("user:field", roles=("Field operator",)),
        MemberEntry("user:office", roles=MEMBER),
        MemberEntry("user:nested", roles=MEMBER),
        MemberEntry("user:both", roles=MEMBER),
    ),
    groups=(GroupEntry("fiber"),),
    bindings=(
        bind("b1", "Designer", "p1", who="group:fiber"),
        bind("b2", "Viewer", "p1", who="user:viewer"),
        bind("b3", "Designer", "p1", who="user:ceiling"),
        bind("b4", "Designer", "p1", who="user:field"),
        bind("b5", "Designer", "p1", who="user:office", when=when(sources=(TEN, SIX), surfaces=("web", "admin"))),
        bind("b6", "Designer", "p1", who="user:nested", when=when(sources=(TEN_ONE,))),
        bind("b7", "Viewer", "p1", who="user:nested", when=when(sources=(TEN,))),
        bind("b8", "Designer", "p1", who="user:both", when=when(mfa=True)),
        bind("b9", "Designer", "p1", who="user:both", when=when(mfa=True, surfaces=("mobile",))),
    ),
    denies=(withhold("d1", "write", "*", who="user:denied"),),
    approvals=(ApprovalRule("a1", mask("write"), parse_scope("p1@main")),),
)


def test_who_may_write() -> None:
    """Every account that may, by what, and the fewest conditions under which it may."""
    holders = who_can(snapshot_of(DOCUMENT), "acme", Authority.WRITE, parse_target("acme", "p1"), NOW)
    assert {
        "service:api": (("role:Full API Access",), Needs()),
        "user:admin": (("role:Organization admin",), Needs(mfa=True)),
        "user:group": (("b1",), Needs()),
        "user:field": (("b4",), Needs(surfaces=("mobile",))),
        "user:office": (("b5",), Needs(surfaces=("admin", "web"), sources=(TEN, SIX))),
        "user:nested": (("b6",), Needs(sources=(TEN_ONE,))),
        "user:both": (("b8",), Needs(mfa=True)),
    } == {holder.account: (holder.decision.because, holder.needs) for holder in holders}
    assert sorted(holder.account for holder in holders) == [holder.account for holder in holders]


def test_what_needs_approval_is_listed_as_such() -> None:
    """The account may, once somebody else agrees."""
    holders = who_can(snapshot_of(DOCUMENT), "acme", Authority.WRITE, parse_target("acme", "p1@main"), NOW)
    assert {Reason.APPROVAL_REQUIRED} == {holder.decision.reason for holder in holders}
    assert "user:group" in {holder.account for holder in holders}


@pytest.mark.parametrize(
    ("organization", "target"),
    [
        pytest.param("nowhere", parse_target("nowhere", "p1"), id="unknown-organization"),
        pytest.param("acme", parse_target("other", "p1"), id="target-elsewhere"),
    ],
)
def test_nobody(organization: str, target: Target) -> None:
    """No members, or a target that none of them reaches."""
    assert who_can(snapshot_of(DOCUMENT), organization, Authority.READ, target, NOW) == ()


def test_asking_keeps_nobody_compiled() -> None:
    """So that a report does not empty the cache of those who work."""
    snapshot = snapshot_of(DOCUMENT)
    who_can(snapshot, "acme", Authority.READ, parse_target("acme", "p1"), NOW)
    assert snapshot.organizations["acme"].subjects_cached == 0
