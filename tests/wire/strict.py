"""A second, slow and separate reading of HTTP/1.1, by which the tests judge what Sidegate let pass.

It shares no code with Sidegate. It knows one way to read a message and raises for everything else, so whatever comes
out of Sidegate has to keep this grammar, and whatever Sidegate takes in has to be in it.
"""

import re
import unicodedata
from dataclasses import dataclass

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINE = re.compile(rb"([A-Z-]+) (\S+) HTTP/1\.([01])")
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*")
_FIELD = re.compile(
    rb"(" + TOKEN + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(;[\t\x20-\x7e]*)?")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_TARGET = re.compile(rb"[\x21\x22\x24-\x7e]+")
_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@")


class UnreadableError(Exception):
    """The bytes are not what the one reading allows."""


class IncompleteError(Exception):
    """The bytes end before the message does."""


@dataclass(frozen=True)
class Message:
    """One request or response.

    Attributes:
        start: Request line or status line, without CRLF.
        fields: (name, value without blanks around it), spelling as it came.
        body: Without chunked framing.
        chunked: It came in chunks.
    """

    start: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    chunked: bool

    def values(self, name: bytes) -> list[bytes]:
        """Return all values of the field called *name*, in any case."""
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def value(self, name: bytes) -> bytes:
        """Return the value of the field that must stand exactly once."""
        (value,) = self.values(name)
        return value

    @property
    def method(self) -> bytes:
        """Method of a request."""
        return self.start.split(b" ")[0]

    @property
    def target(self) -> bytes:
        """Target of a request."""
        return self.start.split(b" ")[1]

    @property
    def minor(self) -> int:
        """0 or 1, of HTTP/1.x."""
        return int(self.start[-1:])

    @property
    def status(self) -> int:
        """Status of a response."""
        return int(self.start[9:12])


def read_head(data: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...], bytes]:
    """Read a head; return start line, fields and what follows.

    Raises:
        UnreadableError: A line is not what it should be.
        IncompleteError: The empty line is missing.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        raise IncompleteError
    start, *lines = head.split(b"\r\n")
    fields = []
    for line in [start, *lines]:
        if b"\r" in line or b"\n" in line:
            raise UnreadableError("a stray line end")
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise UnreadableError(f"not a field: {line[:80]!r}")
        fields.append((field[1], field[2]))
    return start, tuple(fields), rest


def read_request(data: bytes) -> tuple[Message, bytes]:
    """Read one request; return it and what follows.

    Raises:
        UnreadableError: It can be read in two ways, or in none.
        IncompleteError: It is cut.
    """
    start, fields, rest = read_head(data)
    line = _LINE.fullmatch(start)
    if line is None or _TARGET.fullmatch(line[2]) is None:
        raise UnreadableError(f"not a request line: {start[:80]!r}")
    hosts = [value for name, value in fields if name.lower() == b"host"]
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
        raise UnreadableError("not one host")
    body, chunked, rest = _read_body(fields, rest)
    if chunked and line[3] == b"0":
        raise UnreadableError("chunks in HTTP/1.0")
    return Message(start, fields, body, chunked), rest


def read_requests(data: bytes) -> tuple[list[Message], BaseException | None]:
    """Read as many requests as there are; also why it ended before the end of *data*, None if it did not."""
    found: list[Message] = []
    while data:
        try:
            message, data = read_request(data)
        except (UnreadableError, IncompleteError) as error:
            return found, error
        found.append(message)
    return found, None


def read_response(data: bytes, method: bytes) -> tuple[Message, bytes]:
    """Read one response to *method*; return it and what follows."""
    start, fields, rest = read_head(data)
    status = _STATUS.fullmatch(start)
    if status is None:
        raise UnreadableError(f"not a status line: {start[:80]!r}")
    code = int(status[1])
    if method == b"HEAD" or code < 200 or code in {204, 304}:
        return Message(start, fields, b"", chunked=False), rest
    names = {name.lower() for name, _ in fields}
    if not names & {b"content-length", b"transfer-encoding"}:
        return Message(start, fields, rest, chunked=False), b""
    body, chunked, rest = _read_body(fields, rest)
    return Message(start, fields, body, chunked), rest


def _read_body(fields: tuple[tuple[bytes, bytes], ...], rest: bytes) -> tuple[bytes, bool, bytes]:
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise UnreadableError("more than one framing")
    if codings:
        if codings[0].lower() != b"chunked":
            raise UnreadableError("a coding that is not chunked")
        body, rest = read_chunks(rest)
        return body, True, rest
    if not lengths:
        return b"", False, rest
    if re.fullmatch(rb"0|[1-9][0-9]{0,17}", lengths[0]) is None:
        raise UnreadableError("not a length")
    length = int(lengths[0])
    if len(rest) < length:
        raise IncompleteError
    return rest[:length], False, rest[length:]


def read_chunks(data: bytes, *, plain: bool = False) -> tuple[bytes, bytes]:
    """Read a chunked body; return payload and what follows.

    Args:
        plain: Neither extensions nor trailers are allowed, as behind Sidegate.
    """
    pieces = []
    while True:
        line, data = _line(data)
        size = _SIZE.fullmatch(line)
        if size is None or (plain and size[2]):
            raise UnreadableError(f"not a chunk size: {line[:40]!r}")
        length = int(size[1], 16)
        if not length:
            break
        if data[length : length + 2] != b"\r\n":
            if b"\r\n".startswith(data[length : length + 2]):
                raise IncompleteError
            raise UnreadableError("a chunk does not end where it says")
        pieces.append(data[:length])
        data = data[length + 2 :]
    while True:
        line, data = _line(data)
        if not line:
            return b"".join(pieces), data
        if plain or _FIELD.fullmatch(line) is None:
            raise UnreadableError("a trailer")


def _line(data: bytes) -> tuple[bytes, bytes]:
    line, end, rest = data.partition(b"\r\n")
    if b"\n" in line or b"\r" in (line if end else line.removesuffix(b"\r")):
        raise UnreadableError("a stray line end")
    if not end:
        raise IncompleteError
    return line, rest


def canonical_path(target: bytes) -> bytes:
    """Return the canonical path of a target (spec 2.2), by a reading of its own.

    Raises:
        UnreadableError: It has none.
    """
    path = target.split(b"?")[0]
    if path == b"*":
        return path
    if not path.startswith(b"/"):
        scheme, mark, rest = path.partition(b"://")
        if not mark or scheme.lower() not in {b"http", b"https"}:
            raise UnreadableError("not a target")
        path = b"/" + rest.partition(b"/")[2]
    segments = path[1:].split(b"/")
    written = []
    for place, raw in enumerate(segments):
        if re.search(rb"%(?![0-9A-Fa-f]{2})", raw):
            raise UnreadableError("a broken escape")
        decoded = b""
        at = 0
        while at < len(raw):
            if raw[at] == 0x25:
                decoded += bytes([int(raw[at + 1 : at + 3], 16)])
                at += 3
            else:
                decoded += raw[at : at + 1]
                at += 1
        try:
            text = decoded.decode()
        except UnicodeDecodeError:
            raise UnreadableError("not UTF-8") from None
        last = place == len(segments) - 1
        if (not text and not last) or text in {".", ".."} or set(text) & set("/\\%;?#"):
            raise UnreadableError("an ambiguous segment")
        if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text) or unicodedata.normalize("NFC", text) != text:
            raise UnreadableError("an ambiguous segment")
        written.append(b"".join(bytes([byte]) if byte in _KEPT else b"%%%02X" % byte for byte in decoded))
    return b"/" + b"/".join(written)
