"""What can be written in a policy file (spec 6.3), and the core values that it stands for."""

from typing import Annotated, Final

from pydantic import Field

from sidegate.config.explain import Written
from sidegate.config.forms import (
    Account,
    BoundParty,
    DeniedParty,
    Duration,
    EntryId,
    Flag,
    FreeName,
    Instant,
    KeyDigest,
    KeyId,
    Line,
    OrganizationName,
    OrOne,
    Section,
    SurfaceName,
    Text,
    Whole,
    WrittenNetwork,
    WrittenScope,
)
from sidegate.core.model.authority import NO_AUTHORITY, Authority, Mask, mask_of
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import Kind
from sidegate.core.policy.document import (
    DEFAULT_APPROVAL_TTL,
    DEFAULT_MFA_MAX_AGE_S,
    NO_CONDITIONS,
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
    RoleEntry,
    SessionLimits,
)

MAX_MFA_AGE_S: Final = 366 * 86_400
_YEAR_MS: Final = MAX_MFA_AGE_S * 1000
_Authorities = tuple[Authority, ...]


def _mask(authorities: _Authorities | None) -> Mask | None:
    return None if authorities is None else mask_of(authorities)


class WrittenConditions(Written):
    """Conditions on a role or a binding (spec 1.5)."""

    mfa: Flag | None = Field(default=None, description="A second factor is needed.")
    surface: Annotated[tuple[SurfaceName, ...], OrOne()] | None = Field(
        default=None, description="Only from one of these surfaces."
    )
    source: Annotated[tuple[WrittenNetwork, ...], OrOne()] | None = Field(
        default=None, description="Only from one of these networks."
    )

    def entry(self) -> Conditions:
        """Return the core value."""
        return Conditions(self.mfa, self.surface, self.source)


_NO_CONDITIONS: Final = WrittenConditions()


class WrittenRole(Written):
    """A custom role (spec 1.3): authorities for a project role; sections, ceiling or both for an organization role."""

    clone: FreeName | None = Field(default=None, description="Role whose fields hold where none is given here.")
    authorities: _Authorities | None = Field(default=None, description="Of a project role.")
    add: _Authorities = Field(default=(), description="On top of the cloned authorities; project roles only.")
    remove: _Authorities = Field(default=(), description="Taken from the cloned authorities; project roles only.")
    sections: dict[Section, _Authorities] | None = Field(
        default=None, description="Authorities by section of the organization."
    )
    ceiling: _Authorities | None = Field(default=None, description="The most that any project grant can give.")
    requires: WrittenConditions = Field(default=_NO_CONDITIONS, description="Conditions on using the role.")
    high_risk: Flag | None = Field(default=None, description="Needs a second person to assign and a second factor.")

    def entry(self, name: str) -> RoleEntry:
        """Return the core value."""
        return RoleEntry(
            name,
            self.clone,
            _mask(self.authorities),
            mask_of(self.add) if self.add else NO_AUTHORITY,
            mask_of(self.remove) if self.remove else NO_AUTHORITY,
            None if self.sections is None else {section: mask_of(given) for section, given in self.sections.items()},
            _mask(self.ceiling),
            self.requires.entry(),
            self.high_risk,
        )


class WrittenMember(Written):
    """An account's place in the organization."""

    state: AccountState = Field(default=AccountState.ACTIVE, description="State of the account.")
    roles: tuple[FreeName, ...] = Field(default=(), description="Organization roles.")
    groups: tuple[FreeName, ...] = Field(default=(), description="Groups.")

    def entry(self, account: str) -> MemberEntry:
        """Return the core value."""
        return MemberEntry(account, self.state, self.roles, self.groups)


class WrittenGroup(Written):
    """A group of accounts."""

    directory: Line | None = Field(default=None, description="Its name in the identity provider.")

    def entry(self, name: str) -> GroupEntry:
        """Return the core value."""
        return GroupEntry(name, self.directory)


