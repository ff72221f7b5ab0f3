"""A digest over what a policy document means (spec 5.1, 5.2)."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from heapq import merge
from typing import assert_never

from sidegate.core.model.target import Scope
from sidegate.core.policy.document import (
    ApprovalRule,
    BindingEntry,
    Candidate,
    Conditions,
    DenyEntry,
    GroupEntry,
    KeyEntry,
    MemberEntry,
    PolicyDocument,
    RoleEntry,
)

Plain = str | int | bool | None | list["Plain"]

_FORMAT = "sidegate-policy-1"
"""Goes into the digest: another canonical form must never give the same one."""


def digest_of(document: PolicyDocument) -> str:
    """Return the SHA-256 (hex) over the canonical form of *document*.

    One line of JSON per entry, sorted, so that the order in which entries were written does not count; lists whose
    order means nothing are sorted as well. Positions are not part of it.
    """
    lines = [_line([_FORMAT, document.organization, document.mfa_max_age_s])]
    lines.extend(
        _line(["session", surface, limits.idle, limits.absolute]) for surface, limits in document.sessions.items()
    )
    lines.extend(_line(entry) for entry in _entries(document))
    candidate = document.candidate
    if candidate is not None:
        lines.append(_line(["candidate", _words(candidate.remove)]))
        lines.extend(_line(["candidate", entry]) for entry in _entries(candidate))
    digest = hashlib.sha256()
    for line in _in_order(lines):
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()


_SORTED_AT_ONCE = 20_000
"""Lines; a millisecond. Sorting more would keep the interpreter lock, and with it an event loop, for longer."""


def _in_order(lines: list[str]) -> Iterable[str]:
    pieces = [sorted(lines[start : start + _SORTED_AT_ONCE]) for start in range(0, len(lines), _SORTED_AT_ONCE)]
    return pieces[0] if len(pieces) == 1 else merge(*pieces)


def _line(plain: list[Plain]) -> str:
    return json.dumps(plain, separators=(",", ":"))


def _entries(part: PolicyDocument | Candidate) -> Iterator[list[Plain]]:
    for listed in (part.roles, part.members, part.groups, part.bindings, part.denies, part.approvals, part.keys):
        for entry in listed:
            yield _plain_entry(entry)


def _plain_entry(
    entry: RoleEntry | MemberEntry | GroupEntry | BindingEntry | DenyEntry | ApprovalRule | KeyEntry,
) -> list[Plain]:
    match entry:
        case RoleEntry():
            return _plain_role(entry)
        case MemberEntry():
            return ["member", entry.account, entry.state, _words(entry.roles), _words(entry.groups)]
        case GroupEntry():
            return ["group", entry.name, entry.directory]
        case BindingEntry():
            return [
                *("binding", entry.id, entry.who, entry.role, str(entry.on), entry.not_before, entry.not_after),
                *(entry.state, _plain_conditions(entry.when), entry.purpose),
            ]
        case DenyEntry():
            return ["deny", entry.id, entry.who, entry.authorities, str(entry.on)]
        case ApprovalRule():
            named = entry.approvers
            return [
                *("approval", entry.id, entry.authorities, str(entry.on), entry.kind, entry.quorum, entry.ttl),
                *(named.authority, _words(named.accounts), _words(named.groups)),
            ]
        case KeyEntry():
            return [
                *("key", entry.id, entry.digest.hex(), entry.account, entry.authorities, _scopes(entry.scopes)),
                *(entry.expires_at, entry.single_use, _all(entry.networks), entry.state, entry.created_by),
                *(entry.created_at, entry.rotated_at),
            ]
        case _:
            assert_never(entry)


def _plain_role(entry: RoleEntry) -> list[Plain]:
    sections: Plain = None
    if entry.sections is not None:
        sections = [["/".join(section), mask] for section, mask in sorted(entry.sections.items())]
    return [
        *("role", entry.name, entry.clone, entry.authorities, entry.add, entry.remove, sections),
        *(entry.ceiling, _plain_conditions(entry.requires), entry.high_risk),
    ]


def _plain_conditions(conditions: Conditions) -> Plain:
    return [conditions.mfa, _all(conditions.surfaces), _all(conditions.sources)]


def _scopes(scopes: tuple[Scope, ...] | None) -> Plain:
    return _all(scopes)


def _all(items: Iterable[object] | None) -> Plain:
    """Spell unordered *items*; an absent list is not an empty one."""
    return None if items is None else _words(str(item) for item in items)


def _words(words: Iterable[str]) -> list[Plain]:
    return [*sorted(set(words))]
