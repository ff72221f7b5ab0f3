"""Random policies and requests for the comparison: small, dense vocabularies, so that scopes, ids and times collide.

Everything follows from one ``random.Random``: the same seed gives the same pairs. Documents are valid ones; what is
invalid belongs to the tests of ``policy.validate``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random
from typing import TypeVar

from sidegate.core.model.authority import Authority, Mask
from sidegate.core.model.principal import AccountState, CredentialKind, Link, LinkDeny, Query, VerifiedCredential
from sidegate.core.model.target import Kind, Scope, Target, project_target, section_target
from sidegate.core.model.units import UnixMillis
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

T = TypeVar("T")

NOW = 1_000_000
TIMES = (NOW - 1, NOW, NOW + 1, NOW + 2)
MFA_MAX_AGE_S = 60
SECOND_FACTORS = (None, NOW - 60_001, NOW - 60_000, NOW - 59_999, NOW, NOW + 5)
ACCOUNTS = ("user:ana", "user:bo", "user:cy", "user:eve", "service:ci", "service:cd")
STRANGER = "user:nobody"
GROUPS = ("fiber", "copper")
PROJECTS = ("p1", "p2")
BRANCHES = ("main", "dev")
PATHS = ((), ("a",), ("a",), ("a", "b"), ("b",), ("a", "b", "c"), ("ab",))
SECTIONS = (
    (),
    ("projects",),
    ("identity",),
    ("identity", "service-accounts"),
    ("skills",),
    ("skills", "fiber"),
    ("reports",),
)
PROJECT_ROLES = ("Viewer", "Designer", "Reviewer", "Admin")
ORGANIZATION_ROLES = (
    "Organization admin",
    *(["Member"] * 14),
    "Organization viewer",
    "Field operator",
    "Identity Accounts - Creator",
    "Identity Accounts - Validator",
    "Service Accounts",
    "API Clients",
    "Administrator",
    "Operator",
    "Read-only API Access",
    "Full API Access",
)
SURFACES = ("web", "mobile", "admin")
NETWORKS = tuple(ip_network(text) for text in ("10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "0.0.0.0/0"))
SOURCES = (
    None,
    *(ip_address(text) for text in ("10.0.0.9", "10.1.2.3", "192.0.2.1", "::ffff:10.1.2.3", "2001:db8::1", "::1")),
)
LINK_IDS = ("ag_1", "ag_2", "ag_3")


class Generator:
    """Makes documents and requests that fit them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._ids = 0

    # -- small things -------------------------------------------------------------------------------------------------

    def chance(self, percent: int) -> bool:
        """True *percent* times in a hundred."""
        return self.random.random() * 100 < percent

    def one(self, among: Sequence[T]) -> T:
        """One of them."""
        return among[int(self.random.random() * len(among))]

    def some(self, make: Callable[[], T], most: int) -> tuple[T, ...]:
        """Up to *most* of them."""
        return tuple(make() for _ in range(self.random.randrange(most + 1)))

    def mask(self) -> Mask:
        """At least one authority, often many."""
        mask = self.random.randrange(1, 256)
        return Mask(mask | self.random.randrange(256)) if self.chance(50) else Mask(mask)

    def few(self) -> Mask:
        """One to three authorities."""
        return Mask((1 << self.random.randrange(8)) | (1 << self.random.randrange(3)) | (1 << self.random.randrange(3)))

    def project_scope(self) -> Scope:
        """Every written form, dense."""
        project = self.one(PROJECTS) if self.chance(65) else None
        branch = self.one(BRANCHES) if self.chance(50) else None
        path = self.one(PATHS) if self.chance(45) else ()
        return Scope(None, project, branch, path)

    def scope(self) -> Scope:
        """On projects or on sections."""
        if self.chance(25):
            return Scope(self.one(SECTIONS), None, None, ())
        return self.project_scope()

    def conditions(self, percent: int) -> Conditions:
        """Often none; each key given or not by itself."""
        if not self.chance(percent):
            return Conditions()
        return Conditions(
            mfa=self.one((None, True, True, False)),
            surfaces=tuple({self.one(SURFACES) for _ in range(2)}) if self.chance(40) else None,
            sources=tuple({self.one(NETWORKS) for _ in range(2)}) if self.chance(40) else None,
        )

    def fresh_id(self, letter: str) -> str:
        """An id that no other entry has."""
        self._ids += 1
        return f"{letter}{self._ids}"

    # -- documents ----------------------------------------------------------------------------------------------------

    def role(self, name: str, earlier: Sequence[RoleEntry]) -> RoleEntry:
        """A project or an organization role, on its own or cloned, perhaps of another clone."""
        requires = self.conditions(40)
        high_risk = self.one((None, None, None, True, False))
        if self.chance(50):
            same = [role.name for role in earlier if role.name.startswith("P")]
            clone = self.one((*PROJECT_ROLES, *same * 3)) if self.chance(60) else None
            return RoleEntry(
                f"P{name}",
                clone,
                self.mask() if clone is None or self.chance(15) else None,
                self.mask() if self.chance(30) else Mask(0),
                self.mask() if self.chance(30) else Mask(0),
                requires=requires,
                high_risk=high_risk,
            )
        same = [role.name for role in earlier if role.name.startswith("O")]
        clone = self.one((*ORGANIZATION_ROLES, *same * 8)) if self.chance(60) else None
        sections = {self.one(SECTIONS): self.one((Mask(0), self.mask())) for _ in range(self.random.randrange(4))}
        ceiling = self.mask() if clone is None or self.chance(40) else None
        return RoleEntry(
            f"O{name}",
            clone,
            sections=sections if self.chance(60) else None,
            ceiling=ceiling,
            requires=requires,
            high_risk=high_risk,
        )

    def member(self, account: str, roles: Sequence[str]) -> MemberEntry:
        """Mostly active; sometimes with names that nobody knows or roles that are no organization roles."""
        state = AccountState.ACTIVE if self.chance(97) else self.one(tuple(AccountState))
        held = tuple(self.one(roles) for _ in range(self.one((0, 1, 1, 1, 1, 2, 2, 3))))
        if self.chance(5):
            held = (*held, self.one(("Nobody knows", "Viewer")))
        return MemberEntry(account, state, held, self.some(lambda: self.one(GROUPS), 2))

    def binding(self, binding_id: str, roles: Sequence[str]) -> BindingEntry:
        """Now and then one that is bounded in time, pending, conditional or of an unknown role."""
        state = BindingState.ACTIVE if self.chance(88) else self.one(tuple(BindingState))
        is_timed = self.chance(12)
        return BindingEntry(
            binding_id,
            self.one((*ACCOUNTS, *(f"group:{group}" for group in GROUPS), STRANGER)),
            self.one(roles) if self.chance(94) else self.one(("Nobody knows", "Member")),
            self.project_scope() if self.chance(97) else self.scope(),
            UnixMillis(self.one(TIMES)) if is_timed and self.chance(70) else None,
            UnixMillis(self.one(TIMES)) if is_timed and self.chance(70) else None,
            state,
            self.conditions(25),
        )

    def deny(self, deny_id: str, roles: Sequence[str]) -> DenyEntry:
        """Of every kind of ``who``."""
        who = self.one(
            (
                *ACCOUNTS,
                *(f"group:{group}" for group in GROUPS),
                f"role:{self.one(roles)}",
                f"agent:{self.one(LINK_IDS)}",
            )
        )
        return DenyEntry(deny_id, who, self.few(), self.scope())

    def approval(self, rule_id: str) -> ApprovalRule:
        """A rule whose kind, if any, its scope can cover."""
        on = self.scope()
        if on.section is not None:
            kinds: tuple[Kind | None, ...] = (None, Kind.SECTION)
        elif on.path:
            kinds = (None, Kind.PATH)
        elif on.branch is not None:
            kinds = (None, Kind.PATH, Kind.BRANCH)
        else:
            kinds = (None, Kind.PATH, Kind.BRANCH, Kind.PROJECT)
        return ApprovalRule(rule_id, self.few(), on, self.one(kinds))

    def document(self) -> PolicyDocument:
        """A policy, half the time with a candidate."""
        self._ids = 0
        roles: list[RoleEntry] = []
        for place in range(self.random.randrange(7)):
            roles.append(self.role(str(place), roles))
        project_roles = (*PROJECT_ROLES, *[role.name for role in roles if role.name.startswith("P")] * 2)
        organization_roles = (*ORGANIZATION_ROLES, *[role.name for role in roles if role.name.startswith("O")] * 3)
        document = PolicyDocument(
            "acme",
            MFA_MAX_AGE_S,
            tuple(roles),
            tuple(self.member(account, organization_roles) for account in ACCOUNTS if self.chance(97)),
            tuple(GroupEntry(group) for group in GROUPS),
            tuple(self.binding(self.fresh_id("b"), project_roles) for _ in range(self.random.randrange(70))),
            self.some(lambda: self.deny(self.fresh_id("d"), organization_roles), 8),
            self.some(lambda: self.approval(self.fresh_id("a")), 3) if self.chance(70) else (),
        )
        if self.chance(50):
            return document
        return replace(document, candidate=self.candidate(document, roles, project_roles, organization_roles))

    def candidate(
        self,
        document: PolicyDocument,
        roles: Sequence[RoleEntry],
        project_roles: Sequence[str],
        organization_roles: Sequence[str],
    ) -> Candidate:
        """Additions, replacements by id and removals by id; often small, so that it concerns some and not others."""
        replaced_roles = [role for role in roles if self.chance(20)]
        new_roles = []
        for old in replaced_roles:
            new = self.role(old.name[1:], [])
            # A role stays what it is: the other kind would be an error wherever it is bound, held or denied.
            if new.name == old.name:
                new_roles.append(new)
        named = {role.name for role in new_roles}
        clones = {role.clone for role in (*roles, *new_roles)}
        denied = {entry.who for entry in document.denies}
        removable_roles = [
            role.name
            for role in roles
            if role.name not in named | clones and f"role:{role.name}" not in denied and self.chance(10)
        ]
        usable = [name for name in organization_roles if name not in removable_roles]
        bindings, denies, approvals = [], [], []
        removed: list[str] = [*removable_roles]
        for old_binding in document.bindings:
            if self.chance(8):
                removed.append(old_binding.id)
            elif self.chance(8):
                bindings.append(self.binding(old_binding.id, project_roles))
        for old_deny in document.denies:
            if self.chance(15):
                removed.append(old_deny.id)
            elif self.chance(15):
                denies.append(self.deny(old_deny.id, usable))
        for rule in document.approvals:
            if self.chance(15):
                removed.append(rule.id)
            elif self.chance(15):
                approvals.append(self.approval(rule.id))
        bindings.extend(self.some(lambda: self.binding(self.fresh_id("b"), project_roles), 2))
        if self.chance(30):
            denies.append(self.deny(self.fresh_id("d"), usable))
        if self.chance(15):
            approvals.append(self.approval(self.fresh_id("a")))
        members = []
        for member in document.members:
            if self.chance(4):
                removed.append(f"member:{member.account}")
            elif self.chance(6):
                members.append(self.member(member.account, organization_roles))
        return Candidate(
            tuple(new_roles), tuple(members), (), tuple(bindings), tuple(denies), tuple(approvals), (), tuple(removed)
        )

    # -- requests -----------------------------------------------------------------------------------------------------

    def target(self, org: str) -> Target:
        """Of every kind; the names of the vocabulary and one that no policy knows."""
        subtree = self.chance(40)
        if self.chance(20):
            section = self.one((*SECTIONS, ("skills", "fiber", "x"), ("other",)))
            return section_target(org, section, subtree=subtree)
        project = self.one((*PROJECTS, *PROJECTS, "p9"))
        if self.chance(15):
            return project_target(org, project, subtree=subtree)
        branch = self.one((*BRANCHES, *BRANCHES, "b9"))
        path = self.one((*PATHS, ("a", "b", "c", "d"), ("abc",), ("z",)))
        return project_target(org, project, branch, path, subtree=subtree)

    def link(self, link_id: str) -> Link:
        """Each restriction there or not by itself."""
        return Link(
            link_id,
            self.one((Mask(0), *[Mask(self.mask() | self.mask())] * 8)) if self.chance(15) else None,
            (*self.some(self.scope, 2), Scope(None, None, None, ())) if self.chance(20) else None,
            self.some(lambda: LinkDeny(self.few(), self.scope()), 1) if self.chance(20) else (),
            UnixMillis(self.one(TIMES)) if self.chance(4) else None,
        )

    def credential(self) -> VerifiedCredential:
        """A session or key, one in four with a chain, one in six with restrictions of its own."""
        chain: tuple[Link, ...] = ()
        if self.chance(25):
            length = self.one((1, 1, 1, 2, 2, 2, 3, 3, 7, 8, 8, 9))
            chain = tuple(
                self.link(self.one(LINK_IDS)) if self.chance(60) or length < 4 else Link(self.one(LINK_IDS))
                for _ in range(length)
            )
        return VerifiedCredential(
            CredentialKind.SESSION if self.chance(70) else CredentialKind.API_KEY,
            "c1",
            self.one(ACCOUNTS) if self.chance(98) else STRANGER,
            "acme" if self.chance(98) else "other",
            self.one((Mask(0), *[Mask(self.mask() | self.mask())] * 8)) if self.chance(14) else None,
            self.some(self.scope, 5) if self.chance(12) else None,
            chain,
            None if (used := self.one(SECOND_FACTORS)) is None else UnixMillis(used),
            self.one(SURFACES),
        )

    def query(self) -> Query:
        """One request; the authorities that more roles give come up more often."""
        authority = self.one(tuple(Authority)) if self.chance(40) else self.one((Authority.READ, Authority.WRITE))
        return Query(
            self.credential(),
            authority,
            self.target("acme" if self.chance(98) else "other"),
            self.one(SOURCES),
            self.chance(10),
        )

    def now(self) -> UnixMillis:
        """At, just before or just after the instants that entries begin and end at."""
        return UnixMillis(self.one((NOW - 1, NOW, NOW, NOW, NOW + 1)))
