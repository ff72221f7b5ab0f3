"""A small change judged against what is published, as strictly as a whole file, reading only what it is about.

Two documents are made of what was read: with the entries that the change is about as they are, and as they would be.
What is wrong with the second and not with the first is wrong because of the change; what only looks wrong since most of
the organization is not in them looks so in both.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from sidegate.core.model.errors import PolicyError, Problem
from sidegate.core.model.value import value
from sidegate.core.policy.diff import EntryChange, diff_documents
from sidegate.core.policy.document import BindingEntry, Candidate, DenyEntry, PolicyDocument
from sidegate.core.policy.findings import Finding, Severity
from sidegate.core.policy.header import GROUP
from sidegate.core.policy.patch import REMOVE_PREFIX, PolicyPatch, Put
from sidegate.core.policy.validate import find_problems
from sidegate.distribution.redis_edits import Edits, HeaderSettings, ids_concerned, plan_edits, sections_to_read
from sidegate.distribution.redis_excerpt import NOBODY, Excerpt
from sidegate.distribution.redis_header import Entry, candidate_of
from sidegate.distribution.redis_plan import Plan
from sidegate.distribution.redis_records import StoredSubject, is_account

_WITH_IDS: Final = ("bindings", "denies", "approvals")
_A: Final = {"bindings": "a binding", "denies": "a deny", "approvals": "an approval rule"}
_CANDIDATE_SECTIONS: Final = ("roles", "members", "groups", "bindings", "denies", "approvals", "keys")


@value
class PatchPlan:
    """What a change comes to.

    Attributes:
        plan: What is written.
        changes: Entry by entry.
        warnings: What looks wrong because of it but fails safe.
    """

    plan: Plan
    changes: tuple[EntryChange, ...]
    warnings: tuple[Problem, ...]


async def plan_patch(excerpt: Excerpt, patch: PolicyPatch) -> PatchPlan:
    """Judge *patch* and find out what it writes; writes nothing.

    Args:
        excerpt: Was begun with.
        patch: Of the same organization.

    Raises:
        PolicyError: It must not be used, or the organization is not published; carries every error.
        IntegrityError: Something there is not what was published.
        DependencyError: Redis is away, or holds something else under the names.
        ChangedMeanwhileError: Somebody published it meanwhile.
    """
    seen = await _read(excerpt, patch)
    problems = tuple(_misplaced(excerpt, patch))
    if problems:
        raise PolicyError(problems)
    edits = _edits(excerpt, patch)
    before, after = (_document(excerpt, patch, one, seen) for one in (Edits(), edits))
    known = frozenset(find_problems(before))
    found = [finding for finding in find_problems(after) if finding not in known]
    errors = tuple(_problem(one, patch) for one in found if one.severity is Severity.ERROR)
    if errors:
        raise PolicyError(errors)
    for section in sections_to_read(excerpt, edits):
        await excerpt.read_entries(section)
    await excerpt.read_ids(ids_concerned(excerpt, edits))
    warnings = tuple(_problem(one, patch) for one in found)
    return PatchPlan(plan_edits(excerpt, edits), diff_documents(before, after), warnings)


# Reading what it is about.


_Seen = Mapping[str, set[str] | None]
"""Names of what the change is about, by section of the header; None for all of it. More may have been read: a page has
hundreds of other entries, and judging each of them would take longer than everything else."""


async def _read(excerpt: Excerpt, patch: PolicyPatch) -> _Seen:
    put, gone = patch.put, patch.remove
    ids = {entry.id for section in _WITH_IDS for entry in getattr(put, section)}
    ids.update(*(getattr(gone, section) for section in _WITH_IDS))
    candidate = put.candidate or Candidate()
    ids.update(entry.id for section in _WITH_IDS for entry in getattr(candidate, section))
    words = {word.rpartition(":")[2] if word.startswith("role:") else word for word in candidate.remove}
    await excerpt.read_ids(ids | words)
    owners = {where for one in ids | words if (where := excerpt.where(one)) is not None}
    removed = [word.split(":", 1) for word in candidate.remove if ":" in word]
    await excerpt.read_subjects(
        {
            *(one for one in owners if is_account(one)),
            *_accounts_named(put),
            *_accounts_named(candidate),
            *gone.members,
            *(name for kind, name in removed if kind == "member"),
        }
    )
    await excerpt.read_keys(
        {
            *(key.id for key in (*put.keys, *candidate.keys)),
            *gone.keys,
            *(name for kind, name in removed if kind == "key"),
        }
    )
    may_orphan = gone.groups or gone.roles or put.roles or put.members or gone.members
    seen: dict[str, set[str] | None] = {
        # What a role means hangs on the roles that it clones.
        "roles": None,
        "groups": {*_groups_named(excerpt, patch), *(name for _, name in removed)},
        "bindings": ids | words,
        # None of them must lose whom it is for.
        "denies": None if may_orphan else ids | words,
        "approvals": ids | words,
        **{f"candidate.{section}": None for section in _CANDIDATE_SECTIONS},
    }
    for section, names in seen.items():
        await excerpt.read_entries(section, names)
    return seen


def _accounts_named(put: Put | Candidate) -> Iterator[str]:
    yield from (member.account for member in put.members)
    yield from (entry.who for entry in put.bindings if is_account(entry.who))
    yield from (entry.who for entry in put.denies if is_account(entry.who))
    yield from (account for rule in put.approvals for account in rule.approvers.accounts)
    yield from (key.account for key in put.keys)


def _groups_named(excerpt: Excerpt, patch: PolicyPatch) -> Iterator[str]:
    put, candidate = patch.put, patch.put.candidate or Candidate()
    yield from patch.remove.groups
    for given in (put, candidate):
        yield from (group.name for group in given.groups)
        yield from (group for member in given.members for group in member.groups)
        yield from (group for rule in given.approvals for group in rule.approvers.groups)
        named = [*(entry.who for entry in given.bindings), *(entry.who for entry in given.denies)]
        yield from (who.removeprefix(GROUP) for who in named if who.startswith(GROUP))
    for subject in excerpt.subjects.values():
        yield from () if subject.member is None else subject.member.groups


# What is not where the change has it.


def _misplaced(excerpt: Excerpt, patch: PolicyPatch) -> Iterator[Problem]:
    yield from _gone_already(excerpt, patch)
    removed = {one for section in _WITH_IDS for one in getattr(patch.remove, section)}
    for section in _WITH_IDS:
        for entry in getattr(patch.put, section):
            is_at = excerpt.where(entry.id)
            if is_at is None or entry.id in removed:
                continue
            found = _find(excerpt, entry.id)
            if found is None or found[0] != section or _party(found[1]) != _party(entry):
                what = "is in use" if found is None else f"is {_A[found[0]]} {_of(found[1])} already"
                hint = f"choose another id, or list it under `remove: {{{found[0] if found else section}: […]}}` too"
                yield Problem(patch.positions.get(entry.id), entry.id, what, hint)


def _party(entry: Entry) -> str:
    return entry.who if isinstance(entry, BindingEntry | DenyEntry) else ""


def _of(entry: Entry) -> str:
    return f"of `{entry.who}`" if isinstance(entry, BindingEntry | DenyEntry) else f"on `{entry.on}`"


def _find(excerpt: Excerpt, entry_id: str) -> tuple[str, Entry] | None:
    """Return the entry called *entry_id* and its section; None when it is nowhere."""
    where = excerpt.where(entry_id)
    if where is None:
        return None
    if not is_account(where):
        entry = excerpt.entry(where, entry_id)
        return None if entry is None else (where, entry)
    subject = excerpt.subjects[where]
    for section, listed in (("bindings", subject.bindings), ("denies", subject.denies)):
        for one in listed:
            if one.id == entry_id:
                return section, one
    return None


def _gone_already(excerpt: Excerpt, patch: PolicyPatch) -> Iterator[Problem]:
    gone = patch.remove
    missing: list[tuple[str, str]] = []
    for section in _WITH_IDS:
        for entry_id in getattr(gone, section):
            found = _find(excerpt, entry_id)
            if found is None:
                missing.append((entry_id, f"is not there: no {_A[section].partition(' ')[2]} is called so"))
            elif found[0] != section:
                missing.append((entry_id, f"is {_A[found[0]]}; list it under `{found[0]}`"))
    missing += [
        (f"role:{name}", "is not there: no role of yours is called so")
        for name in gone.roles
        if excerpt.entry("roles", name) is None
    ]
    missing += [
        (f"group:{name}", "is not there: no such group is declared")
        for name in gone.groups
        if excerpt.entry("groups", name) is None
    ]
    missing += [
        (f"member:{name}", "is not there: the account is no member")
        for name in gone.members
        if excerpt.subjects[name].member is None
    ]
    missing += [(f"key:{name}", "is not there: no key has this id") for name in gone.keys if excerpt.keys[name] is None]
    missing += [
        (f"sessions.{name}", "is not there: the surface has no limits")
        for name in gone.sessions
        if name not in excerpt.root.sessions
    ]
    if gone.candidate and excerpt.root.remove is None:
        missing.append(("candidate", "is not there: nothing is tried in the shadow"))
    for key, what in missing:
        yield Problem(patch.positions.get(REMOVE_PREFIX + key), key, what, "correct it, or take it out of `remove`")


# What it comes to.


def _edits(excerpt: Excerpt, patch: PolicyPatch) -> Edits:
    put, gone = patch.put, patch.remove
    sections: dict[str, dict[str, Entry | None]] = {
        "roles": {**dict.fromkeys(gone.roles), **{role.name: role for role in put.roles}},
        "groups": {**dict.fromkeys(gone.groups), **{group.name: group for group in put.groups}},
        "bindings": {},
        "denies": {},
        "approvals": {**dict.fromkeys(gone.approvals), **{rule.id: rule for rule in put.approvals}},
    }
    subjects: dict[str, StoredSubject] = {}

    def change(account: str, subject: StoredSubject) -> None:
        subjects[account] = subject

    def stored(account: str) -> StoredSubject:
        return subjects.get(account) or excerpt.subjects[account]

    for section, ids in (("bindings", gone.bindings), ("denies", gone.denies)):
        for entry_id in ids:
            where = excerpt.where(entry_id) or ""
            if is_account(where):
                change(where, _without(stored(where), entry_id))
            else:
                sections[section][entry_id] = None
    for section, entries in (("bindings", put.bindings), ("denies", put.denies)):
        for entry in entries:
            if is_account(entry.who):
                change(entry.who, _with(_without(stored(entry.who), entry.id), section, entry))
            else:
                sections[section][entry.id] = entry
    for account in gone.members:
        change(account, replace(stored(account), member=None))
    for member in put.members:
        change(member.account, replace(stored(member.account), member=member))
    sections.update(_candidate_edits(excerpt, patch))
    return Edits(
        {section: changed for section, changed in sections.items() if changed},
        subjects,
        {**dict.fromkeys(gone.keys), **{key.id: key for key in put.keys}},
        _settings(excerpt, patch),
    )


def _without(subject: StoredSubject, entry_id: str) -> StoredSubject:
    return replace(
        subject,
        bindings=tuple(one for one in subject.bindings if one.id != entry_id),
        denies=tuple(one for one in subject.denies if one.id != entry_id),
    )


def _with(subject: StoredSubject, section: str, entry: Entry) -> StoredSubject:
    if section == "bindings":
        return replace(subject, bindings=tuple(sorted((*subject.bindings, entry), key=_id_of)))
    return replace(subject, denies=tuple(sorted((*subject.denies, entry), key=_id_of)))


def _id_of(entry: BindingEntry | DenyEntry) -> str:
    return entry.id


def _candidate_edits(excerpt: Excerpt, patch: PolicyPatch) -> Iterator[tuple[str, dict[str, Entry | None]]]:
    """Yield how each section of the candidate changes: it is put, and goes, as a whole."""
    candidate = patch.put.candidate
    if candidate is None and not patch.remove.candidate:
        return
    for section in _CANDIDATE_SECTIONS:
        name = f"candidate.{section}"
        old: dict[str, Entry | None] = dict.fromkeys(excerpt.entries(name))
        entries = () if candidate is None else getattr(candidate, section)
        yield name, {**old, **{_name_of(entry): entry for entry in entries}}


def _name_of(entry: Entry) -> str:
    found: str = getattr(entry, "id", "") or getattr(entry, "name", "") or entry.account
    return found


def _settings(excerpt: Excerpt, patch: PolicyPatch) -> HeaderSettings:
    root, put, gone = excerpt.root, patch.put, patch.remove
    remove = None if gone.candidate else root.remove
    return HeaderSettings(
        root.mfa_max_age_s if put.mfa_max_age_s is None else put.mfa_max_age_s,
        {surface: one for surface, one in {**root.sessions, **put.sessions}.items() if surface not in gone.sessions},
        remove if put.candidate is None else put.candidate.remove,
    )


def _document(excerpt: Excerpt, patch: PolicyPatch, edits: Edits, seen: _Seen) -> PolicyDocument:
    """Return what is *seen* of what was read, with *edits*, as a document."""

    def entries(section: str) -> dict[str, Entry]:
        names = seen[section]
        read = excerpt.entries(section) if names is None else {name: excerpt.entry(section, name) for name in names}
        found = {**read, **edits.sections.get(section, {})}
        return {name: entry for name, entry in found.items() if entry is not None}

    root = excerpt.root
    settings = edits.settings or HeaderSettings(root.mfa_max_age_s, root.sessions, root.remove)
    subjects = [subject for subject in {**excerpt.subjects, **edits.subjects}.values() if subject != NOBODY]
    keys = {**excerpt.keys, **edits.keys}
    beside = {name: list(entries(name).values()) for name in _candidate_names()}
    return PolicyDocument(
        excerpt.org,
        mfa_max_age_s=settings.mfa_max_age_s,
        roles=tuple(entries("roles").values()),
        members=tuple(subject.member for subject in subjects if subject.member is not None),
        groups=tuple(entries("groups").values()),
        bindings=(*entries("bindings").values(), *(one for subject in subjects for one in subject.bindings)),
        denies=(*entries("denies").values(), *(one for subject in subjects for one in subject.denies)),
        approvals=tuple(entries("approvals").values()),
        keys=tuple(key for key in keys.values() if key is not None),
        sessions=settings.sessions,
        candidate=candidate_of(replace(root, remove=settings.remove), beside),
        positions=patch.positions,
    )


def _candidate_names() -> Iterable[str]:
    return (f"candidate.{section}" for section in _CANDIDATE_SECTIONS)


def _problem(finding: Finding, patch: PolicyPatch) -> Problem:
    place = patch.positions.get(finding.key) or patch.positions.get(REMOVE_PREFIX + finding.key)
    return Problem(place, finding.key, finding.what, finding.hint)
