"""The nine checks in their order."""

from dataclasses import replace

import pytest
from tests.unit.core.engine.asking import ANA, NOW, ask, bind, mask, policy, scopes, snapshot_of, subject_of, withhold

from sidegate.core.engine.decide import decide, decide_all, decide_all_subject, decide_subject
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy
from sidegate.core.model.errors import InvariantError
from sidegate.core.model.principal import AccountState, Link, LinkDeny, Query
from sidegate.core.model.target import Kind, parse_scope, parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    BindingState,
    Conditions,
    GroupEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
)

ALLOW = Reason.GRANTED
MFA = Conditions(mfa=True)
MOBILE = Conditions(surfaces=("mobile",))


def answer(document: PolicyDocument, query: Query) -> tuple[Reason, tuple[str, ...]]:
    """Reason and citations; the outcome follows from the reason."""
    decision = decide(snapshot_of(document), query, NOW)
    assert (decision.reason is ALLOW) is (decision.outcome is Outcome.ALLOW)
    return decision.reason, decision.because


# -- the example of spec 1.5, 6 ---------------------------------------------------------------------------------------

EXAMPLE = policy(
    bind("v1", "Viewer", "p1"),
    bind("d1", "Designer", "p1@x"),
    bind("d2", "Designer", "p2"),
    bind("v2", "Viewer", "p2@main"),
    bind("d3", "Designer", "p3"),
    bind("v4", "Viewer", "p4"),
)


@pytest.mark.parametrize(
    ("target", "reason", "because"),
    [
        pytest.param("p1@x:a", ALLOW, ("d1",), id="designer-on-branch-x"),
        pytest.param("p1@y:a", Reason.NOT_GRANTED, ("v1",), id="viewer-elsewhere"),
        pytest.param("p1", Reason.NOT_GRANTED, ("v1",), id="viewer-on-the-project"),
        pytest.param("p2@y:a", ALLOW, ("d2",), id="designer-on-every-branch"),
        pytest.param("p2@main:a", Reason.NOT_GRANTED, ("v2",), id="but-main"),
        pytest.param("p3@main:a", ALLOW, ("d3",), id="designer-on-one-project"),
        pytest.param("p4@main:a", Reason.NOT_GRANTED, ("v4",), id="viewer-on-another"),
        pytest.param("p5@main:a", Reason.NO_GRANT, (), id="nothing-on-a-third"),
    ],
)
def test_the_narrowest_grant_wins(target: str, reason: Reason, because: tuple[str, ...]) -> None:
    """The example sentence of spec 1.5, 6."""
    assert (reason, because) == answer(EXAMPLE, ask("write", target))


# -- each check, and that it comes before the next --------------------------------------------------------------------

EVERYTHING_WRONG = policy(
    roles=("Organization viewer",),
    members=(MemberEntry(ANA, AccountState.SUSPENDED, ("Organization viewer",)),),
    denies=(withhold("d1", "write", "*"),),
    approvals=(ApprovalRule("a1", mask("write"), parse_scope("*")),),
)
OUTSIDE = ask("write", "p1", authorities=mask("read"))


def repaired(*steps: str) -> PolicyDocument:
    """The policy in which everything is wrong, with these things made right."""
    document = EVERYTHING_WRONG
    for step in steps:
        match step:
            case "active":
                document = replace(document, members=(MemberEntry(ANA, roles=("Organization viewer",)),))
            case "no-deny":
                document = replace(document, denies=())
            case "ceiling":
                document = replace(document, members=(MemberEntry(ANA, roles=("Member",)),))
            case "bound":
                document = replace(document, bindings=(bind("b1", "Viewer", "p1"),))
            case _:
                document = replace(document, bindings=(bind("b1", "Designer", "p1"),))
    return document


