"""Files of small changes: entries of one organization's policy that are put, and entries that go (spec 6.3)."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from sidegate.config.explain import Written, validate
from sidegate.config.forms import Account, EntryId, FreeName, KeyId, OrganizationName, SurfaceName, Whole
from sidegate.config.policy_file import entry_positions, in_order
from sidegate.config.policy_model import MAX_MFA_AGE_S, Sections, WrittenCandidate, WrittenSessionLimits
from sidegate.config.yaml_tree import YamlTree, read_tree
from sidegate.core.model.errors import PolicyError, Position, Problem
from sidegate.core.policy.document import CANDIDATE_PREFIX
from sidegate.core.policy.patch import REMOVE_PREFIX, PolicyPatch, Put, Removal

MAX_PATCH_BYTES: Final = 4 << 20
"""Some 40,000 entries; more at once is published whole."""

_KINDS: Final = {"roles": "role:", "members": "member:", "groups": "group:", "keys": "key:"}
"""What stands before the name of an entry in its key, by section; before an id there is nothing."""

_LISTED: Final = ("bindings", "denies", "approvals", "keys")
_NAMED: Final = ("roles", "members", "groups")


class WrittenPut(Sections):
    """Entries that replace the one of the same name or id, or are added."""

    mfa_max_age_s: Whole | None = Field(
        default=None, ge=0, le=MAX_MFA_AGE_S, description="How old a second factor may be."
    )
    sessions: dict[SurfaceName, WrittenSessionLimits] = Field(default={}, description="Tighter limits by surface.")
    candidate: WrittenCandidate | None = Field(
        default=None, description="What is tried in the shadow; takes the place of the whole candidate."
    )

    def put(self) -> Put:
        """Return the core value."""
        return Put(
            tuple(role.entry(name) for name, role in self.roles.items()),
            tuple(member.entry(account) for account, member in self.members.items()),
            tuple(group.entry(name) for name, group in self.groups.items()),
            tuple(binding.entry() for binding in self.bindings),
            tuple(deny.entry() for deny in self.denies),
            tuple(rule.entry() for rule in self.approvals),
            tuple(key.entry() for key in self.keys),
            self.mfa_max_age_s,
            {surface: limits.entry() for surface, limits in self.sessions.items()},
            None if self.candidate is None else self.candidate.entry(),
        )


_Ids = Annotated[tuple[EntryId, ...], Field(examples=["[b3]"])]


class WrittenRemoval(Written):
    """What goes; it has to be there."""

    roles: tuple[FreeName, ...] = Field(default=(), description="Names of custom roles.")
    members: tuple[Account, ...] = Field(default=(), description="Accounts; what names them stays.")
    groups: tuple[FreeName, ...] = Field(default=(), description="Names of declared groups.")
    bindings: _Ids = Field(default=(), description="Ids.")
    denies: _Ids = Field(default=(), description="Ids.")
    approvals: _Ids = Field(default=(), description="Ids.")
    keys: tuple[KeyId, ...] = Field(default=(), description="Ids of API keys.")
    sessions: tuple[SurfaceName, ...] = Field(default=(), description="Surfaces whose limits go.")
    candidate: Literal[True] | None = Field(default=None, description="The whole candidate: write true.")

    def removal(self) -> Removal:
        """Return the core value."""
        return Removal(
            self.roles,
            self.members,
            self.groups,
            self.bindings,
            self.denies,
            self.approvals,
            self.keys,
            self.sessions,
            self.candidate is not None,
        )


class WrittenPatch(Written):
    """A small change of the policy of one organization that is published."""

    organization: OrganizationName = Field(description="Name of the organization.", examples=["acme"])
    put: WrittenPut = Field(default=WrittenPut(), description="Entries that are put in the place of others, or added.")
    remove: WrittenRemoval = Field(default=WrittenRemoval(), description="Entries that go.")


def read_patch(content: bytes, file: str) -> PolicyPatch:
    """Read the *content* of a change called *file*: YAML, or JSON.

    Raises:
        PolicyError: Carries everything that is wrong, each with file, line and column.
    """
    tree = read_tree(content, file, MAX_PATCH_BYTES)
    problems = list(tree.problems)
    if tree.data is None:
        hint = "add it, e.g. `organization: acme`"
        raise PolicyError(tuple(problems) or (Problem(tree.position(()), "organization", "is missing", hint),))
    written, wrong = validate(WrittenPatch, tree.data, tree)
    problems += wrong
    if written is not None:
        problems += _contradictions(written, tree)
    if problems or written is None:
        raise PolicyError(tuple(sorted(problems, key=in_order)))
    return PolicyPatch(
        written.organization, written.put.put(), written.remove.removal(), dict(_positions(written, tree))
    )


def _contradictions(written: WrittenPatch, tree: YamlTree) -> Iterator[Problem]:
    """Yield what is written twice, or put and removed: which of the two counted would be chance."""
    put, gone = written.put, written.remove
    if put == WrittenPut() and gone == WrittenRemoval():
        yield Problem(tree.position(()), "put", "holds nothing, and nothing goes", "write what changes")
    first: dict[str, str] = {}
    for section in _LISTED:
        for number, entry in enumerate(getattr(put, section)):
            key = _KINDS.get(section, "") + entry.id
            if key in first:
                yield Problem(tree.position(("put", section, number)), key, "stands more than once", "keep one")
            first.setdefault(key, section)
    for section in (*_NAMED, *_LISTED, "sessions"):
        names: set[str] = set()
        is_moved = section in {"bindings", "denies", "approvals"}
        taken = set() if is_moved or section == "keys" else set(getattr(put, section))
        taken |= {key.id for key in put.keys} if section == "keys" else set()
        for number, name in enumerate(getattr(gone, section)):
            place, key = tree.position(("remove", section, number)), _KINDS.get(section, "") + name
            if name in names:
                yield Problem(place, key, "is removed more than once", "keep one")
            elif name in taken:
                yield Problem(place, key, "is put and removed", "keep one of the two")
            names.add(name)
    if put.candidate is not None and gone.candidate is not None:
        yield Problem(tree.key_position(("remove", "candidate")), "candidate", "is put and removed", "keep one")


def _positions(written: WrittenPatch, tree: YamlTree) -> Iterator[tuple[str, Position]]:
    yield from entry_positions(written.put, tree, ("put",), "")
    if written.put.candidate is not None:
        around = ("put", "candidate")
        yield from entry_positions(written.put.candidate, tree, around, CANDIDATE_PREFIX)
        yield f"{CANDIDATE_PREFIX}remove", tree.key_position((*around, "remove"))
    for surface in written.put.sessions:
        yield f"sessions.{surface}", tree.key_position(("put", "sessions", surface))
    for section in (*_NAMED, *_LISTED):
        for number, name in enumerate(getattr(written.remove, section)):
            key = f"{REMOVE_PREFIX}{_KINDS.get(section, '')}{name}"
            yield key, tree.position(("remove", section, number))
    for number, surface in enumerate(written.remove.sessions):
        yield f"{REMOVE_PREFIX}sessions.{surface}", tree.position(("remove", "sessions", number))
    if written.remove.candidate is not None:
        yield f"{REMOVE_PREFIX}candidate", tree.key_position(("remove", "candidate"))
