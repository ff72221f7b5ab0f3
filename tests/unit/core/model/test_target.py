"""Targets, scopes and their written form."""

import pytest

from sidegate.core.model.errors import NamingError
from sidegate.core.model.target import (
    ALL_PROJECTS,
    ALL_SECTIONS,
    MAX_SEGMENTS,
    Kind,
    Scope,
    parse_path,
    parse_scope,
    parse_section,
    parse_target,
    project_target,
    require_name,
    require_segment,
    section_target,
)

NFC = "caf\u00e9"
NFD = "cafe\u0301"


@pytest.mark.parametrize("text", ["a", "A", "0", "_", "a.b-c_d", "x" * 128, "a..", "p1"])
def test_names(text: str) -> None:
    """1 to 128 of ``A-Za-z0-9._-`` (spec 1.2)."""
    assert text == require_name(text, "project")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 129, id="too-long"),
        pytest.param(".a", id="dot-first"),
        pytest.param("-a", id="dash-first"),
        pytest.param("..", id="dot-dot"),
        pytest.param("a b", id="space"),
        pytest.param("a/b", id="slash"),
        pytest.param("a\n", id="newline-last"),
        pytest.param(NFC, id="not-ascii"),
        pytest.param("*", id="star"),
        pytest.param("a@b", id="at"),
    ],
)
def test_what_is_no_name(text: str) -> None:
    """Anything else is refused where it enters."""
    with pytest.raises(NamingError, match="is not a name; use 1 to 128"):
        require_name(text, "project")


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        pytest.param("a", "a", id="plain"),
        pytest.param("x" * 255, "x" * 255, id="longest"),
        pytest.param(NFD, NFC, id="nfc"),
        pytest.param("...", "...", id="three-dots"),
        pytest.param("a b", "a b", id="space"),
        pytest.param("\u200d", "\u200d", id="format-character"),
    ],
)
def test_segments(text: str, segment: str) -> None:
    """Any valid UTF-8 of 1 to 255 bytes, compared after NFC."""
    assert segment == require_segment(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="dot"),
        pytest.param("..", id="dot-dot"),
        pytest.param("a/b", id="slash"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("a\x00", id="nul"),
        pytest.param("a\x7f", id="delete"),
        pytest.param("a\x85", id="c1-control"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param("x" * 256, id="too-long"),
        pytest.param("é" * 128, id="too-many-bytes"),
    ],
)
def test_what_is_no_segment(text: str) -> None:
    """Nothing that a file system or a proxy behind could read as more than one name."""
    with pytest.raises(NamingError):
        require_segment(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("a", ("a",), id="one"),
        pytest.param("a/b", ("a", "b"), id="two"),
        pytest.param("/".join(["x"] * MAX_SEGMENTS), ("x",) * MAX_SEGMENTS, id="most"),
    ],
)
def test_paths(text: str, path: tuple[str, ...]) -> None:
    """1 to 64 segments."""
    assert path == parse_path(text)


@pytest.mark.parametrize("text", ["", "/a", "a/", "a//b", "a/../b", "/".join(["x"] * (MAX_SEGMENTS + 1))])
def test_what_is_no_path(text: str) -> None:
    """Empty segments and too many of them are refused, not repaired."""
    with pytest.raises(NamingError):
        parse_path(text)


def test_sections() -> None:
    """An absolute path; ``/`` is all sections."""
    assert parse_section("/") == ()
    assert parse_section("/skills/fiber") == ("skills", "fiber")
    with pytest.raises(NamingError, match="does not start with `/`"):
        parse_section("skills")


SCOPES = [
    pytest.param("*", ALL_PROJECTS, (False, False, 0), id="every-project"),
    pytest.param("*@main", Scope(None, None, "main", ()), (False, True, 0), id="branch-of-every-project"),
    pytest.param("p1", Scope(None, "p1", None, ()), (True, False, 0), id="project"),
    pytest.param("p1@main", Scope(None, "p1", "main", ()), (True, True, 0), id="branch"),
    pytest.param("p1@*:a/b", Scope(None, "p1", None, ("a", "b")), (True, False, 2), id="path-on-every-branch"),
    pytest.param("p1@main:a", Scope(None, "p1", "main", ("a",)), (True, True, 1), id="path"),
    pytest.param("*@*:a", Scope(None, None, None, ("a",)), (False, False, 1), id="path-everywhere"),
    pytest.param("*@main:a", Scope(None, None, "main", ("a",)), (False, True, 1), id="path-on-branch-everywhere"),
    pytest.param("/", ALL_SECTIONS, (False, False, 0), id="every-section"),
    pytest.param("/skills/fiber", Scope(("skills", "fiber"), None, None, ()), (False, False, 0), id="section"),
]