@pytest.mark.parametrize(
    ("document", "query", "reason"),
    [
        pytest.param(
            EVERYTHING_WRONG,
            replace(OUTSIDE, target=parse_target("other", "p1")),
            Reason.CROSS_ORG,
            id="1-organization",
        ),
        pytest.param(EVERYTHING_WRONG, OUTSIDE, Reason.ACCOUNT_INACTIVE, id="2-active"),
        pytest.param(replace(EVERYTHING_WRONG, members=()), OUTSIDE, Reason.NOT_A_MEMBER, id="2-member"),
        pytest.param(repaired("active"), OUTSIDE, Reason.DENIED_BY_RULE, id="3-denies"),
        pytest.param(repaired("active", "no-deny"), OUTSIDE, Reason.ABOVE_CEILING, id="5-ceiling"),
        pytest.param(repaired("active", "no-deny", "ceiling"), OUTSIDE, Reason.NO_GRANT, id="6-no-grant"),
        pytest.param(
            repaired("active", "no-deny", "ceiling", "bound"), OUTSIDE, Reason.NOT_GRANTED, id="6-not-granted"
        ),
        pytest.param(
            repaired("active", "no-deny", "ceiling", "granted"),
            OUTSIDE,
            Reason.OUTSIDE_CREDENTIAL_SCOPE,
            id="7-credential",
        ),
        pytest.param(
            repaired("active", "no-deny", "ceiling", "granted"),
            ask("write", "p1"),
            Reason.APPROVAL_REQUIRED,
            id="8-approval",
        ),
        pytest.param(
            repaired("active", "no-deny", "ceiling", "granted"), ask("write", "p1", approved=True), ALLOW, id="9-allow"
        ),
    ],
)
def test_the_first_check_that_fails_gives_the_reason(document: PolicyDocument, query: Query, reason: Reason) -> None:
    """The order of spec 1.5: each repaired thing shows the next."""
    assert reason is answer(document, query)[0]


def test_an_unknown_organization_has_no_members() -> None:
    """And an account of it acts nowhere else either."""
    query = ask("read", "p1", org="nowhere")
    assert Reason.CROSS_ORG is answer(policy(), query)[0]
    at_home = replace(query, target=parse_target("nowhere", "p1"))
    assert Reason.NOT_A_MEMBER is answer(policy(), at_home)[0]


@pytest.mark.parametrize("state", [AccountState.SUSPENDED, AccountState.DEPROVISIONED])
def test_inactive_accounts(state: AccountState) -> None:
    """Whatever they hold."""
    document = policy(bind("b1", "Admin", "*"), members=(MemberEntry(ANA, state, ("Member",)),))
    assert answer(document, ask("read", "p1")) == (Reason.ACCOUNT_INACTIVE, ())


# -- 3 denies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "on", "target", "because"),
    [
        pytest.param(ANA, "*", "p1", ("d1",), id="account"),
        pytest.param("group:fiber", "p1@main", "p1@main:a", ("d1",), id="group"),
        pytest.param("role:Member", "*@main", "p1@main", ("d1",), id="organization-role"),
        pytest.param("role:Field operator", "*", "p1", ("d1",), id="role-with-unmet-condition"),
        pytest.param("agent:ag_1", "*", "p1", ("d1",), id="link-by-id"),
        pytest.param("agent:ag_2", "p1@*:a", "p1@x:a/b", ("d1",), id="inner-link-by-id"),
        pytest.param("group:copper", "*", "p1", None, id="another-group"),
        pytest.param("role:Operator", "*", "p1", None, id="another-role"),
        pytest.param("agent:ag_3", "*", "p1", None, id="another-link"),
        pytest.param(ANA, "p2", "p1", None, id="another-scope"),
        pytest.param(ANA, "p1@main", "p1", None, id="below-the-target"),
        pytest.param(ANA, "/", "p1", None, id="sections-never-cover-projects"),
    ],
)
def test_denies(who: str, on: str, target: str, because: tuple[str, ...] | None) -> None:
    """Any deny that applies to the principal and covers the target; never overridden (spec 1.5, 3)."""
    document = policy(
        bind("b1", "Admin", target),
        bind("b2", "Admin", "*"),
        roles=("Member", "Field operator"),
        groups=(GroupEntry("copper"),),
        denies=(withhold("d1", "write", on, who=who),),
    )
    query = ask("write", target, chain=(Link("ag_1"), Link("ag_2")))
    expected = (Reason.DENIED_BY_RULE, because) if because else (ALLOW, answer(document, ask("read", target))[1])
    assert expected == answer(document, query)
    assert ALLOW is answer(document, ask("read", target, chain=(Link("ag_1"),)))[0]


