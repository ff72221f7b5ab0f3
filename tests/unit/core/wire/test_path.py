"""The canonical path: one reading of every request target (spec 2.2)."""

import unicodedata
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.wire.path import canonical_path, encode_segment, require_encoding_allowed

_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@"
_ALLOWABLE = {"%": "percent", ";": "semicolon", "/": "slash"}


@pytest.mark.parametrize(
    ("raw", "text", "segments", "encoded"),
    [
        pytest.param(b"/", b"/", ("",), set(), id="root"),
        pytest.param(b"/a", b"/a", ("a",), set(), id="one-segment"),
        pytest.param(b"/a/b/", b"/a/b/", ("a", "b", ""), set(), id="trailing-slash-is-kept"),
        pytest.param(b"/A-._~!$&'()*+,=:@z", b"/A-._~!$&'()*+,=:@z", ("A-._~!$&'()*+,=:@z",), set(), id="plain-set"),
        pytest.param(b"/%61%2D", b"/a-", ("a-",), set(), id="needless-escapes-go"),
        pytest.param(b"/a%20b", b"/a%20b", ("a b",), set(), id="space"),
        pytest.param(b"/%c3%a9", b"/%C3%A9", ("é",), set(), id="hex-becomes-upper-case"),
        pytest.param(b"/%22%3C%5B", b"/%22%3C%5B", ('"<[',), set(), id="others-escaped"),
        pytest.param(b"/[x]", b"/%5Bx%5D", ("[x]",), set(), id="unescaped-others-become-escaped"),
        pytest.param(b"/..a/...", b"/..a/...", ("..a", "..."), set(), id="dots-in-names"),
        pytest.param(b"/.hidden", b"/.hidden", (".hidden",), set(), id="leading-dot"),
        pytest.param(b"/a%2Fb", b"/a%2Fb", ("a/b",), {"slash"}, id="encoded-slash"),
        pytest.param(b"/a%25b", b"/a%25b", ("a%b",), {"percent"}, id="encoded-percent"),
        pytest.param(b"/a%3bb", b"/a%3Bb", ("a;b",), {"semicolon"}, id="encoded-semicolon"),
        pytest.param(b"/a;b", b"/a%3Bb", ("a;b",), {"semicolon"}, id="plain-semicolon"),
        pytest.param(b"/%252e", b"/%252e", ("%2e",), {"percent"}, id="decoded-once-only"),
    ],
)
def test_canonical(raw: bytes, text: bytes, segments: tuple[str, ...], encoded: set[str]) -> None:
    """Segments are decoded once; unreserved and sub-delimiters stay plain, all else is upper-case %XX."""
    path = canonical_path(raw)
    assert (text, segments, frozenset(encoded)) == (path.text, path.segments, path.encoded)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"//", id="empty-first"),
        pytest.param(b"/a//b", id="empty-inside"),
        pytest.param(b"/a//", id="empty-before-trailing-slash"),
        pytest.param(b"/.", id="dot"),
        pytest.param(b"/a/../b", id="dot-dot"),
        pytest.param(b"/%2e", id="encoded-dot"),
        pytest.param(b"/a/.%2E", id="half-encoded-dot-dot"),
        pytest.param(b"/%", id="lone-percent"),
        pytest.param(b"/%a", id="one-digit"),
        pytest.param(b"/%zz", id="not-hex"),
        pytest.param(b"/%u0041", id="unicode-escape"),
        pytest.param(b"/%00", id="nul"),
        pytest.param(b"/%0a", id="line-feed"),
        pytest.param(b"/%7f", id="delete"),
        pytest.param(b"/%c2%85", id="c1-control"),
        pytest.param(b"/a\\b", id="backslash"),
        pytest.param(b"/a%5Cb", id="encoded-backslash"),
        pytest.param(b"/a%2F..%2Fb", id="dot-dot-between-encoded-slashes"),
        pytest.param(b"/a%2F", id="nothing-behind-an-encoded-slash"),
        pytest.param(b"/a%3Fb", id="encoded-question-mark"),
        pytest.param(b"/a%23b", id="encoded-hash"),
        pytest.param(b"/%ff", id="not-utf-8"),
        pytest.param(b"/%c0%af", id="overlong-slash"),
        pytest.param(b"/a%2F", id="slash-at-the-end"),
        pytest.param(b"/%2Fa", id="slash-at-the-beginning"),
        pytest.param(b"/a%2F%2Fb", id="two-encoded-slashes"),
        pytest.param(b"/.%2Fa", id="dot-before-an-encoded-slash"),
        pytest.param(b"/%ed%a0%80", id="surrogate"),
        pytest.param(b"/e%cc%81", id="not-nfc"),
        pytest.param(b"/%e2%84%aa", id="kelvin-sign-is-not-nfc"),
    ],
)
def test_refused(raw: bytes) -> None:
    """What two readers could take for two paths is 400 `ambiguous_path`."""
    with pytest.raises(WireError) as refused:
        canonical_path(raw)
    assert (refused.value.status, refused.value.reason) == (400, Reason.AMBIGUOUS_PATH)


