"""Changes some accounts of an organization that is published, and reads no others (spec 5.2).

Comparing a whole document takes seconds for a million bindings. Whoever knows what changes, changes only that.
"""

from collections.abc import Callable, Mapping, Sequence

from sidegate.core.model.errors import IntegrityError, PolicyError, Problem
from sidegate.core.policy.document import MemberEntry, PolicyDocument
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.validate import find_problems
from sidegate.distribution.redis_edits import Edits, ids_concerned, ids_of_subject, plan_edits
from sidegate.distribution.redis_excerpt import Excerpt
from sidegate.distribution.redis_plan import Plan
from sidegate.distribution.redis_records import StoredSubject

Edit = Callable[[Mapping[str, StoredSubject]], Mapping[str, StoredSubject]]
"""Given what is stored of each account that was named, returns what is to be stored of those that change. An account of
which nothing is left is removed."""


async def plan_amendment(excerpt: Excerpt, accounts: Sequence[str], edit: Edit) -> Plan:
    """Find out what *edit* changes; writes nothing.

    Args:
        excerpt: Nothing was read yet.
        accounts: Those that *edit* wants to know of, or to change.
        edit: See there.

    Raises:
        PolicyError: The organization is not published, or what *edit* made must not be used.
        IntegrityError: Something there is not what was published.
        DependencyError: Redis is away, or holds something else under the names.
        ChangedMeanwhileError: Somebody published it meanwhile.
    """
    await excerpt.begin(accounts)
    await excerpt.read_subjects(accounts)
    await excerpt.read_entries("roles")
    stored = {account: excerpt.subjects[account] for account in accounts}
    changed = edit(stored)
    if not changed.keys() <= stored.keys():
        raise ValueError(f"{', '.join(changed.keys() - stored.keys())} was not named; name every account")
    named = {group for one in changed.values() if one.member is not None for group in one.member.groups}
    await excerpt.read_entries("groups", named)
    edits = Edits(subjects=changed)
    await excerpt.read_ids(ids_concerned(excerpt, edits))
    _require_usable(excerpt, {**stored, **changed})
    _require_free(excerpt, changed)
    return plan_edits(excerpt, edits)


def _require_usable(excerpt: Excerpt, subjects: Mapping[str, StoredSubject]) -> None:
    for account, subject in subjects.items():
        # What is stored under a name speaks of nobody else; read_subject() refuses it when it is read.
        named = {one.who for one in subject.bindings} | {one.who for one in subject.denies}
        if not named <= {account} or (subject.member is not None and subject.member.account != account):
            raise IntegrityError(f"what is to be stored of `{account}` speaks of somebody else; store it there")
    document = PolicyDocument(
        excerpt.org,
        mfa_max_age_s=excerpt.root.mfa_max_age_s,
        roles=tuple(excerpt.entries("roles").values()),
        members=tuple(_members(subjects)),
        groups=tuple(excerpt.entries("groups").values()),
        bindings=tuple(one for subject in subjects.values() for one in subject.bindings),
        denies=tuple(one for subject in subjects.values() for one in subject.denies),
    )
    problems = tuple(
        Problem(None, finding.key, finding.what, finding.hint)
        for finding in find_problems(document)
        if finding.severity is Severity.ERROR
    )
    if problems:
        raise PolicyError(problems)


def _require_free(excerpt: Excerpt, changed: Mapping[str, StoredSubject]) -> None:
    """Refuse ids that are in use elsewhere in the organization."""
    problems = tuple(
        Problem(None, entry_id, f"is an id of `{where}` already", "choose another one")
        for account, subject in changed.items()
        for entry_id in sorted(ids_of_subject(subject) - ids_of_subject(excerpt.subjects[account]))
        if (where := excerpt.where(entry_id)) is not None and not _leaves(entry_id, where, changed)
    )
    if problems:
        raise PolicyError(problems)


def _leaves(entry_id: str, where: str, changed: Mapping[str, StoredSubject]) -> bool:
    return where in changed and entry_id not in ids_of_subject(changed[where])


def _members(subjects: Mapping[str, StoredSubject]) -> list[MemberEntry]:
    return [subject.member for subject in subjects.values() if subject.member is not None]
