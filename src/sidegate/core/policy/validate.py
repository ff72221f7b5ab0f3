"""What is wrong with a policy document, everything at once (spec 1.3, 1.5, 6.3).

An *error* makes the document unusable: it has two meanings, modifies what cannot be modified, or withholds something in
a way that would silently never apply (a deny or an approval rule that matches nothing fails open). A *warning* is an
entry that grants nothing as written: names that nobody knows fail safe (spec 1.5), so the rest can be used.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from sidegate.core.model.errors import NamingError
from sidegate.core.model.target import require_name
from sidegate.core.policy.builtin import BUILT_IN_ROLES
from sidegate.core.policy.document import CANDIDATE_PREFIX, Candidate, PolicyDocument
from sidegate.core.policy.findings import Finding, Severity, Speller, error
from sidegate.core.policy.overlay import apply_candidate, keys_defined, removable_keys
from sidegate.core.policy.roles import resolve_roles
from sidegate.core.policy.validate_entries import EntryJudge
from sidegate.core.policy.validate_roles import role_findings

_RESERVED: Final = ("role:", "member:", "group:", "key:", "agent:", CANDIDATE_PREFIX)
"""What ``Decision.because`` and ``positions`` spell otherwise; an id like that would point at something else."""

_REMOVE_KEY: Final = f"{CANDIDATE_PREFIX}remove"


def find_problems(document: PolicyDocument) -> tuple[Finding, ...]:
    """Return everything that is wrong with *document* and with its candidate, errors and warnings."""
    enforced = tuple(_findings(document))
    if document.candidate is None:
        return enforced
    # Whatever the hint: which names are suggested depends on how many were before.
    told = frozenset((finding.severity, finding.key, finding.what) for finding in enforced)
    return (*enforced, *_candidate_findings(document, document.candidate, told))


def _findings(document: PolicyDocument) -> Iterator[Finding]:
    yield from _setting_findings(document)
    yield from _duplicate_findings(document)
    roles = resolve_roles(document.roles)
    yield from role_findings(document.roles, roles)
    yield from EntryJudge(document, roles).findings(document)


def _setting_findings(document: PolicyDocument) -> Iterator[Finding]:
    try:
        require_name(document.organization, "organization")
    except NamingError:
        yield error(
            "organization",
            f"is `{document.organization}`, which is no name",
            "use 1 to 128 of A-Z a-z 0-9 . _ - and start with none of . -",
        )
    if document.mfa_max_age_s < 0:
        yield error("mfa_max_age_s", f"is {document.mfa_max_age_s}", "write whole seconds, e.g. 43200")
    for surface, limits in document.sessions.items():
        for name, limit in (("idle_ms", limits.idle), ("absolute_ms", limits.absolute)):
            if limit is not None and limit <= 0:
                yield error(f"sessions.{surface}.{name}", f"is {limit}", "write whole milliseconds above 0")


def _duplicate_findings(document: PolicyDocument) -> Iterator[Finding]:
    ids = [entry.id for listed in (document.bindings, document.denies, document.approvals) for entry in listed]
    refused: set[str] = set()
    for entry_id in ids:
        if entry_id in refused:
            continue
        if not entry_id or entry_id == "credential" or entry_id.startswith(_RESERVED):
            refused.add(entry_id)
            hint = f"choose another id, not empty, not `credential`, beginning with none of {', '.join(_RESERVED)}"
            yield error(entry_id, f"cannot be an id: `{entry_id}` would be taken for something else", hint)
    hint = "ids of bindings, denies and approval rules are shared: give each its own"
    yield from _repeated(ids, "", "stands more than once", hint)
    yield from _repeated((role.name for role in document.roles), "role:", "is defined more than once", "keep one")
    yield from _repeated(
        (member.account for member in document.members), "member:", "stands more than once", "keep one"
    )
    yield from _repeated((group.name for group in document.groups), "group:", "is declared more than once", "keep one")
    yield from _repeated((key.id for key in document.keys), "key:", "stands more than once", "mint another key")


def _repeated(names: Iterable[str], prefix: str, what: str, hint: str) -> Iterator[Finding]:
    # Step by step: counted by one call, a million names would keep the interpreter lock for a quarter of a second.
    once: set[str] = set()
    told: set[str] = set()
    for name in names:
        if name in once and name not in told:
            told.add(name)
            yield error(prefix + name, what, hint)
        once.add(name)


def _candidate_findings(
    document: PolicyDocument, candidate: Candidate, told: frozenset[tuple[Severity, str, str]]
) -> Iterator[Finding]:
    defined = keys_defined(candidate)
    removable = removable_keys(document)
    speller = Speller()
    for word in candidate.remove:
        if word in defined:
            yield error(_REMOVE_KEY, f"holds `{word}`, which the candidate also defines", "keep one of the two")
        elif word.removeprefix("role:") in BUILT_IN_ROLES and word not in removable:
            yield error(_REMOVE_KEY, f"holds `{word}`, a built-in role", "remove the bindings to it instead")
        elif word not in removable:
            hint = speller.suggest(word, removable, "name a binding, deny, approval rule or role that exists")
            yield error(_REMOVE_KEY, f"holds `{word}`, which nothing is called", hint)
        elif removable[word] > 1:
            yield error(_REMOVE_KEY, f"holds `{word}`, which names two entries", f"write `role:{word}` or rename one")
    for finding in _findings(apply_candidate(document)):
        if (finding.severity, finding.key, finding.what) not in told:
            # What the candidate defines is shown where it stands; what it breaks elsewhere is shown at that entry.
            key = finding.key if finding.key not in defined else CANDIDATE_PREFIX + finding.key
            yield Finding(finding.severity, key, f"{finding.what} (with the candidate)", finding.hint)