def test_all_that_withholds_is_cited() -> None:
    """Entries by id in order, then links that do so themselves, each once."""
    document = policy(
        bind("b1", "Admin", "*"),
        denies=(
            withhold("d3", "write", "p1"),
            withhold("d1", "write", "*", who="group:fiber"),
            withhold("d2", "write", "*", who="agent:ag_1"),
        ),
    )
    own = Link("ag_1", deny=(LinkDeny(mask("write"), parse_scope("*")), LinkDeny(mask("write"), parse_scope("p1"))))
    query = ask("write", "p1", chain=(Link("ag_0"), own, own))
    assert answer(document, query) == (Reason.DENIED_BY_RULE, ("d1", "d2", "d3", "agent:ag_1"))


def test_a_links_own_deny() -> None:
    """Of the authority asked, on a scope that covers the target."""
    document = policy(bind("b1", "Admin", "*"))
    own = (Link("ag_1", deny=(LinkDeny(mask("write"), parse_scope("p1")),)),)
    assert answer(document, ask("write", "p1@main", chain=own)) == (Reason.DENIED_BY_RULE, ("agent:ag_1",))
    assert ALLOW is answer(document, ask("read", "p1", chain=own))[0]
    assert ALLOW is answer(document, ask("write", "p2", chain=own))[0]


# -- 4 sections -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "authority", "target", "reason", "because"),
    [
        pytest.param(("Member",), "read", "/skills/fiber", ALLOW, ("role:Member",), id="root-section"),
        pytest.param(("Member",), "write", "/projects", ALLOW, ("role:Member",), id="longest"),
        pytest.param(("Member",), "read", "/projects", Reason.NOT_GRANTED, ("role:Member",), id="longest-replaces"),
        pytest.param(
            ("Administrator",),
            "read",
            "/identity/roles",
            Reason.NOT_GRANTED,
            ("role:Administrator",),
            id="longest-none",
        ),
        pytest.param(("Administrator", "Member"), "read", "/identity", ALLOW, ("role:Member",), id="union-over-roles"),
        pytest.param(
            ("Member", "Operator"), "read", "/reports", ALLOW, ("role:Member", "role:Operator"), id="all-that-give"
        ),
        pytest.param(("Operator",), "read", "/skills", Reason.NOT_GRANTED, (), id="no-section-covers"),
        pytest.param(("Operator",), "read", "/", Reason.NOT_GRANTED, (), id="no-section-covers-the-root"),
        pytest.param(("Unknown",), "read", "/", Reason.NOT_GRANTED, (), id="unknown-role"),
        pytest.param((), "read", "/", Reason.NOT_GRANTED, (), id="no-role"),
        pytest.param(
            ("API Clients",),
            "read",
            "/identity/api-clients",
            Reason.MFA_REQUIRED,
            ("role:API Clients",),
            id="high-risk",
        ),
    ],
)
def test_sections(
    roles: tuple[str, ...], authority: str, target: str, reason: Reason, because: tuple[str, ...]
) -> None:
    """Union over the roles of each one's longest section (spec 1.5, 4); bindings and ceilings play no part."""
    assert (reason, because) == answer(policy(bind("b1", "Admin", "*"), roles=roles), ask(authority, target))


