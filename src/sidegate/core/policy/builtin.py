"""The roles that always exist (spec 1.3). They can be cloned, never modified."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from sidegate.core.model.authority import ALL_AUTHORITIES, NO_AUTHORITY, Authority, Mask, mask_of
from sidegate.core.model.target import ALL_PROJECTS, Scope
from sidegate.core.model.value import value
from sidegate.core.policy.document import NO_CONDITIONS, Conditions


class RoleKind(StrEnum):
    """Where a role can be held."""

    PROJECT = "project"
    ORGANIZATION = "organization"


@value
class Role:
    """A role with nothing left to look up.

    Attributes:
        name: As bindings, members and denies say it.
        kind: Bound on project scopes, or held through membership.
        authorities: What it gives where it is bound; nothing for an organization role.
        sections: From a section's segments to authorities; the longest that covers a target counts.
        ceiling: The most that any project grant can give the holder.
        requires: Conditions on using it.
        high_risk: Implies a second factor for user accounts.
        implied: Project bindings that come with holding it: (project role, scope).
    """

    name: str
    kind: RoleKind
    authorities: Mask = NO_AUTHORITY
    sections: Mapping[tuple[str, ...], Mask] | None = None
    ceiling: Mask = NO_AUTHORITY
    requires: Conditions = NO_CONDITIONS
    high_risk: bool = False
    implied: tuple[tuple[str, Scope], ...] = ()


_READ: Final = mask_of([Authority.READ])
_KEEP: Final = mask_of([Authority.READ, Authority.WRITE, Authority.DELETE])
_DESIGN: Final = mask_of([Authority.READ, Authority.WRITE, Authority.RUN, Authority.SOLVE])

VIEWER: Final = "Viewer"
ADMIN: Final = "Admin"


def _project(name: str, authorities: Mask) -> Role:
    return Role(name, RoleKind.PROJECT, authorities)


def _organization(
    name: str,
    sections: Mapping[tuple[str, ...], Mask],
    ceiling: Mask = NO_AUTHORITY,
    *,
    requires: Conditions = NO_CONDITIONS,
    high_risk: bool = False,
    also: str | None = None,
) -> Role:
    implied = () if also is None else ((also, ALL_PROJECTS),)
    return Role(name, RoleKind.ORGANIZATION, NO_AUTHORITY, sections, ceiling, requires, high_risk, implied)


def _by_name(roles: Iterable[Role]) -> dict[str, Role]:
    return {role.name: role for role in roles}


FOR_SERVICE_ACCOUNTS: Final = frozenset({"Read-only API Access", "Full API Access"})
"""Roles that the table of spec 1.3 means for service accounts."""

BUILT_IN_ROLES: Final[Mapping[str, Role]] = _by_name(
    [
        _project(VIEWER, _READ),
        _project("Designer", _DESIGN),
        _project("Reviewer", Mask(_DESIGN | mask_of([Authority.APPROVE]))),
        _project(ADMIN, ALL_AUTHORITIES),
        _organization("Organization admin", {(): ALL_AUTHORITIES}, ALL_AUTHORITIES, high_risk=True, also=ADMIN),
        _organization("Member", {(): _READ, ("projects",): mask_of([Authority.WRITE])}, ALL_AUTHORITIES),
        _organization("Organization viewer", {(): _READ}, _READ),
        _organization(
            "Field operator",
            {},
            mask_of([Authority.READ, Authority.WRITE]),
            requires=Conditions(surfaces=("mobile",)),
        ),
        _organization("Identity Accounts - Creator", {("identity",): _KEEP}, high_risk=True),
        _organization(
            "Identity Accounts - Validator",
            {("identity",): mask_of([Authority.READ, Authority.APPROVE])},
            high_risk=True,
        ),
        _organization("Service Accounts", {("identity", "service-accounts"): _KEEP}, high_risk=True),
        _organization("API Clients", {("identity", "api-clients"): _KEEP}, high_risk=True),
        _organization("Administrator", {(): ALL_AUTHORITIES, ("identity",): NO_AUTHORITY}, ALL_AUTHORITIES),
        _organization(
            "Operator", {("projects",): _READ, ("reports",): _READ}, mask_of([Authority.READ, Authority.RUN])
        ),
        _organization("Read-only API Access", {(): _READ}, _READ, also=VIEWER),
        _organization("Full API Access", {(): ALL_AUTHORITIES}, ALL_AUTHORITIES, high_risk=True, also=ADMIN),
    ]
)
