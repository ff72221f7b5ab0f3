"""What is wrong with the roles of a policy document (spec 1.3, 6.3)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sidegate.core.model.authority import NO_AUTHORITY
from sidegate.core.policy.builtin import BUILT_IN_ROLES, Role, RoleKind
from sidegate.core.policy.document import RoleEntry
from sidegate.core.policy.findings import Finding, Speller, error
from sidegate.core.policy.roles import cycle_through

_NAMED: Final = 8
"""Of a circle in a message: every role in it is told by itself."""


def role_findings(entries: Iterable[RoleEntry], resolved: Mapping[str, Role]) -> Iterator[Finding]:
    """Yield the problems of each role. *resolved* is what :func:`roles.resolve_roles` made of *entries*."""
    listed = list(entries)
    written = {entry.name: entry for entry in listed}
    own = {name: entry for name, entry in written.items() if name not in BUILT_IN_ROLES}
    speller = Speller()
    for entry in listed:
        key = f"role:{entry.name}"
        if not entry.name:
            yield error(key, "has no name", "give the role a name")
        elif entry.name in BUILT_IN_ROLES:
            yield error(
                key,
                "is built in and cannot be modified",
                f"choose another name and clone it: `My {entry.name}: {{clone: {entry.name}}}`",
            )
        elif entry.name in resolved:
            yield from _kind_findings(entry, resolved)
        elif (clone_problem := _clone_problem(entry, own, speller)) is not None:
            yield clone_problem


def _clone_problem(entry: RoleEntry, own: Mapping[str, RoleEntry], speller: Speller) -> Finding | None:
    """Return why *entry* cannot be resolved; None when the fault is that of a role that it clones."""
    if entry.clone is None:
        return None
    key = f"role:{entry.name}"
    if entry.clone not in own and entry.clone not in BUILT_IN_ROLES:
        known = own.keys() | BUILT_IN_ROLES.keys()
        return error(
            key,
            f"clones `{entry.clone}`, which no role is called",
            speller.suggest(entry.clone, known, "name a built-in role or one defined under `roles`"),
        )
    circle = cycle_through(entry.name, own)
    if circle:
        return error(
            key,
            f"clones itself: {' > '.join((*_shortened(circle), entry.name))}",
            "let one of them stand on its own or clone a built-in role",
        )
    return None


def _shortened(circle: tuple[str, ...]) -> tuple[str, ...]:
    return circle if len(circle) <= _NAMED else (*circle[:_NAMED], "…")


def _kind_findings(entry: RoleEntry, resolved: Mapping[str, Role]) -> Iterator[Finding]:
    """A role is bound on projects or held through membership, never both."""
    key = f"role:{entry.name}"
    if resolved[entry.name].kind is RoleKind.PROJECT:
        return
    if entry.add != NO_AUTHORITY or entry.remove != NO_AUTHORITY:
        yield error(
            key,
            "is an organization role and has `add` or `remove`",
            "give its `sections` or `ceiling` anew; `add` and `remove` are for project roles",
        )
    if entry.authorities is not None:
        yield error(
            key,
            "is an organization role and has `authorities`",
            "keep either `authorities` (project role) or `sections` and `ceiling` (organization role)",
        )
    origin = resolved.get(entry.clone) if entry.clone is not None else None
    if origin is not None and origin.kind is RoleKind.PROJECT:
        yield error(
            key,
            f"clones the project role `{origin.name}` and has `sections` or `ceiling`",
            "clone an organization role, or leave `sections` and `ceiling` out",
        )