# -- 5 ceiling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "authority", "reason", "because"),
    [
        pytest.param((), "read", Reason.ABOVE_CEILING, (), id="no-role-no-ceiling"),
        pytest.param(("Unknown",), "read", Reason.ABOVE_CEILING, (), id="unknown-role"),
        pytest.param(("Viewer",), "read", Reason.ABOVE_CEILING, (), id="project-role-through-membership"),
        pytest.param(
            ("Organization viewer",), "write", Reason.ABOVE_CEILING, ("role:Organization viewer",), id="below-the-grant"
        ),
        pytest.param(("Organization viewer",), "read", ALLOW, ("b1",), id="inside"),
        pytest.param(("Operator", "Organization viewer"), "run", ALLOW, ("b1",), id="union"),
        pytest.param(
            ("Operator", "Organization viewer"),
            "write",
            Reason.ABOVE_CEILING,
            ("role:Operator", "role:Organization viewer"),
            id="above-all",
        ),
        pytest.param(("Field operator",), "write", Reason.SURFACE, ("role:Field operator",), id="unmet-condition"),
        pytest.param(
            ("Field operator",), "run", Reason.ABOVE_CEILING, ("role:Field operator",), id="above-even-when-met"
        ),
    ],
)
def test_ceiling(roles: tuple[str, ...], authority: str, reason: Reason, because: tuple[str, ...]) -> None:
    """No grant ever exceeds the union of the organization roles' ceilings (spec 1.5, 5)."""
    assert (reason, because) == answer(policy(bind("b1", "Admin", "*"), roles=roles), ask(authority, "p1"))


def test_a_met_condition_lifts_the_ceiling() -> None:
    """Field operators on ``mobile``."""
    document = policy(bind("b1", "Admin", "*"), roles=("Field operator",))
    assert answer(document, ask("write", "p1", surface="mobile")) == (ALLOW, ("b1",))


# -- 6 conditions of grants -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bindings", "credential", "reason", "because"),
    [
        pytest.param([bind("b1", "Designer", "p1", when=MFA)], {}, Reason.MFA_REQUIRED, ("b1",), id="unmet"),
        pytest.param([bind("b1", "Designer", "p1", when=MFA)], {"second_factor_at": NOW}, ALLOW, ("b1",), id="met"),
        pytest.param(
            [bind("b1", "Designer", "p1", when=MFA), bind("b2", "Designer", "*")],
            {},
            Reason.MFA_REQUIRED,
            ("b1",),
            id="an-unmet-condition-never-widens",
        ),
        pytest.param(
            [bind("b1", "Viewer", "p1", when=MFA), bind("b2", "Designer", "*")],
            {},
            Reason.NOT_GRANTED,
            ("b1",),
            id="nor-when-it-would-not-give-it",
        ),
        pytest.param(
            [bind("b1", "Designer", "p1", when=MFA), bind("b2", "Designer", "p1")],
            {},
            ALLOW,
            ("b2",),
            id="another-gives",
        ),
        pytest.param(
            [bind("b1", "Designer", "p1", when=MFA), bind("b2", "Designer", "p1")],
            {"second_factor_at": NOW},
            ALLOW,
            ("b1", "b2"),
            id="both-give",
        ),
        pytest.param(
            [
                bind("b1", "Designer", "p1", when=Conditions(mfa=True, surfaces=("mobile",))),
                bind("b2", "Designer", "p1", when=MOBILE),
            ],
            {},
            Reason.SURFACE,
            ("b2",),
            id="fewest-unmet-first-wherever-it-stands",
        ),
        pytest.param(
            [
                bind("b1", "Designer", "p1", when=MOBILE),
                bind("b2", "Designer", "p1", when=MFA),
                bind("b3", "Designer", "p1", when=MFA),
            ],
            {},
            Reason.MFA_REQUIRED,
            ("b2", "b3"),
            id="ties-by-order",
        ),
        pytest.param(
            [
                bind("b1", "Designer", "p1", when=MFA),
                bind("b2", "Designer", "p1", when=Conditions(mfa=True, surfaces=("mobile",))),
            ],
            {},
            Reason.MFA_REQUIRED,
            ("b1",),
            id="what-misses-more-is-not-cited",
        ),
        pytest.param(
            [bind("b1", "Viewer", "p1", when=MFA), bind("b2", "Designer", "p1", when=MOBILE)],
            {},
            Reason.SURFACE,
            ("b2",),
            id="only-of-those-that-would-give",
        ),
        pytest.param(
            [bind("b1", "Careful", "p1", when=MOBILE)],
            {"surface": "mobile"},
            Reason.MFA_REQUIRED,
            ("b1",),
            id="the-roles-own",
        ),
    ],
)
def test_conditions_of_bindings(
    bindings: list[BindingEntry], credential: dict[str, object], reason: Reason, because: tuple[str, ...]
) -> None:
    """An unmet condition gives nothing, stays in the way, and is told when it alone is missing (spec 1.5)."""
    document = replace(policy(*bindings), roles=(RoleEntry("Careful", "Designer", requires=MFA),))
    assert (reason, because) == answer(document, ask("write", "p1", **credential))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("used", "reason"),
    [
        pytest.param(NOW - 43_200_001, Reason.MFA_REQUIRED, id="older-than-twelve-hours"),
        pytest.param(NOW - 43_200_000, ALLOW, id="twelve-hours-old"),
    ],
)
def test_age_of_a_second_factor(used: int, reason: Reason) -> None:
    """At most ``mfa_max_age_s`` old."""
    document = policy(bind("b1", "Viewer", "p1", when=MFA))
    assert reason is answer(document, ask("read", "p1", second_factor_at=UnixMillis(used)))[0]


