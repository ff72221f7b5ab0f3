"""A policy document as plain values, as written in a policy file (spec 6.3).

Nothing here is resolved: a role may clone an unknown one, an id may stand twice. :mod:`validate` says what is wrong,
:mod:`compile` makes the immutable form that decides.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from sidegate.core.model.authority import NO_AUTHORITY, Authority, Mask
from sidegate.core.model.errors import Position
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import Kind, Scope
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.core.model.value import value

Network = IPv4Network | IPv6Network

DEFAULT_MFA_MAX_AGE_S: Final = 43_200
"""Twelve hours (spec 1.5, conditions)."""

DEFAULT_APPROVAL_TTL: Final = Millis(24 * 60 * 60 * 1000)
"""One day (spec 4.1)."""

CANDIDATE_PREFIX: Final = "candidate:"
"""Before the key of an entry that stands in the candidate, e.g. ``candidate:b2``."""


class BindingState(StrEnum):
    """Where a binding stands between proposal and removal (spec 1.5, 4.2)."""

    TO_BE_ADDED = "to_be_added"
    ACTIVE = "active"
    TO_BE_REMOVED = "to_be_removed"
    REMOVED = "removed"


class KeyState(StrEnum):
    """Whether a key may be used at all (spec 3.2)."""

    ACTIVE = "active"
    REVOKED = "revoked"


@value
class Conditions:
    """``requires`` of a role, ``when`` of a binding (spec 1.5). A key that was not written is None.

    Attributes:
        mfa: A second factor is needed.
        surfaces: The session's surface must be one of these. Empty: none will do.
        sources: The client's address must lie in one of these. Empty: none will do.
    """

    mfa: bool | None = None
    surfaces: tuple[str, ...] | None = None
    sources: tuple[Network, ...] | None = None


NO_CONDITIONS: Final = Conditions()


@value
class RoleEntry:
    """One custom role. A field that was not written is None.

    Attributes:
        name: Free per organization.
        clone: Name of the role whose fields hold where this entry gives none.
        authorities: Of a project role.
        add: Authorities on top, project roles only.
        remove: Authorities taken away, project roles only; counts after *add*.
        sections: Of an organization role, from the segments of a section to its authorities.
        ceiling: Of an organization role.
        requires: Conditions on using it.
        high_risk: Its assignment needs a second person and its holders a second factor.
    """

    name: str
    clone: str | None = None
    authorities: Mask | None = None
    add: Mask = NO_AUTHORITY
    remove: Mask = NO_AUTHORITY
    sections: Mapping[tuple[str, ...], Mask] | None = None
    ceiling: Mask | None = None
    requires: Conditions = NO_CONDITIONS
    high_risk: bool | None = None


@value
class MemberEntry:
    """One account's place in the organization: ``user:ID`` or ``service:ID``, its organization roles and groups."""

    account: str
    state: AccountState = AccountState.ACTIVE
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@value
class GroupEntry:
    """One group; *directory* is its name in the identity provider."""

    name: str
    directory: str | None = None


@value
class BindingEntry:
    """A role given to a principal on a scope.

    Attributes:
        id: Unique among bindings, denies and approval rules.
        who: ``user:ID``, ``service:ID`` or ``group:NAME``.
        role: Name of a project role. One that nobody knows grants nothing.
        on: Where it holds.
        not_before: The first instant of it; None for always.
        not_after: The first instant at which it is over; None for never.
        state: Pending additions and finished removals have no effect.
        when: Conditions on top of the role's.
        purpose: Why it was given, for people.
    """

    id: str
    who: str
    role: str
    on: Scope
    not_before: UnixMillis | None = None
    not_after: UnixMillis | None = None
    state: BindingState = BindingState.ACTIVE
    when: Conditions = NO_CONDITIONS
    purpose: str | None = None


@value
class DenyEntry:
    """Authorities withheld on a scope; *who* may also be ``role:NAME`` (organization role) or ``agent:ID``."""

    id: str
    who: str
    authorities: Mask
    on: Scope


