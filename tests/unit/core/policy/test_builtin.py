"""The roles of the table in spec 1.3, spelled out."""

import pytest

from sidegate.core.model.authority import Authority, authorities_in
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.policy.builtin import BUILT_IN_ROLES, FOR_SERVICE_ACCOUNTS, RoleKind
from sidegate.core.policy.document import Conditions

ALL = "read write delete run solve approve share configure"
PROJECT = {
    "Viewer": "read",
    "Designer": "read write run solve",
    "Reviewer": "read write run solve approve",
    "Admin": ALL,
}
ORGANIZATION = {
    "Organization admin": ({"/": ALL}, ALL, True, "Admin"),
    "Member": ({"/": "read", "/projects": "write"}, ALL, False, None),
    "Organization viewer": ({"/": "read"}, "read", False, None),
    "Field operator": ({}, "read write", False, None),
    "Identity Accounts - Creator": ({"/identity": "read write delete"}, "", True, None),
    "Identity Accounts - Validator": ({"/identity": "read approve"}, "", True, None),
    "Service Accounts": ({"/identity/service-accounts": "read write delete"}, "", True, None),
    "API Clients": ({"/identity/api-clients": "read write delete"}, "", True, None),
    "Administrator": ({"/": ALL, "/identity": ""}, ALL, False, None),
    "Operator": ({"/projects": "read", "/reports": "read"}, "read run", False, None),
    "Read-only API Access": ({"/": "read"}, "read", False, "Viewer"),
    "Full API Access": ({"/": ALL}, ALL, True, "Admin"),
}


def words(text: str) -> set[Authority]:
    """The authorities that *text* lists."""
    return {Authority(word) for word in text.split()}


def test_nothing_else_is_built_in() -> None:
    """The two tables are complete."""
    assert PROJECT.keys() | ORGANIZATION.keys() == BUILT_IN_ROLES.keys()
    assert ORGANIZATION.keys() > FOR_SERVICE_ACCOUNTS


@pytest.mark.parametrize("name", PROJECT)
def test_project_roles(name: str) -> None:
    """One set of authorities, no conditions."""
    role = BUILT_IN_ROLES[name]
    assert words(PROJECT[name]) == set(authorities_in(role.authorities))
    assert (RoleKind.PROJECT, Conditions(), False, ()) == (role.kind, role.requires, role.high_risk, role.implied)


@pytest.mark.parametrize("name", ORGANIZATION)
def test_organization_roles(name: str) -> None:
    """Sections, ceiling, high risk and what is implied."""
    role = BUILT_IN_ROLES[name]
    sections, ceiling, high_risk, implied = ORGANIZATION[name]
    actual = {"/" + "/".join(path): set(authorities_in(mask)) for path, mask in (role.sections or {}).items()}
    assert {path: words(text) for path, text in sections.items()} == actual
    assert words(ceiling) == set(authorities_in(role.ceiling))
    assert (RoleKind.ORGANIZATION, high_risk) == (role.kind, role.high_risk)
    assert (() if implied is None else ((implied, ALL_PROJECTS),)) == role.implied
    assert set() == set(authorities_in(role.authorities))


def test_only_field_operators_are_bound_to_a_surface() -> None:
    """``mobile``, and nobody else requires anything."""
    required = {name: role.requires for name, role in BUILT_IN_ROLES.items() if role.requires != Conditions()}
    assert {"Field operator": Conditions(surfaces=("mobile",))} == required
