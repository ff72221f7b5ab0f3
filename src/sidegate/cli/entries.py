"""Policy entries in words, with the place where they are written."""

from collections.abc import Iterable, Iterator
from typing import Final

from sidegate.cli.values import describe_value
from sidegate.core.model.authority import ALL_AUTHORITIES, Mask, authorities_in
from sidegate.core.model.errors import Position
from sidegate.core.model.units import format_instant
from sidegate.core.model.value import value
from sidegate.core.policy.builtin import BUILT_IN_ROLES, Role, RoleKind
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    BindingState,
    Conditions,
    DenyEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
)
from sidegate.core.policy.roles import resolve_roles

_ROLE: Final = "role:"
_AGENT: Final = "agent:"


@value
class CitedEntry:
    """One entry of ``because``.

    Attributes:
        key: As cited.
        text: What it says, in words.
        position: Where it is written; None for what is built in, or belongs to the credential.
    """

    key: str
    text: str
    position: Position | None

    def __str__(self) -> str:
        place = f"{self.position}: " if self.position is not None else ""
        return f"{place}{self.key}: {self.text}"


def cite(document: PolicyDocument | None, because: Iterable[str]) -> list[CitedEntry]:
    """Return the entries that *because* names, as *document* has them; None when there is no policy."""
    return [_cite(document, key) for key in because]


def describe_citation(entry: CitedEntry) -> dict[str, object]:
    """Return *entry* for JSON."""
    position = entry.position
    return {
        "id": entry.key,
        "text": entry.text,
        "file": None if position is None else position.file,
        "line": None if position is None else position.line,
        "column": None if position is None else position.column,
    }


def _cite(document: PolicyDocument | None, key: str) -> CitedEntry:
    if key == "credential":
        return CitedEntry(key, "the credential's own list of authorities or scopes", None)
    if key.startswith(_AGENT):
        return CitedEntry(key, "a link of the delegation chain, by its own restrictions", None)
    if document is None:
        return CitedEntry(key, "nothing is known of this organization's policy", None)
    if key.startswith(_ROLE):
        role = resolve_roles(document.roles).get(key.removeprefix(_ROLE))
        text = "no such role" if role is None else describe_role(role)
        if key.removeprefix(_ROLE) in BUILT_IN_ROLES:
            text += "; built in"
        return CitedEntry(key, text, document.positions.get(key))
    text = next((text for entry_id, text in _entries(document) if entry_id == key), "not in the policy any more")
    return CitedEntry(key, text, document.positions.get(key))


def _entries(document: PolicyDocument) -> Iterator[tuple[str, str]]:
    for binding in document.bindings:
        yield binding.id, describe_binding(binding)
    for deny in document.denies:
        yield deny.id, describe_deny(deny)
    for rule in document.approvals:
        yield rule.id, describe_rule(rule)


def describe_authorities(mask: Mask) -> str:
    """Return the authorities of *mask* as ``read, write``; ``nothing`` for none, ``everything`` for all eight."""
    if mask == ALL_AUTHORITIES:
        return "everything"
    return ", ".join(authorities_in(mask)) or "nothing"


def describe_binding(entry: BindingEntry) -> str:
    """Say what a binding gives to whom, where, when, and why."""
    parts = [f"{entry.who} is {entry.role} on {entry.on}"]
    if entry.not_before is not None:
        parts.append(f"from {format_instant(entry.not_before)}")
    if entry.not_after is not None:
        parts.append(f"until {format_instant(entry.not_after)}")
    if entry.state is not BindingState.ACTIVE:
        parts.append(f"state {entry.state}")
    parts += _conditions(entry.when)
    if entry.purpose is not None:
        parts.append(f'purpose "{entry.purpose}"')
    return ", ".join(parts)


def describe_deny(entry: DenyEntry) -> str:
    """Say what a deny withholds from whom, and where."""
    return f"{entry.who} may not {describe_authorities(entry.authorities)} on {entry.on}"


def describe_rule(rule: ApprovalRule) -> str:
    """Say what an approval rule asks for."""
    kind = f" of kind {rule.kind}" if rule.kind is not None else ""
    approvers = [
        *([f"holders of {rule.approvers.authority}"] if rule.approvers.authority is not None else []),
        *rule.approvers.accounts,
        *(f"group:{group}" for group in rule.approvers.groups),
    ]
    people = "1 approval" if rule.quorum == 1 else f"{rule.quorum} approvals"
    return (
        f"{describe_authorities(rule.authorities)} on {rule.on}{kind} needs {people}"
        f" by {' or '.join(approvers) or 'nobody'}"
    )


def describe_role(role: Role) -> str:
    """Say what a role gives."""
    if role.kind is RoleKind.PROJECT:
        parts = [f"gives {describe_authorities(role.authorities)}"]
    else:
        sections = [f"{_section(section)}: {describe_authorities(mask)}" for section, mask in _sections(role)]
        parts = [
            f"on sections {'; '.join(sections)}" if sections else "nothing on sections",
            f"in projects at most {describe_authorities(role.ceiling)}",
            *(f"also {name} on {scope}" for name, scope in role.implied),
        ]
    if role.high_risk:
        parts.append("high risk")
    return ", ".join([*parts, *_conditions(role.requires)])


def _sections(role: Role) -> list[tuple[tuple[str, ...], Mask]]:
    return sorted((role.sections or {}).items())


def _section(segments: tuple[str, ...]) -> str:
    return "/" + "/".join(segments)


def describe_member(entry: MemberEntry) -> str:
    """Say how an account belongs to the organization."""
    parts = [f"state {entry.state}", f"roles {', '.join(entry.roles) or 'none'}"]
    if entry.groups:
        parts.append(f"groups {', '.join(entry.groups)}")
    return "; ".join(parts)


def _conditions(conditions: Conditions) -> list[str]:
    parts = []
    if conditions.mfa:
        parts.append("with a second factor")
    if conditions.surfaces is not None:
        parts.append(f"only from surface {' or '.join(conditions.surfaces) or 'none'}")
    if conditions.sources is not None:
        parts.append(f"only from {' or '.join(map(str, conditions.sources)) or 'nowhere'}")
    return parts


def describe_entry(entry: object) -> str:
    """Say what any entry of a policy document says."""
    match entry:
        case BindingEntry():
            return describe_binding(entry)
        case DenyEntry():
            return describe_deny(entry)
        case ApprovalRule():
            return describe_rule(entry)
        case MemberEntry():
            return describe_member(entry)
        case KeyEntry():
            return describe_key(entry)
        case _:
            return describe_value("", entry)


def describe_key(key: KeyEntry) -> str:
    """Say whose a key is and what it is limited to."""
    parts = [key.account, f"state {key.state}"]
    if key.authorities is not None:
        parts.append(f"only {describe_value('authorities', key.authorities)}")
    if key.scopes is not None:
        parts.append(f"only on {describe_value('scopes', key.scopes)}")
    if key.networks is not None:
        parts.append(f"only from {describe_value('networks', key.networks)}")
    if key.expires_at is not None:
        parts.append(f"until {format_instant(key.expires_at)}")
    if key.single_use:
        parts.append("single use")
    return ", ".join(parts)