def test_implied_bindings() -> None:
    """Admin on ``*``, with the conditions of the organization role; a narrower binding outranks it."""
    document = policy(bind("b1", "Viewer", "p1"), roles=("Organization admin", "Member"))
    admin = ("role:Organization admin",)
    assert (Reason.MFA_REQUIRED, admin) == answer(document, ask("delete", "p2"))
    assert (ALLOW, admin) == answer(document, ask("delete", "p2", second_factor_at=NOW))
    assert answer(document, ask("delete", "p1", second_factor_at=NOW)) == (Reason.NOT_GRANTED, ("b1",))


def test_services_need_no_second_factor() -> None:
    """High risk implies ``mfa`` for user accounts only (spec 1.5)."""
    document = policy(members=(MemberEntry("service:ci", roles=("Full API Access",)),))
    query = ask("delete", "p2", account="service:ci")
    assert answer(document, query) == (ALLOW, ("role:Full API Access",))


def test_pending_and_unknown() -> None:
    """A pending binding is not there; one of an unknown role is, and gives nothing."""
    pending = replace(bind("b1", "Viewer", "p1@main"), state=BindingState.TO_BE_ADDED)
    document = policy(pending, bind("b2", "Viewer", "p1"), bind("b3", "Nobody knows", "p1@dev"))
    assert answer(document, ask("read", "p1@main")) == (ALLOW, ("b2",))
    assert answer(document, ask("read", "p1@dev")) == (Reason.NOT_GRANTED, ("b3",))


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        pytest.param(-1, Reason.NOT_GRANTED, id="before"),
        pytest.param(0, ALLOW, id="at-the-beginning"),
        pytest.param(9, ALLOW, id="until-the-end"),
        pytest.param(10, Reason.NOT_GRANTED, id="at-the-end"),
    ],
)
def test_elevations_begin_and_end_on_time(offset: int, reason: Reason) -> None:
    """A lapsed elevation equals none, and so does one to come (spec 1.5)."""
    elevation = replace(bind("e1", "Designer", "p1"), not_before=NOW, not_after=UnixMillis(NOW + 10))
    subject = subject_of(policy(bind("b1", "Viewer", "p1"), elevation))
    assert reason is decide_subject(subject, ask("write", "p1"), UnixMillis(NOW + offset)).reason