@pytest.mark.parametrize(
    ("raw", "allowed", "passes"),
    [
        pytest.param(b"/a", set(), True, id="nothing-delicate"),
        pytest.param(b"/a%2Fb", set(), False, id="default-is-none"),
        pytest.param(b"/a%2Fb", {"slash"}, True, id="slash-allowed"),
        pytest.param(b"/a%2Fb", {"percent", "semicolon"}, False, id="others-allowed"),
        pytest.param(b"/a%2Fb%3B", {"slash"}, False, id="one-of-two-allowed"),
        pytest.param(b"/a%2Fb%3B", {"slash", "semicolon"}, True, id="both-allowed"),
    ],
)
def test_require_encoding_allowed(raw: bytes, allowed: set[str], passes: bool) -> None:
    """A route must name every class of delicate character that its path may hold."""
    path = canonical_path(raw)
    if passes:
        require_encoding_allowed(path, frozenset(allowed))
    else:
        with pytest.raises(WireError) as refused:
            require_encoding_allowed(path, frozenset(allowed))
        assert (refused.value.status, refused.value.reason) == (400, Reason.AMBIGUOUS_PATH)


def _read_slowly(raw: bytes) -> tuple[bytes, tuple[str, ...], frozenset[str]] | None:
    """Read a path as spec 2.2 spells it, one rule after the other; None where it is refused."""
    parts = raw.decode("ascii").split("/")[1:]
    segments = []
    for place, part in enumerate(parts):
        if part == "" and place < len(parts) - 1:
            return None
        for at, char in enumerate(part):
            if char == "%" and (
                len(part) < at + 3 or any(c not in "0123456789abcdefABCDEF" for c in part[at + 1 : at + 3])
            ):
                return None
        try:
            segment = unquote_to_bytes(part).decode("utf-8", "strict")
        except UnicodeDecodeError:
            return None
        if segment != unicodedata.normalize("NFC", segment) or segment in (".", ".."):
            return None
        if any(c in "\\?#" or ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in segment):
            return None
        if "/" in segment and any(part in {"", ".", ".."} for part in segment.split("/")):
            return None
        segments.append(segment)
    text = "/" + "/".join(
        "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02X}" for byte in segment.encode())
        for segment in segments
    )
    encoded = frozenset(name for char, name in _ALLOWABLE.items() if any(char in segment for segment in segments))
    return text.encode(), tuple(segments), encoded


_FRAGMENTS = st.sampled_from(
    [
        "/",
        ".",
        "..",
        "a",
        "B",
        "%",
        "%2",
        "%2e",
        "%2F",
        "%25",
        "%3B",
        "%5c",
        "%00",
        "%c3%a9",
        "%C3",
        "%A9",
        "é",
        "\u0301",
        "%cc%81",
        "e",
        ";",
        "\\",
        "~",
        "[",
        " ",
        "%20",
        "%7F",
        "%c2%80",
        "=",
        ":",
        "*",
        '"',
    ]
)
_RAW_PATHS = st.lists(_FRAGMENTS, max_size=12).map(
    lambda parts: b"/" + "".join(parts).encode("ascii", "ignore").replace(b" ", b"")
) | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#"), max_size=20).map(
    lambda text: b"/" + text.encode()
)


@given(_RAW_PATHS)
def test_agrees_with_a_slow_reading(raw: bytes) -> None:
    """The fast path, the escapes and the checks accept and make exactly what the slow reading does."""
    try:
        path = canonical_path(raw)
    except WireError:
        assert _read_slowly(raw) is None
    else:
        assert (path.text, path.segments, path.encoded) == _read_slowly(raw)


@given(_RAW_PATHS)
def test_is_idempotent(raw: bytes) -> None:
    """Reading what was written gives the same path: the upstream sees what was decided (W-A)."""
    try:
        once = canonical_path(raw)
    except WireError:
        return
    assert once == canonical_path(once.text)


@given(st.text(max_size=20))
def test_encoded_segment_decodes_to_itself(segment: str) -> None:
    """Encoding loses nothing and uses only plain characters and upper-case escapes."""
    try:
        segment.encode()
    except UnicodeEncodeError:
        return
    encoded = encode_segment(segment)
    assert segment.encode() == unquote_to_bytes(encoded)
    assert set(encoded.decode("ascii")) <= {*_PLAIN, "%"}
