"""A group with many bindings: laid out in parts, of which only those are laid out anew that a change concerns."""

from dataclasses import replace

import pytest

from sidegate.core.model.target import parse_scope, parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.document import BindingEntry, PolicyDocument, RoleEntry
from sidegate.core.policy.header import CompiledHeader
from sidegate.core.policy.large_group import LargeGroup, lay_out_group

ROLES = CompiledHeader(PolicyDocument("acme", roles=(RoleEntry("Lead", "Designer"),))).roles
OTHER = CompiledHeader(PolicyDocument("acme", roles=(RoleEntry("Lead", "Viewer"),))).roles
NONE: frozenset[str] = frozenset()


def binding(place: int, scope: str | None = None, role: str = "Viewer") -> BindingEntry:
    """Return a binding of a group."""
    return BindingEntry(f"g{place:04}", "group:all", role, parse_scope(scope or f"p{place}"))


MANY = [*(binding(place) for place in range(500)), binding(500, "*"), binding(501, "*@main", "Lead")]


def told(group: LargeGroup, scope: str) -> list[str]:
    """Return the ids of the bindings that decide on *scope*."""
    target = parse_target("acme", scope)
    node = group.of_users.narrowest(target.project, target.branch, target.path)
    return [] if node is None else [entry.key for entry in node.entries]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        pytest.param("p7", ["g0007"], id="its-project"),
        pytest.param("p7@main:a", ["g0007"], id="below-its-project"),
        pytest.param("other", ["g0500"], id="all-projects"),
        pytest.param("other@main", ["g0501"], id="a-branch-of-all-projects"),
    ],
)
def test_the_narrowest(scope: str, expected: list[str]) -> None:
    """As in one table that holds all of them."""
    assert told(lay_out_group(ROLES, MANY), scope) == expected


def test_parts_that_nothing_concerns_are_shared() -> None:
    """One binding that is another lays out one part of many."""
    before = lay_out_group(ROLES, MANY)
    changed = replace(MANY[7], role="Designer")
    after = before.revised(ROLES, [MANY[7]], [changed], NONE)
    assert sum(one is not other for one, other in zip(before.parts, after.parts, strict=True)) == 1
    assert len(before.parts) > 8
    assert {one.id: one for one in after.bindings()} == {one.id: one for one in (*MANY[:7], changed, *MANY[8:])}
    assert not before.has_same_bindings(after)
    assert before.has_same_bindings(after.revised(ROLES, [changed], [MANY[7]], NONE))


def test_moved_to_another_project() -> None:
    """It is gone where it was."""
    after = lay_out_group(ROLES, MANY).revised(ROLES, [MANY[7]], [replace(MANY[7], on=parse_scope("p8"))], NONE)
    assert (told(after, "p7"), told(after, "p8"), after.size) == (["g0500"], ["g0007", "g0008"], len(MANY))


def test_another_role() -> None:
    """Whatever gives a role that means something else is laid out anew."""
    before = lay_out_group(ROLES, MANY)
    after = before.revised(OTHER, [], [], frozenset({"Lead"}))
    assert [one is other for one, other in zip(before.parts, after.parts, strict=True)].count(False) == 1
    node = after.of_users.narrowest("other", "main", ())
    assert node is not None
    assert node.mask == OTHER["Lead"].role.authorities != ROLES["Lead"].role.authorities


def test_outgrown() -> None:
    """With many times as many bindings it has more parts; equal bindings are equal in whatever parts."""
    few = lay_out_group(ROLES, MANY[:70])
    grown = few.revised(ROLES, [], MANY[70:], NONE)
    whole = lay_out_group(ROLES, MANY)
    assert len(few.parts) < len(grown.parts) == len(whole.parts)
    assert grown.has_same_bindings(whole)
    assert not few.has_same_bindings(whole)
    almost = lay_out_group(ROLES, MANY[:66])
    assert almost.has_same_bindings(few.revised(ROLES, MANY[66:70], [], NONE))


def test_timed_ones_are_apart() -> None:
    """They are laid out for each member, and counted here."""
    timed = replace(MANY[3], not_after=UnixMillis(5))
    group = lay_out_group(ROLES, [*MANY[:3], timed])
    assert list(group.timed) == [timed]
    assert (told(group, "p3"), group.size, group.roles) == ([], 4, frozenset({"Viewer"}))