# -- 7 credential restrictions ----------------------------------------------------------------------------------------


def links(count: int, **fields: object) -> tuple[Link, ...]:
    """A chain whose last link has *fields*."""
    return (*(Link(f"ag_{place}") for place in range(count - 1)), Link("last", **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("credential", "reason", "because"),
    [
        pytest.param({"chain": links(8)}, ALLOW, ("b1",), id="eight-links"),
        pytest.param({"chain": links(9)}, Reason.DELEGATION_TOO_LONG, (), id="nine-links"),
        pytest.param({"chain": links(9, expires_at=NOW)}, Reason.DELEGATION_TOO_LONG, (), id="length-before-expiry"),
        pytest.param({"chain": links(2, expires_at=UnixMillis(NOW + 1))}, ALLOW, ("b1",), id="one-ms-before-expiry"),
        pytest.param({"chain": links(2, expires_at=NOW)}, Reason.DELEGATION_EXPIRED, ("agent:last",), id="at-expiry"),
        pytest.param(
            {"chain": links(2, expires_at=NOW, allow=mask("read"))},
            Reason.DELEGATION_EXPIRED,
            ("agent:last",),
            id="expiry-before-scope",
        ),
        pytest.param({"authorities": mask("write")}, ALLOW, ("b1",), id="authority-listed"),
        pytest.param({"authorities": mask("read")}, Reason.OUTSIDE_CREDENTIAL_SCOPE, ("credential",), id="not-listed"),
        pytest.param({"authorities": mask("")}, Reason.OUTSIDE_CREDENTIAL_SCOPE, ("credential",), id="empty-list"),
        pytest.param({"scopes": scopes("p2", "p1@main")}, ALLOW, ("b1",), id="one-scope-covers"),
        pytest.param({"scopes": scopes("p2")}, Reason.OUTSIDE_CREDENTIAL_SCOPE, ("credential",), id="none-covers"),
        pytest.param({"scopes": ()}, Reason.OUTSIDE_CREDENTIAL_SCOPE, ("credential",), id="no-scopes"),
        pytest.param(
            {"scopes": scopes("/")}, Reason.OUTSIDE_CREDENTIAL_SCOPE, ("credential",), id="sections-cover-no-project"
        ),
        pytest.param({"scopes": scopes("*")}, ALLOW, ("b1",), id="star-covers"),
        pytest.param(
            {"chain": links(2, allow=mask("read"))},
            Reason.OUTSIDE_CREDENTIAL_SCOPE,
            ("agent:last",),
            id="link-authority",
        ),
        pytest.param(
            {"chain": links(2, scopes=scopes("p2"))}, Reason.OUTSIDE_CREDENTIAL_SCOPE, ("agent:last",), id="link-scope"
        ),
        pytest.param(
            {"chain": links(2, scopes=scopes("p2")), "authorities": mask("read")},
            Reason.OUTSIDE_CREDENTIAL_SCOPE,
            ("credential", "agent:last"),
            id="each-that-restricts",
        ),
    ],
)
def test_credential_restrictions(credential: dict[str, object], reason: Reason, because: tuple[str, ...]) -> None:
    """Length, expiry, then every list of the credential and of each link (spec 1.5, 7)."""
    document = policy(bind("b1", "Designer", "p1"))
    assert (reason, because) == answer(document, ask("write", "p1@main:a", **credential))  # type: ignore[arg-type]


def test_projects_cover_no_section() -> None:
    """And the other way round; ``/`` covers all sections."""
    assert Reason.OUTSIDE_CREDENTIAL_SCOPE is answer(policy(), ask("read", "/skills", scopes=scopes("*")))[0]
    assert ALLOW is answer(policy(), ask("read", "/skills", scopes=scopes("/")))[0]


# -- 8 approval -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authority", "target", "subtree", "because"),
    [
        pytest.param("delete", "p1@main", False, ("rule",), id="covered"),
        pytest.param("delete", "p1", False, None, id="another-kind"),
        pytest.param("delete", "p1@main:a", False, None, id="below-its-kind"),
        pytest.param("write", "p1@main", False, None, id="another-authority"),
        pytest.param("delete", "p1", True, ("rule",), id="a-branch-in-the-subtree"),
        pytest.param("delete", "p1@main:a", True, None, id="no-branch-in-the-subtree"),
    ],
)
def test_approval(authority: str, target: str, subtree: bool, because: tuple[str, ...] | None) -> None:
    """A rule that covers (authority, target, kind) asks for approval, on subtrees anything of its kind."""
    rule = ApprovalRule("rule", mask("delete"), parse_scope("*"), Kind.BRANCH)
    document = policy(bind("b1", "Admin", "*"), approvals=(rule,))
    query = ask(authority, target, subtree=subtree)
    expected = (ALLOW, ("b1",)) if because is None else (Reason.APPROVAL_REQUIRED, because)
    assert expected == answer(document, query)
    assert answer(document, replace(query, approved=True)) == (ALLOW, ("b1",))


