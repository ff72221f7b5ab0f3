"""A small change of a policy: entries that are put, and entries that go (spec 6.3)."""

from collections.abc import Mapping
from dataclasses import field

from sidegate.core.model.errors import Position
from sidegate.core.model.value import value
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    MemberEntry,
    RoleEntry,
    SessionLimits,
)

REMOVE_PREFIX = "remove:"
"""Before the key of an entry that is named to go, e.g. ``remove:b3`` or ``remove:role:Intern``."""


@value
class Put:
    """Entries that replace the one of the same id or name, or are added. What is None is left as it is."""

    roles: tuple[RoleEntry, ...] = ()
    members: tuple[MemberEntry, ...] = ()
    groups: tuple[GroupEntry, ...] = ()
    bindings: tuple[BindingEntry, ...] = ()
    denies: tuple[DenyEntry, ...] = ()
    approvals: tuple[ApprovalRule, ...] = ()
    keys: tuple[KeyEntry, ...] = ()
    mfa_max_age_s: int | None = None
    sessions: Mapping[str, SessionLimits] = field(default_factory=dict)
    candidate: Candidate | None = None


@value
class Removal:
    """Names of roles and groups, accounts, ids of everything else; surfaces of session limits; the candidate."""

    roles: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()
    denies: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    candidate: bool = False


@value
class PolicyPatch:
    """A change of one organization's policy.

    Attributes:
        organization: Its name.
        put: What is put.
        remove: What goes; whatever it names has to be there.
        positions: Where entries were written, by their key as in a policy document; of those that go with
            :data:`REMOVE_PREFIX` before it. Not part of the meaning.
    """

    organization: str
    put: Put = Put()
    remove: Removal = Removal()
    positions: Mapping[str, Position] = field(default_factory=dict, compare=False, repr=False)