class WrittenBinding(Written):
    """A role given to an account or a group on a scope (spec 1.5)."""

    id: EntryId = Field(description="Unique among bindings, denies and approvals.", examples=["b1"])
    who: BoundParty = Field(description="user:ID, service:ID or group:NAME.", examples=["user:ana"])
    role: FreeName = Field(description="A project role.", examples=["Designer"])
    on: WrittenScope = Field(description="Where it holds.", examples=["p1"])
    not_before: Instant | None = Field(default=None, description="The first instant of it.")
    not_after: Instant | None = Field(default=None, description="The first instant at which it is over.")
    state: BindingState = Field(default=BindingState.ACTIVE, description="Between proposal and removal.")
    when: WrittenConditions = Field(default=_NO_CONDITIONS, description="Conditions on top of the role's.")
    purpose: Line | None = Field(default=None, description="Why it was given.")

    def entry(self) -> BindingEntry:
        """Return the core value."""
        return BindingEntry(
            self.id,
            self.who,
            self.role,
            self.on,
            self.not_before,
            self.not_after,
            self.state,
            # Most have none: a million bindings share that.
            NO_CONDITIONS if self.when is _NO_CONDITIONS else self.when.entry(),
            self.purpose,
        )


class WrittenDeny(Written):
    """Authorities withheld on a scope, whatever is granted (spec 1.5)."""

    id: EntryId = Field(description="Unique among bindings, denies and approvals.", examples=["d1"])
    who: DeniedParty = Field(
        description="user:ID, service:ID, group:NAME, role:NAME or agent:ID.", examples=["user:ana"]
    )
    authorities: _Authorities = Field(min_length=1, description="What is withheld.", examples=["[delete]"])
    on: WrittenScope = Field(description="Where.", examples=["p1"])

    def entry(self) -> DenyEntry:
        """Return the core value."""
        return DenyEntry(self.id, self.who, mask_of(self.authorities), self.on)


class WrittenApprovers(Written):
    """Who may approve (spec 4.1)."""

    authority: Authority | None = Field(default=None, description="Whoever holds this on the target.")
    accounts: tuple[Account, ...] = Field(default=(), description="And these accounts.")
    groups: tuple[FreeName, ...] = Field(default=(), description="And members of these groups.")

    def entry(self) -> Approvers:
        """Return the core value."""
        return Approvers(self.authority, self.accounts, self.groups)


class WrittenApproval(Written):
    """Operations that need someone else's word first (spec 4.1)."""

    id: EntryId = Field(description="Unique among bindings, denies and approvals.", examples=["promote"])
    authorities: _Authorities = Field(min_length=1, description="What needs approval.", examples=["[approve]"])
    on: WrittenScope = Field(description="Where.", examples=["p1"])
    kind: Kind | None = Field(default=None, description="Only targets of this kind.")
    approvers: WrittenApprovers = Field(
        default=WrittenApprovers(authority=Authority.APPROVE), description="Who may approve."
    )
    quorum: Whole = Field(default=1, ge=1, le=100, description="How many distinct people.")
    ttl_ms: Duration = Field(
        default=DEFAULT_APPROVAL_TTL, ge=1000, le=_YEAR_MS, description="How long a request stays open."
    )

    def entry(self) -> ApprovalRule:
        """Return the core value."""
        return ApprovalRule(
            self.id,
            mask_of(self.authorities),
            self.on,
            self.kind,
            self.approvers.entry(),
            self.quorum,
            self.ttl_ms,
        )


