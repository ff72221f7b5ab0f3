"""Names and paths: what may become a name on the disk, and in which spelling."""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from examples.datastore.problems import malformed

# The same limits as the proxy's decision model: two readings of one path would be a way round the proxy.
MAX_SEGMENTS = 64
MAX_SEGMENT_BYTES = 255

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class BranchRef(NamedTuple):
    """Which branch of which project."""

    org: str
    project: str
    branch: str


def require_name(text: str, what: str) -> str:
    """Return *text* if it may name an organization, project or branch."""
    if _NAME.fullmatch(text) is None:
        raise malformed(f"the {what} is not 1 to 128 of A-Z a-z 0-9 . _ - with neither . nor - in front")
    return text


def require_path(text: str) -> str:
    """
    Return *text* as the one spelling of its path.

    Args:
        text: Decoded, with ``/`` between segments and none at either end.

    Returns:
        The path in Unicode's composed form (NFC), so that two spellings are one file.
    """
    path = text if text.isascii() else unicodedata.normalize("NFC", text)
    segments = path.split("/")
    if len(segments) > MAX_SEGMENTS:
        raise malformed(f"the path has more than {MAX_SEGMENTS} segments")
    for segment in segments:
        _require_segment(segment)
    return path


@lru_cache(maxsize=8192)
def parse_path(raw: str) -> str:
    """
    Read the tail of a request target as a path.

    Every segment is decoded exactly once and on its own: ``a%2Fb`` is refused, not taken for ``a/b``.
    """
    if "%" not in raw:
        return require_path(raw)
    if _BAD_ESCAPE.search(raw):
        raise malformed("the path holds a percent sign without two hexadecimal digits")
    try:
        segments = [unquote(segment, errors="strict") for segment in raw.split("/")]
    except UnicodeDecodeError:
        raise malformed("the path is not UTF-8") from None
    for segment in segments:
        _require_segment(segment)
    return require_path("/".join(segments))


def encode_path(path: str) -> str:
    """Write a path as it stands in a request target."""
    return quote(path, safe="/!$&'()*+,=:@~")


def _require_segment(segment: str) -> None:
    if segment in {"", ".", ".."}:
        raise malformed("the path is absolute or has an empty, `.` or `..` segment")
    if "/" in segment or "\\" in segment or not _is_printable(segment):
        raise malformed("a path segment holds a slash, a backslash or a control character")
    if len(segment.encode("utf-8", "surrogatepass")) > MAX_SEGMENT_BYTES:
        raise malformed(f"a path segment is longer than {MAX_SEGMENT_BYTES} bytes")


def _is_printable(segment: str) -> bool:
    # str.isprintable is the fast answer for nearly all; it also refuses spaces other than U+0020, which are allowed.
    return segment.isprintable() or not any(unicodedata.category(char) in {"Cc", "Cs"} for char in segment)
