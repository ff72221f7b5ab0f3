"""The candidate laid over the enforced policy (spec 1.8)."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from sidegate.core.policy.document import Candidate, PolicyDocument

E = TypeVar("E")


def apply_candidate(document: PolicyDocument) -> PolicyDocument:
    """Return *document* as it would be with its candidate promoted: replaced, added, removed; no candidate left."""
    candidate = document.candidate
    if candidate is None:
        return document
    gone = frozenset(candidate.remove)
    return replace(
        document,
        roles=_laid_over(document.roles, candidate.roles, lambda role: role.name, gone, "role:", bare=True),
        members=_laid_over(document.members, candidate.members, lambda member: member.account, gone, "member:"),
        groups=_laid_over(document.groups, candidate.groups, lambda group: group.name, gone, "group:"),
        bindings=_laid_over(document.bindings, candidate.bindings, lambda binding: binding.id, gone, bare=True),
        denies=_laid_over(document.denies, candidate.denies, lambda entry: entry.id, gone, bare=True),
        approvals=_laid_over(document.approvals, candidate.approvals, lambda rule: rule.id, gone, bare=True),
        keys=_laid_over(document.keys, candidate.keys, lambda key: key.id, gone, "key:"),
        candidate=None,
    )


def removable_keys(document: PolicyDocument) -> dict[str, int]:
    """Return every word that ``remove`` may hold for *document*, with how many entries it would name."""
    words: dict[str, int] = {}
    for listed in (document.bindings, document.denies, document.approvals):
        for entry in listed:
            words[entry.id] = words.get(entry.id, 0) + 1
    for role in document.roles:
        words[role.name] = words.get(role.name, 0) + 1
        words[f"role:{role.name}"] = 1
    words.update((f"member:{member.account}", 1) for member in document.members)
    words.update((f"group:{group.name}", 1) for group in document.groups)
    words.update((f"key:{key.id}", 1) for key in document.keys)
    return words


def keys_defined(candidate: Candidate) -> dict[str, None]:
    """Return the words under which ``remove`` would name an entry that *candidate* itself defines."""
    words: dict[str, None] = {}
    for listed in (candidate.bindings, candidate.denies, candidate.approvals):
        words.update((entry.id, None) for entry in listed)
    for role in candidate.roles:
        words.update({role.name: None, f"role:{role.name}": None})
    words.update((f"member:{member.account}", None) for member in candidate.members)
    words.update((f"group:{group.name}", None) for group in candidate.groups)
    words.update((f"key:{key.id}", None) for key in candidate.keys)
    return words


def _laid_over(
    enforced: tuple[E, ...],
    overlay: Iterable[E],
    name_of: Callable[[E], str],
    gone: frozenset[str],
    prefix: str = "",
    *,
    bare: bool = False,
) -> tuple[E, ...]:
    replaced = {name_of(entry): entry for entry in overlay}
    if not replaced and not gone:
        return enforced
    kept = tuple(
        entry
        for entry in enforced
        if (name := name_of(entry)) not in replaced
        and not (prefix and prefix + name in gone)
        and not (bare and name in gone)
    )
    return kept + tuple(overlay)
