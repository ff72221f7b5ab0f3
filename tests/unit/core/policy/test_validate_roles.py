"""What is wrong with roles."""

from itertools import pairwise

import pytest

from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.policy.document import RoleEntry
from sidegate.core.policy.findings import Severity
from sidegate.core.policy.roles import resolve_roles
from sidegate.core.policy.validate_roles import role_findings

READ = mask_of([Authority.READ])


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        pytest.param([RoleEntry("R", "Designer", add=READ, remove=READ)], [], id="clone-of-project-role"),
        pytest.param([RoleEntry("R", "Member", ceiling=READ)], [], id="clone-of-organization-role"),
        pytest.param([RoleEntry("R", authorities=READ)], [], id="own-project-role"),
        pytest.param([RoleEntry("", authorities=READ)], [("role:", "has no name")], id="no-name"),
        pytest.param([RoleEntry("Viewer")], [("role:Viewer", "is built in")], id="built-in"),
        pytest.param([RoleEntry("Member", ceiling=READ)], [("role:Member", "is built in")], id="built-in-organization"),
        pytest.param([RoleEntry("R", "Desinger")], [("role:R", "clones `Desinger`")], id="unknown"),
        pytest.param([RoleEntry("R", "R")], [("role:R", "clones itself: R > R")], id="itself"),
        pytest.param(
            [RoleEntry("A", "B"), RoleEntry("B", "A")],
            [("role:A", "clones itself: A > B > A"), ("role:B", "clones itself: B > A > B")],
            id="circle",
        ),
        pytest.param(
            [RoleEntry(name, following) for name, following in pairwise("ABCDEFGHIA")],
            [("role:A", "clones itself: A > B > C > D > E > F > G > H > … > A")]
            + [(f"role:{name}", "clones itself: ") for name in "BCDEFGHI"],
            id="large-circle",
        ),
        pytest.param(
            [RoleEntry("A", "A"), RoleEntry("B", "A")], [("role:A", "clones itself")], id="only-the-circle-is-told"
        ),
        pytest.param(
            [RoleEntry("R", "Member", add=READ)], [("role:R", "is an organization role and has `add`")], id="add"
        ),
        pytest.param(
            [RoleEntry("R", "Member", remove=READ)], [("role:R", "is an organization role and has `add`")], id="remove"
        ),
        pytest.param(
            [RoleEntry("R", authorities=READ, ceiling=READ)],
            [("role:R", "is an organization role and has `authorities`")],
            id="both-kinds",
        ),
        pytest.param(
            [RoleEntry("R", "Viewer", ceiling=READ)], [("role:R", "clones the project role `Viewer`")], id="cross-clone"
        ),
    ],
)
def test_roles(entries: list[RoleEntry], found: list[tuple[str, str]]) -> None:
    """Built-ins cannot be modified, clones lead somewhere, and a role is of one kind (spec 1.3, 6.3)."""
    findings = list(role_findings(entries, resolve_roles(entries)))
    assert len(found) == len(findings)
    for (key, what), finding in zip(found, findings, strict=True):
        assert (Severity.ERROR, key) == (finding.severity, finding.key)
        assert finding.what.startswith(what)


def test_the_nearest_role_is_named() -> None:
    """Among built-in and custom ones."""
    entries = [RoleEntry("R", "Desinger"), RoleEntry("S", "Field led"), RoleEntry("Field lead")]
    hints = [finding.hint for finding in role_findings(entries, resolve_roles(entries))]
    assert hints == ["did you mean `Designer`?", "did you mean `Field lead`?"]
