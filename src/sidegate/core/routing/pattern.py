"""Path patterns of routes: ``/v1/orgs/{org}/branches/{branch}:glob``, ``/files/{path*}`` (spec 6.2)."""

import re
import unicodedata
from enum import IntEnum
from typing import Final

from sidegate.core.model.errors import SidegateError
from sidegate.core.model.value import value

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\*?)\}")
_NOT_LITERAL = re.compile(r"[{}\\%;?#]")

ASTERISK: Final = "*"
"""The pattern of ``OPTIONS *`` (RFC 9112 section 3.2.4), which has no segments at all."""


class PatternError(SidegateError, ValueError):
    """A pattern or template is not written as spec 6.2 says. Where it stood is the caller's to add."""


class Shape(IntEnum):
    """What one segment of a pattern matches. The greater one wins: its place in the rank of a route."""

    TAIL = 0
    PARAMETER = 1
    AFFIXED = 2
    FIXED = 3


@value
class Segment:
    """One segment of a pattern.

    Attributes:
        shape: What kind of segment.
        prefix: Literal text before the parameter; for a fixed segment the whole text.
        name: Name of the parameter; empty for a fixed segment.
        suffix: Literal text behind the parameter, e.g. ``:glob``.
    """

    shape: Shape
    prefix: str
    name: str
    suffix: str

    @property
    def is_whole(self) -> bool:
        """Whether the parameter's value is the whole of what is matched, nothing literal around it."""
        return self.shape in {Shape.PARAMETER, Shape.TAIL}

    def takes(self, text: str) -> bool:
        """Whether this segment, not being a tail, matches the decoded segment *text*."""
        if self.shape is Shape.FIXED:
            return text == self.prefix
        return (
            len(text) > len(self.prefix) + len(self.suffix)
            and text.startswith(self.prefix)
            and text.endswith(self.suffix)
        )


@value
class Pattern:
    """A whole path pattern.

    Attributes:
        text: As written.
        segments: Its segments, in the form of the canonical path: the last one is fixed and empty for a trailing
            slash. Empty for the asterisk form.
        places: Where each parameter stands: index into *segments* by name.
        tail_place: Where the tail stands, or None.
    """

    text: str
    segments: tuple[Segment, ...]
    places: dict[str, int]
    tail_place: int | None

    @property
    def rank(self) -> tuple[Shape, ...]:
        """Shapes from left to right. Of two patterns that match one path, the greater rank wins."""
        return tuple(segment.shape for segment in self.segments)


def _parse_literal(text: str, pattern: str) -> str:
    if _NOT_LITERAL.search(text) is not None or any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise PatternError(
            f"`{pattern}` holds a brace, backslash, %, ;, ?, # or control character in a fixed part; "
            "write each segment decoded, parameters as {name}, and the query under `query`"
        )
    if not unicodedata.is_normalized("NFC", text):
        raise PatternError(f"`{pattern}` is not in Unicode normal form C, so no request can match it; write it in NFC")
    return text


def _parse_segment(text: str, pattern: str) -> Segment:
    found = list(_PARAMETER.finditer(text))
    if not found:
        literal = _parse_literal(text, pattern)
        if literal in {".", ".."}:
            raise PatternError(f"`{pattern}` holds `{literal}`, which no canonical path has; leave it out")
        return Segment(Shape.FIXED, literal, "", "")
    if len(found) > 1:
        raise PatternError(f"`{pattern}` has two parameters in one segment; a segment takes one, e.g. {{branch}}:glob")
    match = found[0]
    prefix = _parse_literal(text[: match.start()], pattern)
    suffix = _parse_literal(text[match.end() :], pattern)
    name, star = match.groups()
    if star:
        if prefix or suffix:
            raise PatternError(f"`{pattern}` has text beside {{{name}*}}; a tail is a whole segment")
        return Segment(Shape.TAIL, "", name, "")
    return Segment(Shape.AFFIXED if prefix or suffix else Shape.PARAMETER, prefix, name, suffix)


def parse_pattern(text: str) -> Pattern:
    """Read a path pattern.

    A segment is fixed text, ``{name}``, or one parameter with literal text around it (``{branch}:glob``). The last
    segment may be a tail ``{name*}``, which matches one or more segments. A parameter never matches an empty segment.

    Raises:
        PatternError: It is none of that; the message says how to write it.
    """
    if text == ASTERISK:
        return Pattern(text, (), {}, None)
    if not text.startswith("/"):
        raise PatternError(f"`{text}` does not start with `/`; write the whole path, e.g. /v1/orgs/{{org}}")
    segments = tuple(_parse_segment(part, text) for part in text[1:].split("/"))
    places: dict[str, int] = {}
    for place, segment in enumerate(segments):
        is_last = place == len(segments) - 1
        if segment.shape is Shape.FIXED and not segment.prefix and not is_last:
            raise PatternError(f"`{text}` has an empty segment, which no canonical path has; write single slashes")
        if segment.shape is Shape.TAIL and not is_last:
            raise PatternError(f"`{text}` goes on behind {{{segment.name}*}}; a tail stands at the end")
        if segment.name in places:
            raise PatternError(f"`{text}` names {{{segment.name}}} twice; give each parameter its own name")
        if segment.name:
            places[segment.name] = place
    return Pattern(text, segments, places, len(segments) - 1 if segments[-1].shape is Shape.TAIL else None)
