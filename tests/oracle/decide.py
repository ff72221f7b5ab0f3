"""Spec 1 read slowly: the reference that the engine is compared with.

Written from the text of the specification and from nothing else: it works straight on a policy document, knows no
index, no mask arithmetic and no code of the engine, and shares only the vocabulary (``core/model``) and the document's
own types with it. Sets of authorities are sets of names, every rule is a sentence of the text, a subtree is enumerated.
Where the engine and this disagree, read the specification; do not copy one from the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address

from sidegate.core.model.authority import Authority, Mask, authorities_in
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.principal import AccountState, Link, Query
from sidegate.core.model.target import Kind, Scope, Target, parse_scope, project_target, section_target
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    BindingState,
    Conditions,
    DenyEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
)

Names = frozenset[Authority]

READ, WRITE, DELETE, RUN = Authority.READ, Authority.WRITE, Authority.DELETE, Authority.RUN
SOLVE, APPROVE, SHARE, CONFIGURE = Authority.SOLVE, Authority.APPROVE, Authority.SHARE, Authority.CONFIGURE
ALL: Names = frozenset({READ, WRITE, DELETE, RUN, SOLVE, APPROVE, SHARE, CONFIGURE})
NONE: Names = frozenset()


@dataclass(frozen=True)
class OracleRole:
    """A role of spec 1.3: a project role has *authorities*, an organization role *sections* and *ceiling*."""

    authorities: Names = NONE
    sections: tuple[tuple[tuple[str, ...], Names], ...] = ()
    ceiling: Names = NONE
    is_organization: bool = False
    high_risk: bool = False
    mfa: bool = False
    surfaces: tuple[str, ...] | None = None
    sources: tuple[object, ...] | None = None
    implied: str | None = None


def _of_projects(*authorities: Authority) -> OracleRole:
    return OracleRole(frozenset(authorities))


def _of_organization(
    sections: dict[str, Names],
    ceiling: Names = NONE,
    *,
    high_risk: bool = False,
    surfaces: tuple[str, ...] | None = None,
    implied: str | None = None,
) -> OracleRole:
    parsed = tuple((parse_scope(text).section or (), names) for text, names in sections.items())
    return OracleRole(NONE, parsed, ceiling, True, high_risk, False, surfaces, None, implied)


IDENTITY_KEEPER = frozenset({READ, WRITE, DELETE})

BUILT_IN = {
    "Viewer": _of_projects(READ),
    "Designer": _of_projects(READ, WRITE, RUN, SOLVE),
    "Reviewer": _of_projects(READ, WRITE, RUN, SOLVE, APPROVE),
    "Admin": _of_projects(*ALL),
    "Organization admin": _of_organization({"/": ALL}, ALL, high_risk=True, implied="Admin"),
    "Member": _of_organization({"/": frozenset({READ}), "/projects": frozenset({WRITE})}, ALL),
    "Organization viewer": _of_organization({"/": frozenset({READ})}, frozenset({READ})),
    "Field operator": _of_organization({}, frozenset({READ, WRITE}), surfaces=("mobile",)),
    "Identity Accounts - Creator": _of_organization({"/identity": IDENTITY_KEEPER}, high_risk=True),
    "Identity Accounts - Validator": _of_organization({"/identity": frozenset({READ, APPROVE})}, high_risk=True),
    "Service Accounts": _of_organization({"/identity/service-accounts": IDENTITY_KEEPER}, high_risk=True),
    "API Clients": _of_organization({"/identity/api-clients": IDENTITY_KEEPER}, high_risk=True),
    "Administrator": _of_organization({"/": ALL, "/identity": NONE}, ALL),
    "Operator": _of_organization(
        {"/projects": frozenset({READ}), "/reports": frozenset({READ})}, frozenset({READ, RUN})
    ),
    "Read-only API Access": _of_organization({"/": frozenset({READ})}, frozenset({READ}), implied="Viewer"),
    "Full API Access": _of_organization({"/": ALL}, ALL, high_risk=True, implied="Admin"),
}


@dataclass(frozen=True)
class Giver:
    """A role or binding that may give authorities: what it is called, what it gives, and which conditions are unmet."""

    name: str
    gives: Names
    unmet: tuple[Reason, ...]


class Oracle:
    """Decides by reading one policy document."""

    def __init__(self, document: PolicyDocument) -> None:
        self.document = document
        self.entries = {role.name: role for role in document.roles}
        self.members = {member.account: member for member in document.members}

    # -- 1.5 ----------------------------------------------------------------------------------------------------------

    def decide(self, query: Query, now: int) -> Decision:
        """The checks in their order, the subtree of 1.6, then approval."""
        decision = self.checks_1_to_7(query, query.target, now)
        if decision.outcome is Outcome.DENY:
            return decision
        if query.target.subtree:
            below = [self.checks_1_to_7(query, target, now) for target in self.everything_below(query)]
            denied = [other for other in below if other.outcome is Outcome.DENY]
            if denied:
                return deny(Reason.SUBTREE_NARROWED, in_order({key for other in denied for key in other.because}))
        rules = self.approval_rules(query)
        if rules and not query.approved:
            return deny(Reason.APPROVAL_REQUIRED, rules)
        return decision

    def checks_1_to_7(self, query: Query, target: Target, now: int) -> Decision:
        """Everything but approval, for one target and nothing below it."""
        credential = query.credential
        if target.org != credential.org:  # 1
            return deny(Reason.CROSS_ORG)
        member = self.members.get(credential.account)  # 2
        if member is None or credential.org != self.document.organization:
            return deny(Reason.NOT_A_MEMBER)
        if member.state is not AccountState.ACTIVE:
            return deny(Reason.ACCOUNT_INACTIVE)
        denies = self.denies(query, member, target)  # 3
        if denies:
            return deny(Reason.DENIED_BY_RULE, denies)
        if target.kind is Kind.SECTION:  # 4
            granted = self.pass_or_unmet(
                self.section_givers(query, member, target, now), query.authority, Reason.NOT_GRANTED
            )
        else:
            below_ceiling = self.pass_or_unmet(  # 5
                self.ceiling_givers(query, member, now), query.authority, Reason.ABOVE_CEILING
            )
            if below_ceiling.outcome is Outcome.DENY:
                return below_ceiling
            narrowest = self.narrowest_givers(query, member, target, now)  # 6
            if not narrowest:
                return deny(Reason.NO_GRANT)
            granted = self.pass_or_unmet(narrowest, query.authority, Reason.NOT_GRANTED)
        if granted.outcome is Outcome.DENY:
            return granted
        return self.credential_restrictions(query, target, now) or granted  # 7

    def pass_or_unmet(self, givers: list[Giver], authority: Authority, otherwise: Reason) -> Decision:
        """A check of 4, 5 or 6: passes by givers whose conditions are met, else fails for the nearest unmet one."""
        would_give = [giver for giver in givers if authority in giver.gives]
        met = [giver.name for giver in would_give if not giver.unmet]
        if met:
            return Decision(Outcome.ALLOW, Reason.GRANTED, in_order(met), Remedy.NONE)
        if not would_give:
            return deny(otherwise, in_order(giver.name for giver in givers))
        order = [Reason.MFA_REQUIRED, Reason.SURFACE, Reason.SOURCE_ADDRESS]
        nearest = min((len(giver.unmet), [order.index(reason) for reason in giver.unmet]) for giver in would_give)
        unmet = tuple(order[place] for place in nearest[1])
        return deny(unmet[0], in_order(giver.name for giver in would_give if giver.unmet == unmet))

    # -- check 3 ------------------------------------------------------------------------------------------------------

    def denies(self, query: Query, member: MemberEntry, target: Target) -> tuple[str, ...]:
        """Ids of the entries that withhold the authority, then the links that do so by themselves."""
        chain = query.credential.chain
        names = {member.account}
        names.update(f"group:{group}" for group in member.groups)
        names.update(f"role:{role}" for role in member.roles)
        names.update(f"agent:{link.id}" for link in chain)
        ids = [
            entry.id
            for entry in self.document.denies
            if entry.who in names and query.authority in names_in(entry.authorities) and covers(entry.on, target)
        ]
        links = [
            f"agent:{link.id}"
            for link in chain
            if any(query.authority in names_in(own.authorities) and covers(own.on, target) for own in link.deny)
        ]
        return (*in_order(ids), *dict.fromkeys(links))

    # -- checks 4 and 5 -----------------------------------------------------------------------------------------------

    def organization_roles(self, member: MemberEntry) -> Iterator[tuple[str, OracleRole]]:
        """The known organization roles that the member holds."""
        for name in sorted(set(member.roles)):
            role = self.role(name)
            if role is not None and role.is_organization:
                yield name, role

    def section_givers(self, query: Query, member: MemberEntry, target: Target, now: int) -> list[Giver]:
        """Of each role its longest section that covers the target."""
        givers = []
        for name, role in self.organization_roles(member):
            covering = [
                (len(section), gives)
                for section, gives in role.sections
                if covers(Scope(section, None, None, ()), target)
            ]
            if covering:
                longest = max(covering, key=lambda pair: pair[0])
                givers.append(Giver(f"role:{name}", longest[1], self.unmet_of_role(role, query, now)))
        return givers

    def ceiling_givers(self, query: Query, member: MemberEntry, now: int) -> list[Giver]:
        """Each role's ceiling."""
        return [
            Giver(f"role:{name}", role.ceiling, self.unmet_of_role(role, query, now))
            for name, role in self.organization_roles(member)
        ]

    # -- check 6 ------------------------------------------------------------------------------------------------------

    def narrowest_givers(self, query: Query, member: MemberEntry, target: Target, now: int) -> list[Giver]:
        """The bindings in force that cover the target, of those the most specific."""
        who = {member.account, *(f"group:{group}" for group in member.groups)}
        found: list[tuple[tuple[bool, bool, int], Giver]] = []
        for binding in self.document.bindings:
            if binding.who in who and in_force(binding, now) and covers(binding.on, target):
                role = self.role(binding.role)
                gives = role.authorities if role is not None and not role.is_organization else NONE
                unmet = set(self.unmet(binding.when, query, now))
                if role is not None:
                    unmet |= set(self.unmet_of_role(role, query, now))
                found.append((specificity(binding.on), Giver(binding.id, gives, in_reason_order(unmet))))
        for name, role in self.organization_roles(member):
            if role.implied is not None and target.kind is not Kind.SECTION:
                giver = Giver(f"role:{name}", BUILT_IN[role.implied].authorities, self.unmet_of_role(role, query, now))
                found.append(((False, False, 0), giver))
        if not found:
            return []
        highest = max(rank for rank, _ in found)
        return [giver for rank, giver in found if rank == highest]

    # -- conditions ---------------------------------------------------------------------------------------------------

    def unmet(self, conditions: Conditions, query: Query, now: int) -> tuple[Reason, ...]:
        """Which of the written conditions the request does not meet."""
        reasons = []
        if conditions.mfa and not self.has_fresh_second_factor(query, now):
            reasons.append(Reason.MFA_REQUIRED)
        if conditions.surfaces is not None and query.credential.surface not in conditions.surfaces:
            reasons.append(Reason.SURFACE)
        if conditions.sources is not None and not self.is_from(query, conditions.sources):
            reasons.append(Reason.SOURCE_ADDRESS)
        return tuple(reasons)

    def unmet_of_role(self, role: OracleRole, query: Query, now: int) -> tuple[Reason, ...]:
        """The role's own conditions; high risk implies a second factor for user accounts, whatever the credential."""
        is_user = query.credential.account.startswith("user:")
        mfa = role.mfa or (role.high_risk and is_user)
        return self.unmet(Conditions(mfa, role.surfaces, role.sources), query, now)  # type: ignore[arg-type]

    def has_fresh_second_factor(self, query: Query, now: int) -> bool:
        """At most ``mfa_max_age_s`` old."""
        used = query.credential.second_factor_at
        return used is not None and now <= used + self.document.mfa_max_age_s * 1000

    @staticmethod
    def is_from(query: Query, networks: tuple[object, ...]) -> bool:
        """In one of the networks; an unknown address is in none, ``::ffff:a.b.c.d`` is the IPv4 address."""
        if query.source is None:
            return False
        addresses = [query.source]
        if isinstance(query.source, IPv6Address) and str(query.source).startswith("::ffff:"):
            addresses.append(ip_address(query.source.packed[-4:]))
        return any(address in network for address in addresses for network in networks)  # type: ignore[operator]

    # -- check 7 ------------------------------------------------------------------------------------------------------

    def credential_restrictions(self, query: Query, target: Target, now: int) -> Decision | None:
        """Length, expiry, then every list of the credential and of each link."""
        credential = query.credential
        if len(credential.chain) > 8:
            return deny(Reason.DELEGATION_TOO_LONG)
        expired = [f"agent:{link.id}" for link in credential.chain if is_over(link, now)]
        if expired:
            return deny(Reason.DELEGATION_EXPIRED, tuple(dict.fromkeys(expired)))
        lists = [("credential", credential.authorities, credential.scopes)]
        lists += [(f"agent:{link.id}", link.allow, link.scopes) for link in credential.chain]
        outside = [
            name
            for name, authorities, scopes in lists
            if (authorities is not None and query.authority not in names_in(authorities))
            or (scopes is not None and not any(covers(scope, target) for scope in scopes))
        ]
        return deny(Reason.OUTSIDE_CREDENTIAL_SCOPE, tuple(dict.fromkeys(outside))) if outside else None

    # -- check 8 ------------------------------------------------------------------------------------------------------

    def approval_rules(self, query: Query) -> tuple[str, ...]:
        """Rules that cover (authority, target, kind), for a subtree those that cover anything in it of their kind."""
        targets = [query.target]
        if query.target.subtree:
            targets.extend(self.everything_below(query))
        return in_order(
            rule.id
            for rule in self.document.approvals
            if query.authority in names_in(rule.authorities) and any(rule_covers(rule, target) for target in targets)
        )

    # -- 1.6 ----------------------------------------------------------------------------------------------------------

    def everything_below(self, query: Query) -> list[Target]:
        """One target of every sort that exists below the one asked for: all names written anywhere, and a fresh one.

        Nothing can tell two fresh names apart, so one stands for all of them.
        """
        target = query.target
        scopes = self.scopes_written(query)
        if target.section is not None:
            sections = with_fresh({scope.section for scope in scopes if scope.section is not None} | {target.section})
            return [
                section_target(target.org, section)
                for section in sections
                if len(section) > len(target.section) and section[: len(target.section)] == target.section
            ]
        assert target.project is not None
        branches = {scope.branch for scope in scopes if scope.branch is not None} | {"fresh"}
        paths = with_fresh({scope.path for scope in scopes} | {target.path})
        return [
            project_target(target.org, target.project, branch, path)
            for branch in (sorted(branches) if target.branch is None else [target.branch])
            for path in paths
            if path[: len(target.path)] == target.path and (branch, path) != (target.branch, target.path)
        ]

    def scopes_written(self, query: Query) -> list[Scope]:
        """Every scope that could tell one target from another."""
        document, credential = self.document, query.credential
        scopes = [binding.on for binding in document.bindings]
        scopes += [entry.on for entry in document.denies]
        scopes += [rule.on for rule in document.approvals]
        scopes += [Scope(section, None, None, ()) for role in BUILT_IN.values() for section, _ in role.sections]
        scopes += [Scope(section, None, None, ()) for entry in document.roles for section in entry.sections or {}]
        scopes += credential.scopes or ()
        for link in credential.chain:
            scopes += link.scopes or ()
            scopes += [own.on for own in link.deny]
        return scopes

    # -- 1.3, 6.3 -----------------------------------------------------------------------------------------------------

    def role(self, name: str) -> OracleRole | None:
        """The role of that name, its clones followed; None when nobody knows it."""
        if name in BUILT_IN:
            return BUILT_IN[name]
        entry = self.entries.get(name)
        if entry is None:
            return None
        if entry.clone is None:
            return given_fields(OracleRole(), entry)
        origin = self.role(entry.clone)
        # Implied bindings are not cloned.
        return None if origin is None else given_fields(replace(origin, implied=None), entry)


