"""The request target read one way: canonical path and untouched query (spec 2.2)."""

import re
import unicodedata
from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import hot_value

# Every segment plain and none starting with a dot: nothing to decode, nothing to check, already canonical.
_PLAIN_PATH = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)+/?")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
# RFC 3986 section 2.3 and the part of 3.3 that spec 2.2 leaves plain; `;` is a sub-delim that upstreams disagree about.
_KEPT: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@")
_ENCODED: Final = tuple(bytes([byte]) if byte in _KEPT else b"%%%02X" % byte for byte in range(256))

# Characters that upstreams read differently once decoded, and the name under which a route may allow each.
ENCODED_CLASSES: Final = {"%": "percent", ";": "semicolon", "/": "slash"}
_NEVER: Final = frozenset("\\?#")


@hot_value
class CanonicalPath:
    """A path in the one form that is matched, decided, recorded and forwarded.

    Attributes:
        text: Canonical spelling, e.g. ``/v1/a%20b/``; ASCII.
        segments: Decoded segments; the last is ``""`` for a trailing slash.
        encoded: Names of the classes of delicate characters it holds decoded (``percent``, ``semicolon``,
            ``slash``); it may only be forwarded on a route that allows each (``allow_encoded``).
    """

    text: bytes
    segments: tuple[str, ...]
    encoded: frozenset[str]


def encode_segment(segment: str) -> bytes:
    """Percent-encode one decoded segment canonically: upper-case hex, everything but the kept set."""
    return b"".join([_ENCODED[byte] for byte in segment.encode()])


def canonical_path(raw: bytes) -> CanonicalPath:
    """Read the path part of a request target (no query).

    Args:
        raw: Starts with ``/``; printable ASCII, as checked by the request line's grammar.

    Raises:
        WireError: 400 ``ambiguous_path``: two readers could see two paths.
    """
    if _PLAIN_PATH.fullmatch(raw) is not None:
        return CanonicalPath(raw, tuple(raw[1:].decode("ascii").split("/")), frozenset())
    parts = raw[1:].split(b"/")
    last = len(parts) - 1
    encoded: set[str] = set()
    segments = [_decode_segment(part, encoded) if part or place != last else "" for place, part in enumerate(parts)]
    text = b"/" + b"/".join([encode_segment(segment) for segment in segments])
    return CanonicalPath(text, tuple(segments), frozenset(encoded))


def _decode_segment(part: bytes, encoded: set[str]) -> str:
    if not part:
        raise _ambiguous("the path holds an empty segment; write single slashes")
    try:
        segment = _ESCAPE.sub(_decode_escape, part).decode("utf-8")
    except UnicodeDecodeError:
        raise _ambiguous("a path segment is not valid UTF-8; encode names as UTF-8") from None
    if segment in {".", ".."}:
        raise _ambiguous("the path holds a dot segment; write the resolved path")
    if not unicodedata.is_normalized("NFC", segment):
        raise _ambiguous("a path segment is not in NFC; normalise names before encoding them")
    for char in segment:
        if char in _NEVER or unicodedata.category(char) == "Cc":
            raise _ambiguous("a path segment holds a control character or one of \\ ? #; choose another name")
        if char in ENCODED_CLASSES:
            encoded.add(ENCODED_CLASSES[char])
    if "/" in segment and not {"", ".", ".."}.isdisjoint(segment.split("/")):
        # Also where a route allows the slash: no upstream is known to keep `a/../b` as one name.
        raise _ambiguous(
            "a path segment holds encoded slashes around a dot segment or nothing; write the resolved path"
        )
    return segment


def _decode_escape(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        raise _ambiguous("the path holds a malformed escape; write % only before two hexadecimal digits")
    return bytes.fromhex(digits.decode("ascii"))


def require_encoding_allowed(path: CanonicalPath, allowed: frozenset[str]) -> None:
    """Refuse a path that holds a delicate decoded character which its route does not allow.

    Raises:
        WireError: 400 ``ambiguous_path``.
    """
    if not path.encoded <= allowed:
        names = ", ".join(sorted(path.encoded - allowed))
        raise _ambiguous(f"a path segment holds an encoded character that upstreams read differently ({names})")


def _ambiguous(detail: str) -> WireError:
    return WireError(400, Reason.AMBIGUOUS_PATH, detail)
