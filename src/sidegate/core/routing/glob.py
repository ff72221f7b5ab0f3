"""The target of a glob pattern: its longest prefix of literal segments (spec 1.6)."""

import re
from typing import Final

from sidegate.core.model.errors import NamingError
from sidegate.core.model.target import MAX_SEGMENTS, require_segment

# Anything that some glob dialect gives a meaning to ends the prefix: taking too much for a wildcard widens the
# subtree that has to be allowed, taking too little would narrow it.
_SPECIAL: Final = re.compile(r"[*?\[\]{}()|!^~]")
_WORDS: Final = re.compile(r"[/,\[\]{}()|]")


def literal_prefix(pattern: str) -> tuple[str, ...]:
    """Return the longest prefix of literal segments of *pattern*; empty when the first segment is a wildcard.

    Raises:
        NamingError: The pattern may leave its own prefix (``..``, also as an alternative in braces), starts with a
            slash, or holds an empty segment, a backslash or a control character.
    """
    if any(word in {".", ".."} for word in _WORDS.split(pattern)):
        raise NamingError("a glob pattern holds a dot segment; write the resolved pattern")
    segments = pattern.removesuffix("/").split("/")
    if len(segments) > MAX_SEGMENTS:
        raise NamingError(f"a glob pattern has {len(segments)} segments; at most {MAX_SEGMENTS} are allowed")
    checked = [require_segment(segment) for segment in segments]
    for place, segment in enumerate(checked):
        if _SPECIAL.search(segment) is not None:
            return tuple(checked[:place])
    return tuple(checked)