def given_fields(role: OracleRole, entry: RoleEntry) -> OracleRole:
    """The fields that *entry* gives replace those of *role*; conditions are overridden key by key."""
    if entry.sections is not None:
        sections = tuple((section, names_in(mask)) for section, mask in entry.sections.items())
        role = replace(role, sections=sections, is_organization=True)
    if entry.ceiling is not None:
        role = replace(role, ceiling=names_in(entry.ceiling), is_organization=True)
    if entry.authorities is not None:
        role = replace(role, authorities=names_in(entry.authorities))
    role = replace(role, authorities=(role.authorities | names_in(entry.add)) - names_in(entry.remove))
    if entry.high_risk is not None:
        role = replace(role, high_risk=entry.high_risk)
    if entry.requires.mfa is not None:
        role = replace(role, mfa=entry.requires.mfa)
    if entry.requires.surfaces is not None:
        role = replace(role, surfaces=entry.requires.surfaces)
    if entry.requires.sources is not None:
        role = replace(role, sources=entry.requires.sources)
    return role


def with_candidate(document: PolicyDocument) -> PolicyDocument:
    """Enforced + candidate (1.8): additions, replacements by id, removals by id."""
    candidate = document.candidate
    if candidate is None:
        return document
    roles = {role.name: role for role in document.roles}
    members = {member.account: member for member in document.members}
    bindings: dict[str, BindingEntry] = {entry.id: entry for entry in document.bindings}
    denies: dict[str, DenyEntry] = {entry.id: entry for entry in document.denies}
    approvals: dict[str, ApprovalRule] = {rule.id: rule for rule in document.approvals}
    for word in candidate.remove:
        roles.pop(word.removeprefix("role:"), None)
        members.pop(word.removeprefix("member:"), None)
        for entries in (bindings, denies, approvals):
            entries.pop(word, None)
    roles.update((role.name, role) for role in candidate.roles)
    members.update((member.account, member) for member in candidate.members)
    bindings.update((entry.id, entry) for entry in candidate.bindings)
    denies.update((entry.id, entry) for entry in candidate.denies)
    approvals.update((rule.id, rule) for rule in candidate.approvals)
    return replace(
        document,
        roles=tuple(roles.values()),
        members=tuple(members.values()),
        bindings=tuple(bindings.values()),
        denies=tuple(denies.values()),
        approvals=tuple(approvals.values()),
        candidate=None,
    )


