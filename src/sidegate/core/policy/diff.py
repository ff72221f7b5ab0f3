"""What changed between two policy documents, entry by entry, whatever their order and layout (spec 6.4)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Final

from sidegate.core.model.errors import Position
from sidegate.core.model.value import value
from sidegate.core.policy.document import CANDIDATE_PREFIX, Candidate, PolicyDocument


class ChangeKind(StrEnum):
    """What became of an entry."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@value
class FieldChange:
    """One field that is another; values as in the document."""

    name: str
    before: object
    after: object


@value
class EntryChange:
    """One entry that is not the same in both documents.

    Attributes:
        kind: Added, removed or changed.
        section: ``bindings``, ``roles`` …, ``settings``; with ``candidate.`` before it for the candidate's.
        key: As in ``PolicyDocument.positions``; for a setting its name.
        fields: What changed in it; empty for an entry that came or went.
        before: The entry in the first document, as a value; None for an added one.
        after: The entry in the second document, as a value; None for a removed one.
        position: Where it is written: in the second document, for a removed one in the first.
    """

    kind: ChangeKind
    section: str
    key: str
    fields: tuple[FieldChange, ...]
    before: object
    after: object
    position: Position | None


_SECTIONS: Final = (
    ("roles", "role:", "name"),
    ("members", "member:", "account"),
    ("groups", "group:", "name"),
    ("bindings", "", "id"),
    ("denies", "", "id"),
    ("approvals", "", "id"),
    ("keys", "key:", "id"),
)
"""Section, what stands before its keys, and the field that names an entry."""

_UNORDERED: Final = frozenset({"roles", "groups", "surfaces", "sources", "scopes", "networks", "accounts"})
"""Fields in which order means nothing (spec 1.9, P6)."""


def diff_documents(before: PolicyDocument, after: PolicyDocument) -> tuple[EntryChange, ...]:
    """Return every entry that is not the same, section by section in the order of keys; empty if both mean the same."""
    changes = [*_setting_changes(before, after), *_section_changes(before, after, before, after, "")]
    old, new = before.candidate, after.candidate
    if old is not None or new is not None:
        nothing = Candidate()
        changes += _section_changes(old or nothing, new or nothing, before, after, CANDIDATE_PREFIX)
        changes += _removal_changes(old or nothing, new or nothing, before, after)
        if old is None or new is None:
            changes += _candidate_itself(old, before, after)
    return tuple(changes)


def _setting_changes(before: PolicyDocument, after: PolicyDocument) -> Iterator[EntryChange]:
    old = {"mfa_max_age_s": before.mfa_max_age_s, **{f"sessions.{name}": one for name, one in before.sessions.items()}}
    new = {"mfa_max_age_s": after.mfa_max_age_s, **{f"sessions.{name}": one for name, one in after.sessions.items()}}
    yield from _changes("settings", old, new, before.positions, after.positions)


def _section_changes(
    old: PolicyDocument | Candidate,
    new: PolicyDocument | Candidate,
    before: PolicyDocument,
    after: PolicyDocument,
    around: str,
) -> Iterator[EntryChange]:
    for section, prefix, name in _SECTIONS:
        label = f"candidate.{section}" if around else section
        yield from _changes(
            label,
            _keyed(getattr(old, section), around + prefix, name),
            _keyed(getattr(new, section), around + prefix, name),
            before.positions,
            after.positions,
        )


def _keyed(entries: Iterable[object], prefix: str, name: str) -> dict[str, object]:
    return {prefix + getattr(entry, name): entry for entry in entries}


def _changes(
    section: str,
    old: Mapping[str, object],
    new: Mapping[str, object],
    was_at: Mapping[str, Position],
    is_at: Mapping[str, Position],
) -> Iterator[EntryChange]:
    for key in sorted({*old, *new}):
        one, other = old.get(key), new.get(key)
        if one is None:
            yield EntryChange(ChangeKind.ADDED, section, key, (), None, other, is_at.get(key))
        elif other is None:
            yield EntryChange(ChangeKind.REMOVED, section, key, (), one, None, was_at.get(key))
        else:
            changed = tuple(_field_changes(key, one, other))
            if changed:
                yield EntryChange(ChangeKind.CHANGED, section, key, changed, one, other, is_at.get(key))


def _field_changes(key: str, one: object, other: object) -> Iterator[FieldChange]:
    if not is_dataclass(one) or isinstance(one, type):
        if one != other:
            yield FieldChange(key, one, other)
        return
    for each in fields(one):
        was, is_now = getattr(one, each.name), getattr(other, each.name)
        if _meaning(each.name, was) != _meaning(each.name, is_now):
            yield FieldChange(each.name, was, is_now)


def _meaning(name: str, given: object) -> object:
    """Return *given* in a form that is equal for two values that mean the same."""
    if name in _UNORDERED and isinstance(given, tuple):
        return frozenset(given)
    if is_dataclass(given) and not isinstance(given, type):
        return tuple((each.name, _meaning(each.name, getattr(given, each.name))) for each in fields(given))
    return given


def _removal_changes(
    old: Candidate, new: Candidate, before: PolicyDocument, after: PolicyDocument
) -> Iterator[EntryChange]:
    key = f"{CANDIDATE_PREFIX}remove"
    was, is_now = frozenset(old.remove), frozenset(new.remove)
    for word in sorted(is_now - was):
        yield EntryChange(ChangeKind.ADDED, "candidate.remove", word, (), None, word, after.positions.get(key))
    for word in sorted(was - is_now):
        yield EntryChange(ChangeKind.REMOVED, "candidate.remove", word, (), word, None, before.positions.get(key))


def _candidate_itself(old: Candidate | None, before: PolicyDocument, after: PolicyDocument) -> Iterator[EntryChange]:
    """Tell that there is a candidate now, or none any more: also one that changes nothing is evaluated."""
    kind = ChangeKind.ADDED if old is None else ChangeKind.REMOVED
    yield EntryChange(kind, "settings", "candidate", (), before.candidate, after.candidate, None)
