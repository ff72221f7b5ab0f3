"""JSON and base64url that can be read in one way only (spec 2.4; RFC 7515 section 2, RFC 7519 section 4)."""

import json
from base64 import urlsafe_b64encode
from binascii import Error as BinasciiError
from binascii import a2b_base64
from typing import Final, NoReturn

MAX_BRACKETS: Final = 256
"""A session token with a chain of 8 links has some 40."""

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# To the characters of plain Base64, and whatever is none of base64url's to one that is none of either.
_TO_BASE64: Final = bytes(
    b"+/"[b"-_".index(byte)] if byte in b"-_" else byte if byte in _ALPHABET else ord("!") for byte in range(256)
)
# By the number of characters in the last group of four: what makes it whole, and which last characters leave the bits
# that are not used zero: 4 of them after two characters, 2 after three. One character alone is no byte.
_PADDING: Final = (b"", b"", b"==", b"=")
_LAST: Final = (frozenset(_ALPHABET), frozenset[int](), frozenset(_ALPHABET[::16]), frozenset(_ALPHABET[::4]))


def read_object(data: bytes, max_brackets: int = MAX_BRACKETS) -> dict[str, object] | None:
    """Read a JSON object in UTF-8.

    Args:
        data: As received.
        max_brackets: Opening brackets and braces that may be in it, those in texts too: bounds how deep it is nested
            without a scan of its own. The parser's own bound depends on how deep the caller's stack is.

    Returns:
        The object; None when it is not one, repeats a member at any depth, holds ``NaN`` or ``Infinity``, has too
        many brackets or is not UTF-8.
    """
    if data.count(b"[") + data.count(b"{") > max_brackets:
        return None
    try:
        # Decoded here: given bytes, json.loads would also guess UTF-16 and UTF-32.
        found = json.loads(data.decode(), object_pairs_hook=_require_distinct, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def decode_base64url(text: bytes) -> bytes | None:
    """Decode unpadded base64url; None for padding, other characters or unused bits that are not zero.

    RFC 4648 section 3.5 lets a decoder ignore the unused bits: then one token had several spellings.
    """
    over = len(text) & 3
    if text and text[-1] not in _LAST[over]:
        return None
    try:
        return a2b_base64(text.translate(_TO_BASE64) + _PADDING[over], strict_mode=True)
    except BinasciiError:
        return None


def encode_base64url(raw: bytes) -> bytes:
    """Encode as base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=")


def _require_distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object repeats a member")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON (RFC 8259 section 6)")