def test_remedy_of_an_approval() -> None:
    """Ask for it."""
    document = policy(bind("b1", "Admin", "*"), approvals=(ApprovalRule("rule", mask("share"), parse_scope("*")),))
    decision = decide(snapshot_of(document), ask("share", "p1"), NOW)
    assert Decision(Outcome.DENY, Reason.APPROVAL_REQUIRED, ("rule",), Remedy.REQUEST_APPROVAL) == decision


# -- 1.6 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "reason", "because"),
    [
        pytest.param("p1", Reason.SUBTREE_NARROWED, ("b2",), id="a-narrower-branch"),
        pytest.param("p1@dev", ALLOW, ("b1",), id="another-branch"),
        pytest.param("p1@main", Reason.NOT_GRANTED, ("b2",), id="the-target-itself"),
        pytest.param("p2", Reason.SUBTREE_NARROWED, ("b4",), id="a-path-on-every-branch"),
        pytest.param("p2@dev:b", ALLOW, ("b3",), id="beside-the-path"),
        pytest.param("p3", Reason.SUBTREE_NARROWED, ("d1",), id="a-deny-below"),
        pytest.param("p3@dev", ALLOW, ("b5",), id="beside-the-deny"),
        pytest.param("p4", Reason.SUBTREE_NARROWED, ("b7",), id="an-unmet-condition-below"),
    ],
)
def test_subtrees(target: str, reason: Reason, because: tuple[str, ...]) -> None:
    """Allowed exactly when allowed on the target and on every target below, existing or not (spec 1.6)."""
    document = policy(
        bind("b1", "Designer", "p1"),
        bind("b2", "Viewer", "p1@main"),
        bind("b3", "Designer", "p2"),
        bind("b4", "Viewer", "p2@*:a"),
        bind("b5", "Designer", "p3"),
        bind("b6", "Designer", "p4"),
        bind("b7", "Designer", "p4@main", when=MFA),
        bind("b8", "Viewer", "*@main"),
        denies=(withhold("d1", "write", "p3@main:secret"),),
    )
    assert (reason, because) == answer(document, ask("write", target, subtree=True))


def test_met_conditions_below_narrow_nothing() -> None:
    """The same binding, with the second factor."""
    document = policy(bind("b1", "Designer", "p1"), bind("b2", "Designer", "p1@main", when=MFA))
    query = ask("write", "p1", subtree=True, second_factor_at=NOW)
    assert answer(document, query) == (ALLOW, ("b1",))


def test_a_narrower_scope_of_every_project_narrows() -> None:
    """``*@main`` is narrower than ``*`` on one branch of each project."""
    document = policy(bind("b1", "Designer", "*"), bind("b2", "Viewer", "*@main"))
    assert answer(document, ask("write", "p9", subtree=True)) == (Reason.SUBTREE_NARROWED, ("b2",))
    assert answer(document, ask("write", "p9@dev", subtree=True)) == (ALLOW, ("b1",))