@value
class Approvers:
    """Who may decide: holders of *authority* on the target, and whoever is named (spec 4.1)."""

    authority: Authority | None = Authority.APPROVE
    accounts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@value
class ApprovalRule:
    """Operations that need someone else's word first (spec 4.1). *kind* None means targets of every kind."""

    id: str
    authorities: Mask
    on: Scope
    kind: Kind | None = None
    approvers: Approvers = Approvers()
    quorum: int = 1
    ttl: Millis = DEFAULT_APPROVAL_TTL


@value
class KeyEntry:
    """One API key as stored; the clear key is not (spec 3.2).

    Attributes:
        id: The 16 characters inside the key by which it is found.
        digest: SHA-256 of the whole clear key, 32 bytes.
        account: Who acts with it.
        authorities: Its own allow-list; None for no restriction.
        scopes: Its own scopes; None for no restriction.
        expires_at: The first instant at which it is over; None for never.
        single_use: Consumed by the first request that is allowed.
        networks: Source networks it may be used from; None for everywhere.
        state: A revoked key is refused.
        created_by: Who minted it, for people.
        created_at: When it was minted.
        rotated_at: When it last took the place of another.
    """

    id: str
    digest: bytes
    account: str
    authorities: Mask | None = None
    scopes: tuple[Scope, ...] | None = None
    expires_at: UnixMillis | None = None
    single_use: bool = False
    networks: tuple[Network, ...] | None = None
    state: KeyState = KeyState.ACTIVE
    created_by: str | None = None
    created_at: UnixMillis | None = None
    rotated_at: UnixMillis | None = None


@value
class SessionLimits:
    """An organization's own, shorter limits for one surface (spec 3.1); None leaves the configured one."""

    idle: Millis | None = None
    absolute: Millis | None = None


@value
class Candidate:
    """An overlay that is evaluated and recorded, not enforced (spec 1.8).

    An entry replaces the one of the same id (name, account), else it is added.

    Attributes:
        remove: What the candidate takes away: the id of a binding, deny or approval rule, the name of a role, or one of
            ``role:NAME``, ``member:ACCOUNT``, ``group:NAME``, ``key:ID``.
    """

    roles: tuple[RoleEntry, ...] = ()
    members: tuple[MemberEntry, ...] = ()
    groups: tuple[GroupEntry, ...] = ()
    bindings: tuple[BindingEntry, ...] = ()
    denies: tuple[DenyEntry, ...] = ()
    approvals: tuple[ApprovalRule, ...] = ()
    keys: tuple[KeyEntry, ...] = ()
    remove: tuple[str, ...] = ()


@value
class PolicyDocument:
    """Everything one organization's policy file says.

    Attributes:
        organization: Its name.
        mfa_max_age_s: How old a second factor may be, whole seconds.
        sessions: Tighter session limits by surface.
        candidate: The overlay under trial, if any.
        positions: Where an entry was written, by its key: a binding, deny or approval rule by its id, else
            ``role:NAME``, ``member:ACCOUNT``, ``group:NAME``, ``key:ID``; what stands in the candidate has
            ``candidate:`` before its key, and its list of removals is ``candidate:remove``. Not part of the meaning.
    """

    organization: str
    mfa_max_age_s: int = DEFAULT_MFA_MAX_AGE_S
    roles: tuple[RoleEntry, ...] = ()
    members: tuple[MemberEntry, ...] = ()
    groups: tuple[GroupEntry, ...] = ()
    bindings: tuple[BindingEntry, ...] = ()
    denies: tuple[DenyEntry, ...] = ()
    approvals: tuple[ApprovalRule, ...] = ()
    keys: tuple[KeyEntry, ...] = ()
    sessions: Mapping[str, SessionLimits] = field(default_factory=dict)
    candidate: Candidate | None = None
    positions: Mapping[str, Position] = field(default_factory=dict, compare=False, repr=False)