class WrittenKey(Written):
    """An API key, as `sidegate key mint` prints it; the clear key is nowhere (spec 3.2)."""

    id: KeyId = Field(description="The 16 characters inside the key.", examples=["4fQz8Kd01LmNopQr"])
    digest: KeyDigest = Field(description="sha256: and the SHA-256 of the whole clear key.", examples=["sha256:…"])
    account: Account = Field(description="Who acts with it.", examples=["service:ci"])
    authorities: _Authorities | None = Field(default=None, description="Only these; all without it.")
    scopes: tuple[WrittenScope, ...] | None = Field(default=None, description="Only on these; everywhere without it.")
    expires_at: Instant | None = Field(default=None, description="The first instant at which it is over.")
    single_use: Flag = Field(default=False, description="Consumed by the first request that is allowed.")
    networks: tuple[WrittenNetwork, ...] | None = Field(default=None, description="Only from these networks.")
    state: KeyState = Field(default=KeyState.ACTIVE, description="A revoked key is refused.")
    created_by: Line | None = Field(default=None, description="Who minted it.")
    created_at: Instant | None = Field(default=None, description="When it was minted.")
    rotated_at: Instant | None = Field(default=None, description="When it took the place of another.")

    def entry(self) -> KeyEntry:
        """Return the core value."""
        return KeyEntry(
            self.id,
            self.digest,
            self.account,
            _mask(self.authorities),
            self.scopes,
            self.expires_at,
            self.single_use,
            self.networks,
            self.state,
            self.created_by,
            self.created_at,
            self.rotated_at,
        )


class WrittenSessionLimits(Written):
    """Tighter session limits of one surface (spec 3.1)."""

    idle_ms: Duration | None = Field(default=None, ge=1, le=_YEAR_MS, description="Without activity.")
    absolute_ms: Duration | None = Field(default=None, ge=1, le=_YEAR_MS, description="From its start.")

    def entry(self) -> SessionLimits:
        """Return the core value."""
        return SessionLimits(self.idle_ms, self.absolute_ms)


class Sections(Written):
    """The entries that a policy and its candidate both have."""

    roles: dict[FreeName, WrittenRole] = Field(default={}, description="Custom roles by name.")
    members: dict[Account, WrittenMember] = Field(default={}, description="Accounts: user:ID or service:ID.")
    groups: dict[FreeName, WrittenGroup] = Field(default={}, description="Groups by name.")
    bindings: tuple[WrittenBinding, ...] = Field(default=(), description="Roles on scopes; the narrowest wins.")
    denies: tuple[WrittenDeny, ...] = Field(default=(), description="What is never allowed.")
    approvals: tuple[WrittenApproval, ...] = Field(default=(), description="What needs someone else's word.")
    keys: tuple[WrittenKey, ...] = Field(default=(), description="API keys.")


class WrittenCandidate(Sections):
    """An overlay that is evaluated and recorded, not enforced (spec 1.8); an entry replaces the one of its id."""

    remove: tuple[Text, ...] = Field(
        default=(), description="Ids taken away; also role:NAME, member:ACCOUNT, group:NAME, key:ID."
    )

    def entry(self) -> Candidate:
        """Return the core value."""
        return Candidate(
            tuple(role.entry(name) for name, role in self.roles.items()),
            tuple(member.entry(account) for account, member in self.members.items()),
            tuple(group.entry(name) for name, group in self.groups.items()),
            tuple(binding.entry() for binding in self.bindings),
            tuple(deny.entry() for deny in self.denies),
            tuple(rule.entry() for rule in self.approvals),
            tuple(key.entry() for key in self.keys),
            self.remove,
        )


class WrittenPolicy(Sections):
    """Policy of one organization; the file is called by its name, e.g. acme.yaml."""

    organization: OrganizationName = Field(description="Name of the organization.", examples=["acme"])
    mfa_max_age_s: Whole = Field(
        default=DEFAULT_MFA_MAX_AGE_S, ge=0, le=MAX_MFA_AGE_S, description="How old a second factor may be."
    )
    sessions: dict[SurfaceName, WrittenSessionLimits] = Field(default={}, description="Tighter limits by surface.")
    candidate: WrittenCandidate | None = Field(default=None, description="What is tried in the shadow.")
