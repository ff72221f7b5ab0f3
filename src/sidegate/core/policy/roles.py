"""From role entries to roles with nothing left to look up: clones followed, built-ins included (spec 1.3, 6.3)."""

from collections.abc import Iterable, Mapping

from sidegate.core.model.authority import NO_AUTHORITY, Mask
from sidegate.core.policy.builtin import BUILT_IN_ROLES, Role, RoleKind
from sidegate.core.policy.document import Conditions, RoleEntry


def resolve_roles(entries: Iterable[RoleEntry]) -> dict[str, Role]:
    """Return every role of the organization by name.

    An entry that clones an unknown role or, in a circle, itself (:func:`validate.find_problems` reports it) is left
    out, so that a binding to it grants nothing. An entry under a built-in's name counts for nothing.
    """
    written = {entry.name: entry for entry in entries if entry.name not in BUILT_IN_ROLES}
    resolved: dict[str, Role] = dict(BUILT_IN_ROLES)
    for name in written:
        for entry in reversed(_unresolved(name, written, resolved)):
            origin = None if entry.clone is None else resolved.get(entry.clone)
            if entry.clone is None or origin is not None:
                resolved[entry.name] = _derive(entry, origin)
    return resolved


def cycle_through(name: str, entries: Mapping[str, RoleEntry]) -> tuple[str, ...]:
    """Return the names of a circle of clones that *name* is part of, starting with it; empty when there is none."""
    names = {name: None}
    entry = entries.get(name)
    while entry is not None and entry.clone is not None:
        if entry.clone == name:
            return tuple(names)
        if entry.clone in names:
            return ()
        names[entry.clone] = None
        entry = entries.get(entry.clone)
    return ()


def _unresolved(name: str, written: Mapping[str, RoleEntry], resolved: Mapping[str, Role]) -> list[RoleEntry]:
    """List the entry of *name* and the written ones it clones, nearest first, up to one that is resolved already; each
    once, so a circle ends."""
    chain: dict[str, RoleEntry] = {}
    current: str | None = name
    while current is not None and current in written and current not in chain and current not in resolved:
        chain[current] = written[current]
        current = written[current].clone
    return list(chain.values())


def _derive(entry: RoleEntry, origin: Role | None) -> Role:
    is_organization = (
        entry.sections is not None
        or entry.ceiling is not None
        or (origin is not None and origin.kind is RoleKind.ORGANIZATION)
    )
    requires = _overridden(origin.requires if origin is not None else Conditions(), entry.requires)
    high_risk = entry.high_risk if entry.high_risk is not None else origin is not None and origin.high_risk
    if is_organization:
        sections = entry.sections if entry.sections is not None else (origin.sections if origin is not None else None)
        ceiling = entry.ceiling if entry.ceiling is not None else (origin.ceiling if origin else NO_AUTHORITY)
        # Implied bindings stay with the role they were written for: a clone does not get them (spec 6.3).
        return Role(entry.name, RoleKind.ORGANIZATION, NO_AUTHORITY, dict(sections or {}), ceiling, requires, high_risk)
    own = entry.authorities if entry.authorities is not None else (origin.authorities if origin else NO_AUTHORITY)
    return Role(
        entry.name,
        RoleKind.PROJECT,
        Mask((own | entry.add) & ~entry.remove),
        requires=requires,
        high_risk=high_risk,
    )


def _overridden(cloned: Conditions, given: Conditions) -> Conditions:
    """Conditions of a clone: the cloned ones, overridden key by key (spec 6.3)."""
    return Conditions(
        mfa=cloned.mfa if given.mfa is None else given.mfa,
        surfaces=cloned.surfaces if given.surfaces is None else given.surfaces,
        sources=cloned.sources if given.sources is None else given.sources,
    )
