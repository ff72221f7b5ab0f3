"""Targets, scopes and their written form (spec 1.2)."""

import re
import unicodedata
from enum import StrEnum
from typing import Final

from sidegate.core.model.errors import NamingError
from sidegate.core.model.value import hot_value, value

MAX_NAME: Final = 128
MAX_SEGMENTS: Final = 64
MAX_SEGMENT_BYTES: Final = 255

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Kind(StrEnum):
    """What a target is."""

    SECTION = "section"
    PROJECT = "project"
    BRANCH = "branch"
    PATH = "path"


def require_name(text: str, what: str) -> str:
    """Return *text* if it may name an organization, a project or a branch.

    Raises:
        NamingError: It may not; the message says what a name looks like.
    """
    if _NAME.fullmatch(text) is None:
        raise NamingError(
            f"{what} `{text}` is not a name; use 1 to {MAX_NAME} of A-Z a-z 0-9 . _ - and start with none of . -"
        )
    return text


def require_segment(text: str) -> str:
    """Return *text* in NFC if it may be one segment of a path.

    Raises:
        NamingError: Empty, too long, ``.``, ``..``, or holding a separator or a control character.
    """
    segment = unicodedata.normalize("NFC", text)
    if segment in {"", ".", ".."}:
        raise NamingError(f"path segment `{segment}` is not a name; write plain names between single slashes")
    try:
        size = len(segment.encode())
    except UnicodeEncodeError:
        raise NamingError("a path segment holds a lone surrogate; write valid UTF-8") from None
    if size > MAX_SEGMENT_BYTES:
        raise NamingError(f"a path segment has {size} bytes; at most {MAX_SEGMENT_BYTES} are allowed")
    if any(char in "/\\" or unicodedata.category(char) == "Cc" for char in segment):
        raise NamingError(f"path segment {segment!r} holds a slash, a backslash or a control character; leave it out")
    return segment


def parse_path(text: str) -> tuple[str, ...]:
    """Split a path like ``designs/current`` into its checked segments.

    Raises:
        NamingError: A segment is not a name, or there are more than 64.
    """
    segments = tuple(require_segment(part) for part in text.split("/"))
    if len(segments) > MAX_SEGMENTS:
        raise NamingError(f"a path has {len(segments)} segments; at most {MAX_SEGMENTS} are allowed")
    return segments


def parse_section(text: str) -> tuple[str, ...]:
    """Split a section like ``/skills/fiber`` into its segments; ``/`` is the empty tuple.

    Raises:
        NamingError: It does not start with a slash, or a segment is not a name.
    """
    if not text.startswith("/"):
        raise NamingError(f"section `{text}` does not start with `/`; write it like /skills/fiber")
    return () if text == "/" else parse_path(text[1:])


@value
class Scope:
    """A pattern over targets. Exactly one of *section* and the project side is meant.

    Attributes:
        section: Segments of a section scope, ``()`` for all sections; None for a scope on projects.
        project: Named project, or None for every project.
        branch: Named branch, or None for every branch.
        path: Segments of the path; empty for all paths.
    """

    section: tuple[str, ...] | None
    project: str | None
    branch: str | None
    path: tuple[str, ...]

    @property
    def specificity(self) -> tuple[bool, bool, int]:
        """(project named, branch named, number of path segments), compared left to right (spec 1.5, 6)."""
        return (self.project is not None, self.branch is not None, len(self.path))

    def covers(self, target: "Target") -> bool:
        """Whether *target* lies in this scope: whole segments, exact code points (spec 1.2)."""
        if self.section is not None:
            return target.section is not None and target.section[: len(self.section)] == self.section
        return (
            target.section is None
            and self.project in {None, target.project}
            and self.branch in {None, target.branch}
            and target.path[: len(self.path)] == self.path
        )

    def __str__(self) -> str:
        if self.section is not None:
            return "/" + "/".join(self.section)
        text = self.project or "*"
        if self.branch is not None or self.path:
            text += f"@{self.branch or '*'}"
        return f"{text}:{'/'.join(self.path)}" if self.path else text


ALL_SECTIONS: Final = Scope((), None, None, ())
ALL_PROJECTS: Final = Scope(None, None, None, ())


def parse_scope(text: str) -> Scope:
    """Read the written form of a scope (spec 1.2). Each scope has one spelling.

    Raises:
        NamingError: It is none of the written forms; the message says which there are.
    """
    if text.startswith("/"):
        return Scope(parse_section(text), None, None, ())
    head, colon, path_text = text.partition(":")
    project, at, branch = head.partition("@")
    path = parse_path(path_text) if colon else ()
    if (colon and not at) or (at and branch == "*" and not path):
        raise NamingError(
            f"scope `{text}` is not written like *, *@main, p1, p1@main, p1@*:dir, p1@main:dir or /section"
        )
    return Scope(
        None,
        None if project == "*" else require_name(project, "project"),
        None if branch == "*" or not at else require_name(branch, "branch"),
        path,
    )


@hot_value
class Target:
    """A concrete place in one organization (spec 1.2). Build it with :func:`section_target` or :func:`project_target`.

    Attributes:
        org: Organization that everything below belongs to.
        section: Segments for a section target, else None.
        project: Project name; None only for a section target.
        branch: Branch name for a branch or path target.
        path: Segments for a path target, else empty.
        kind: section, project, branch or path.
        subtree: The operation reaches everything below the target (spec 1.6).
        text: The written form, without the organization.
    """

    org: str
    section: tuple[str, ...] | None
    project: str | None
    branch: str | None
    path: tuple[str, ...]
    kind: Kind
    subtree: bool
    text: str


def section_target(org: str, section: tuple[str, ...], *, subtree: bool = False) -> Target:
    """Build a section target from checked segments."""
    return Target(org, section, None, None, (), Kind.SECTION, subtree, "/" + "/".join(section))


def project_target(
    org: str, project: str, branch: str | None = None, path: tuple[str, ...] = (), *, subtree: bool = False
) -> Target:
    """Build a project, branch or path target from checked parts; the kind follows from what is given."""
    if branch is None:
        return Target(org, None, project, None, (), Kind.PROJECT, subtree, project)
    if not path:
        return Target(org, None, project, branch, (), Kind.BRANCH, subtree, f"{project}@{branch}")
    return Target(org, None, project, branch, path, Kind.PATH, subtree, f"{project}@{branch}:{'/'.join(path)}")


def parse_target(org: str, text: str, *, subtree: bool = False) -> Target:
    """Read the written form of a concrete target, e.g. ``p1@main:designs/a.json`` or ``/skills``.

    Raises:
        NamingError: Not a scope, or one that holds ``*``.
    """
    require_name(org, "organization")
    scope = parse_scope(text)
    if scope.section is not None:
        return section_target(org, scope.section, subtree=subtree)
    if scope.project is None or (scope.path and scope.branch is None):
        raise NamingError(f"target `{text}` holds `*`; name one project, branch or path")
    return project_target(org, scope.project, scope.branch, scope.path, subtree=subtree)
