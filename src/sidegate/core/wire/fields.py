"""Header lines and their second reading by llhttp, for requests and responses alike (RFC 9112 section 5)."""

import re
from collections.abc import Callable
from typing import Final

import httptools

Fields = list[tuple[bytes, bytes]]
"""(name, value without surrounding white space), in order."""

# No folding, no white space before the colon, no control byte, no bare CR or LF (spec 2.1).
_GRAMMAR = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*")
_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")

# A CR or LF that cannot be half of a line end. A CR at the very end may still get its LF.
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")

NO_LENGTH: Final = -1


def has_stray_line_end(data: bytes, start: int, end: int) -> bool:
    """Whether ``data[start:end]`` holds a CR or LF that is no part of a CRLF. A CR right at *end* may still be one."""
    return _STRAY.search(data, start, end) is not None


def split_fields(block: bytes) -> Fields | None:
    """Split header lines, each ending in CRLF; None if they do not keep the grammar."""
    if _GRAMMAR.fullmatch(block) is None:
        return None
    fields = []
    for line in block.split(b"\r\n")[:-1]:
        name, _, field = line.partition(b":")
        fields.append((name, field.strip(b" \t")))
    return fields


def split_field(line: bytes) -> tuple[bytes, bytes] | None:
    """Split one header line without its CRLF; None if it does not keep the grammar."""
    found = _LINE.fullmatch(line)
    return None if found is None else (found[1], found[2].strip(b" \t"))


class FramingError(Exception):
    """Framing that two readers may disagree about. The message is one sentence."""


def read_framing(fields: Fields) -> tuple[int, bool]:
    """Read the framing of a message.

    Returns:
        (Content-Length or NO_LENGTH, whether Transfer-Encoding is chunked).

    Raises:
        FramingError: Both are given, or one is repeated, listed, signed, padded or unknown (spec 2.1, 2.5).
    """
    lengths = [field for name, field in fields if name.lower() == b"content-length"]
    codings = [field for name, field in fields if name.lower() == b"transfer-encoding"]
    if lengths and codings:
        raise FramingError("both Content-Length and Transfer-Encoding are given; send one")
    if len(lengths) > 1 or (lengths and _LENGTH.fullmatch(lengths[0]) is None):
        raise FramingError("Content-Length is not given once as a plain decimal number")
    if len(codings) > 1 or (codings and codings[0].lower() != b"chunked"):
        raise FramingError("Transfer-Encoding is not the single token chunked")
    return (int(lengths[0]) if lengths else NO_LENGTH), bool(codings)


class _Collector:
    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Fields = []

    def on_header(self, name: bytes, field: bytes) -> None:
        self.fields.append((name, field.strip(b" \t")))


Parser = Callable[[object], "httptools.HttpRequestParser | httptools.HttpResponseParser"]


def llhttp_agrees(parser: Parser, head: bytes, expected: Fields) -> bool:
    """Whether llhttp in strict mode accepts the whole *head* and reads exactly the *expected* fields."""
    seen = _Collector()
    try:
        parser(seen).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # it would now leave HTTP; its reading of the head is complete
    except httptools.HttpParserError:
        return False
    return seen.fields == expected
