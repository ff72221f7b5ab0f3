"""
Patterns over paths: ``*``, ``?`` and, as a whole segment, ``**``.

Nothing else is special, on purpose: the proxy decides on the longest prefix of literal segments, and a character
that is literal to it and not to us would let a pattern reach beyond what was decided.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from examples.datastore.disk import walk_files
from examples.datastore.names import require_path

T = TypeVar("T")


class Pattern(NamedTuple):
    """A pattern, and the literal path that everything it matches lies at or below."""

    segments: list[str]
    prefix: str

    @property
    def is_literal(self) -> bool:
        """Whether the pattern is just a path."""
        return len(self.segments) == len(self.prefix.split("/")) and bool(self.prefix)

    def matches(self, path: str) -> bool:
        """Return whether the pattern matches a whole path."""
        return _matches(self.segments, path.split("/"), "**", match_segment)


def parse_pattern(text: str) -> Pattern:
    """Read a pattern; its segments obey the rules of a path."""
    segments = require_path(text).split("/")
    literal = 0
    while literal < len(segments) and not _is_wild(segments[literal]):
        literal += 1
    return Pattern(segments, "/".join(segments[:literal]))


def find_files(base: Path, pattern: Pattern) -> Iterator[tuple[str, str]]:
    """Yield the files that a pattern matches, in order."""
    for path, location in walk_files(base, pattern.prefix):
        if pattern.matches(path):
            yield path, location


def find_files_below(base: Path, pattern: Pattern) -> Iterator[tuple[str, str]]:
    """Yield the files that a pattern matches; a plain path also stands for everything below it."""
    return walk_files(base, pattern.prefix) if pattern.is_literal else find_files(base, pattern)


def match_segment(pattern: str, segment: str) -> bool:
    """Return whether a pattern without slashes matches one segment."""
    return _matches(pattern, segment, "*", _match_character)


def _is_wild(segment: str) -> bool:
    return "*" in segment or "?" in segment


def _match_character(pattern: str, character: str) -> bool:
    return pattern in {"?", character}


def _matches(pattern: Sequence[T], items: Sequence[T], star: T, match_one: Callable[[T, T], bool]) -> bool:
    """
    Match greedily, going back to the last star only.

    That is enough, since a later star can absorb whatever an earlier one gives up; so the cost is at most
    len(pattern) * len(items), where a regular expression made from the same pattern could be exponential.
    """
    at = item = 0
    last_star = -1
    resume = 0
    while item < len(items):
        if at < len(pattern) and pattern[at] == star:
            last_star, resume = at, item
            at += 1
        elif at < len(pattern) and match_one(pattern[at], items[item]):
            at += 1
            item += 1
        elif last_star >= 0:
            resume += 1
            at, item = last_star + 1, resume
        else:
            return False
    return all(rest == star for rest in pattern[at:])
