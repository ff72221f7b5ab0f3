"""JSON and base64url with one reading."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.identity.encoding import decode_base64url, encode_base64url, read_object


@given(st.binary(max_size=64))
def test_base64url_round_trip(raw: bytes) -> None:
    """What was encoded decodes to the same bytes."""
    assert raw == decode_base64url(encode_base64url(raw))


@given(st.binary(max_size=12))
def test_base64url_is_canonical(text: bytes) -> None:
    """Whatever decodes is the one spelling of what it decodes to."""
    raw = decode_base64url(text)
    assert raw is None or encode_base64url(raw) == text


@given(st.text("ABQRZabgwxyz0189-_=+/ ", max_size=9).map(str.encode))
def test_base64url_against_the_library(text: bytes) -> None:
    """What decodes is exactly what the library's encoder writes."""
    try:
        raw = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        expected = None
    else:
        expected = raw if urlsafe_b64encode(raw).rstrip(b"=") == text else None
    assert expected == decode_base64url(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"A", id="one-character"),
        pytest.param(b"AAAAA", id="five-characters"),
        pytest.param(b"AA==", id="padding"),
        pytest.param(b"AB", id="unused-bits"),
        pytest.param(b"A+", id="plus"),
        pytest.param(b"A/", id="slash"),
        pytest.param(b"A A", id="space"),
        pytest.param(b"AA\n", id="newline"),
    ],
)
def test_base64url_refused(text: bytes) -> None:
    """Padding, another alphabet, blanks and unused bits are refused (RFC 7515 section 2, RFC 4648 section 3.5)."""
    assert decode_base64url(text) is None


@pytest.mark.parametrize(
    ("data", "brackets", "found"),
    [
        pytest.param(b'{"a": 1}', 1, {"a": 1}, id="object"),
        pytest.param(b' {"a": [{}]} ', 3, {"a": [{}]}, id="brackets-at-the-limit"),
        pytest.param(b'{"a": [{}]}', 2, None, id="brackets-above-the-limit"),
        pytest.param(b'{"a": "[["}', 2, None, id="brackets-in-a-text-count"),
        pytest.param(b'{"a": {"b": 1, "b": 1}}', 9, None, id="member-twice"),
        pytest.param(b'{"a": NaN}', 9, None, id="nan"),
        pytest.param(b"[]", 9, None, id="list"),
        pytest.param(b"{", 9, None, id="cut-off"),
        pytest.param(b'{"a": "\xff"}', 9, None, id="not-utf-8"),
        pytest.param(b'{"a":' * 4000 + b"1" + b"}" * 4000, 9000, None, id="deeper-than-the-parser-goes"),
    ],
)
def test_read_object(data: bytes, brackets: int, found: dict[str, object] | None) -> None:
    """An object in UTF-8 without repeated members and constants, of bounded size."""
    assert found == read_object(data, brackets)
