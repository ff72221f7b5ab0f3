"""A JSON body that decides something, read one way (spec 2.4, 6.2)."""

import json
import re
from typing import Any, Final, Never

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_JSON_TYPE: Final = re.compile(
    rb"application/(?:[a-z0-9!#$&^_.+-]+\+)?json[ \t]*(?:;[ \t]*charset=(?:utf-8|\"utf-8\")[ \t]*)?", re.IGNORECASE
)


def _malformed(detail: str) -> WireError:
    return WireError(400, Reason.MALFORMED_REQUEST, detail)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _malformed("the JSON body repeats a member; send each once")
    return members


def _refuse_constant(_name: str) -> Never:
    raise _malformed("the JSON body holds NaN or Infinity, which JSON has not; leave them out")


def require_json_headers(content_type: tuple[bytes, ...], content_encoding: tuple[bytes, ...]) -> None:
    """Refuse a body that declares to be something else than plain JSON: the upstream would read it another way.

    Raises:
        WireError: 400.
    """
    if content_encoding:
        raise _malformed("the body that decides is encoded; send it without Content-Encoding")
    if len(content_type) > 1 or (content_type and _JSON_TYPE.fullmatch(content_type[0].strip(b" \t")) is None):
        raise _malformed("the body that decides is not declared as JSON; send Content-Type: application/json")


def parse_body(body: bytes | None) -> object:
    """Parse *body* as one JSON text in UTF-8 (RFC 8259).

    Raises:
        WireError: 400: not JSON, a repeated member anywhere, NaN or Infinity, a byte order mark, a lone surrogate,
            nested or written so large that parsers differ.
    """
    try:
        text = (body or b"").decode()
        document: object = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        if _SURROGATE.search(text) is not None:
            # Only a whole pair may be written as escapes: what a lone one becomes differs from parser to parser.
            json.dumps(document, ensure_ascii=False).encode()
    except (
        ValueError,
        RecursionError,
    ):  # ValueError: no UTF-8, no JSON, a byte order mark, an integer of > 4300 digits
        raise _malformed("the body that decides is not valid JSON; send one JSON text in UTF-8") from None
    return document


def parse_pointer(text: str) -> tuple[str, ...]:
    """Split a JSON pointer (RFC 6901) into its reference tokens.

    Raises:
        ValueError: Not a pointer, or the empty one, which names the whole document.
    """
    if not text.startswith("/") or re.search(r"~(?![01])", text) is not None:
        raise ValueError(f"`{text}` is not a JSON pointer; write it like /pattern or /source/path")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text[1:].split("/"))


def read_pointer(document: object, tokens: tuple[str, ...]) -> str:
    """Return the string that the pointer of *tokens* names in *document*.

    On the way no object may hold a second member that differs only in case: some parsers (Go's encoding/json) take
    it for the same.

    Raises:
        WireError: 400: missing, not a string, or ambiguous.
    """
    found = document
    for token in tokens:
        match found:
            case dict() if token in found:
                folded = token.casefold()
                if sum(name.casefold() == folded for name in found) > 1:
                    raise _malformed("the JSON body repeats a member that decides in another case; send it once")
                found = found[token]
            case list() if _INDEX.fullmatch(token) is not None and int(token) < len(found):
                found = found[int(token)]
            case _:
                raise _malformed("the JSON body lacks a member that decides; see the route's `pointer`")
    if not isinstance(found, str):
        raise _malformed("a member of the JSON body that decides is not a string; send a string")
    return found