def test_section_subtrees() -> None:
    """A role's longer section below counts, and a deny below."""
    assert answer(policy(roles=("Administrator",)), ask("read", "/", subtree=True)) == (
        Reason.SUBTREE_NARROWED,
        ("role:Administrator",),
    )
    assert ALLOW is answer(policy(roles=("Administrator",)), ask("read", "/skills", subtree=True))[0]
    denied = policy(roles=("Administrator",), denies=(withhold("d1", "read", "/skills/fiber"),))
    assert answer(denied, ask("read", "/skills", subtree=True)) == (Reason.SUBTREE_NARROWED, ("d1",))


def test_links_narrow_subtrees() -> None:
    """Their own denies below the target, and entries that name them."""
    document = policy(bind("b1", "Designer", "p1"), denies=(withhold("d1", "write", "p1@main:a", who="agent:ag_1"),))
    own = Link("ag_2", deny=(LinkDeny(mask("write"), parse_scope("p1@dev")),))
    assert answer(document, ask("write", "p1", subtree=True, chain=(Link("ag_1"), own))) == (
        Reason.SUBTREE_NARROWED,
        ("d1", "agent:ag_2"),
    )
    assert ALLOW is answer(document, ask("write", "p1@x", subtree=True, chain=(Link("ag_1"), own)))[0]
    assert ALLOW is answer(document, ask("read", "p1", subtree=True, chain=(Link("ag_1"), own)))[0]


# -- several parts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "outcome", "reason", "because"),
    [
        pytest.param([("read", "p1")], Outcome.ALLOW, ALLOW, ("b1",), id="one-part"),
        pytest.param([("read", "p2"), ("write", "p1")], Outcome.ALLOW, ALLOW, ("b1", "b2"), id="both-allowed"),
        pytest.param([("read", "p1"), ("read", "p1@x")], Outcome.ALLOW, ALLOW, ("b1",), id="cited-once"),
        pytest.param([("write", "p2"), ("read", "p3")], Outcome.DENY, Reason.NOT_GRANTED, ("b2",), id="first-denied"),
        pytest.param([("read", "p1"), ("read", "p3")], Outcome.DENY, Reason.NO_GRANT, (), id="second-denied"),
    ],
)
def test_operations_of_several_parts(
    parts: list[tuple[str, str]], outcome: Outcome, reason: Reason, because: tuple[str, ...]
) -> None:
    """Allowed if every part is; the first part denied gives the reason (spec 1.6)."""
    document = policy(bind("b1", "Designer", "p1"), bind("b2", "Viewer", "p2"))
    queries = [ask(authority, target) for authority, target in parts]
    decision = decide_all(snapshot_of(document), queries, NOW)
    assert (outcome, reason, because) == (decision.outcome, decision.reason, decision.because)
    assert decision == decide_all_subject(subject_of(document), queries, NOW)


def test_nothing_asked_is_not_allowed() -> None:
    """An operation without parts is a bug of the caller."""
    with pytest.raises(InvariantError, match="without parts"):
        decide_all(snapshot_of(policy()), [], NOW)
    with pytest.raises(InvariantError, match="without parts"):
        decide_all_subject(subject_of(policy()), [], NOW)


@pytest.mark.parametrize("credential", [{"account": "user:bo"}, {"org": "other"}], ids=["account", "organization"])
def test_a_subject_decides_for_nobody_else(credential: dict[str, str]) -> None:
    """Deciding for the wrong account would be an escalation."""
    query = ask("read", "p1", **credential)  # type: ignore[arg-type]
    query = replace(query, target=parse_target(query.credential.org, "p1"))
    with pytest.raises(InvariantError, match="with the subject of"):
        decide_subject(subject_of(policy()), query, NOW)