# -- 1.2 --------------------------------------------------------------------------------------------------------------


def covers(scope: Scope, target: Target) -> bool:
    """A scope on sections never covers projects and the other way round; a path scope covers whole segments."""
    if scope.section is not None:
        if target.section is None:
            return False
        return list(scope.section) == list(target.section)[: len(scope.section)]
    if target.section is not None:
        return False
    if scope.project is not None and scope.project != target.project:
        return False
    if scope.branch is not None and scope.branch != target.branch:
        return False
    return list(scope.path) == list(target.path)[: len(scope.path)]


def specificity(scope: Scope) -> tuple[bool, bool, int]:
    """(project named, branch named, number of path segments)."""
    return (scope.project is not None, scope.branch is not None, len(scope.path))


def rule_covers(rule: ApprovalRule, target: Target) -> bool:
    """Covers the target, and its kind if the rule names one."""
    return covers(rule.on, target) and (rule.kind is None or rule.kind is target.kind)


def with_fresh(paths: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Close *paths* under prefixes and give each a child that nothing names."""
    closed = {path[:length] for path in paths for length in range(len(path) + 1)}
    return sorted(closed | {(*path, "fresh") for path in closed if len(path) < 64})


# -- small words ------------------------------------------------------------------------------------------------------


def names_in(mask: Mask) -> Names:
    """The authorities of a mask as a set of names."""
    return frozenset(authorities_in(mask))


def in_force(binding: BindingEntry, now: int) -> bool:
    """Unless it has not begun, is over, or is to be added or removed."""
    if binding.state in (BindingState.TO_BE_ADDED, BindingState.REMOVED):
        return False
    has_begun = binding.not_before is None or now >= binding.not_before
    is_past = binding.not_after is not None and now >= binding.not_after
    return has_begun and not is_past


def is_over(link: Link, now: int) -> bool:
    """Past its expiry, which is the first instant at which it is over."""
    return link.expires_at is not None and now >= link.expires_at


def in_reason_order(reasons: set[Reason]) -> tuple[Reason, ...]:
    """mfa, surface, source."""
    order = (Reason.MFA_REQUIRED, Reason.SURFACE, Reason.SOURCE_ADDRESS)
    return tuple(reason for reason in order if reason in reasons)


def in_order(names: object) -> tuple[str, ...]:
    """Each once, sorted: the order of entries never matters (P6)."""
    return tuple(sorted(set(names)))  # type: ignore[call-overload]