@pytest.mark.parametrize(("text", "scope", "specificity"), SCOPES)
def test_scopes_have_one_spelling(text: str, scope: Scope, specificity: tuple[bool, bool, int]) -> None:
    """Reading and writing are inverse, and specificity is (project named, branch named, segments)."""
    assert scope == parse_scope(text)
    assert text == str(scope)
    assert specificity == scope.specificity


@pytest.mark.parametrize(
    "text",
    ["", "p1@", "p1@*", "*@*", "p1:a", "*:a", "p1@main:", "p1@*:", "p1@main@x", "@main", ":a", "p 1", "p1@ma in"],
)
def test_what_is_no_scope(text: str) -> None:
    """A second spelling of a scope would let two entries look different and mean the same."""
    with pytest.raises(NamingError):
        parse_scope(text)


COVERAGE = [
    pytest.param("*", "p1", True, id="star-project"),
    pytest.param("*", "p1@main:a", True, id="star-path"),
    pytest.param("*", "/skills", False, id="star-not-section"),
    pytest.param("/", "/skills/x", True, id="root-section"),
    pytest.param("/", "p1", False, id="root-not-project"),
    pytest.param("/skills", "/skills", True, id="section-itself"),
    pytest.param("/skills", "/skill", False, id="section-prefix-of-name"),
    pytest.param("/skills/fiber", "/skills", False, id="section-below"),
    pytest.param("*@main", "p1@main", True, id="star-branch"),
    pytest.param("*@main", "p1@dev", False, id="star-other-branch"),
    pytest.param("*@main", "p1", False, id="branch-not-project"),
    pytest.param("p1", "p2", False, id="other-project"),
    pytest.param("p1@*:a", "p1", False, id="path-not-project"),
    pytest.param("p1@*:a", "p1@x:a/b", True, id="path-on-any-branch"),
    pytest.param("p1@main:designs/cur", "p1@main:designs/current", False, id="whole-segments-only"),
    pytest.param("p1@main:designs", "p1@main:Designs", False, id="case-matters"),
    pytest.param(f"p1@main:{NFD}", f"p1@main:{NFC}", True, id="nfc"),
]


@pytest.mark.parametrize(("scope", "target", "covered"), COVERAGE)
def test_coverage(scope: str, target: str, covered: bool) -> None:
    """A scope covers what it names and all below it (spec 1.2)."""
    assert covered is parse_scope(scope).covers(parse_target("acme", target))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("/", Kind.SECTION, id="root-section"),
        pytest.param("/skills", Kind.SECTION, id="section"),
        pytest.param("p1", Kind.PROJECT, id="project"),
        pytest.param("p1@main", Kind.BRANCH, id="branch"),
        pytest.param("p1@main:a/b", Kind.PATH, id="path"),
    ],
)
@pytest.mark.parametrize("subtree", [True, False])
def test_targets(text: str, kind: Kind, subtree: bool) -> None:
    """The kind follows from what is named; the written form is kept."""
    target = parse_target("acme", text, subtree=subtree)
    assert (kind, text, "acme", subtree) == (target.kind, target.text, target.org, target.subtree)


@pytest.mark.parametrize("text", ["*", "*@main", "p1@*:a", "*@*:a"])
def test_a_target_names_one_place(text: str) -> None:
    """No ``*`` in a target."""
    with pytest.raises(NamingError, match="holds `\\*`"):
        parse_target("acme", text)


def test_a_target_belongs_to_a_named_organization() -> None:
    """The organization is a name like any other."""
    with pytest.raises(NamingError, match="organization"):
        parse_target("../acme", "p1")


def test_building_equals_parsing() -> None:
    """Both ways to a target give the same one."""
    assert parse_target("acme", "p1@main:a") == project_target("acme", "p1", "main", ("a",))
    assert parse_target("acme", "/skills") == section_target("acme", ("skills",))
