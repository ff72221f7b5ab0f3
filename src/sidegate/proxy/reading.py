"""Request heads, read once per spelling and then remembered (spec 7).

Three memories: whole heads, for a client that asks again what it asked before; request lines and header blocks apart,
for one that asks the same of something else or by another name. They change what a reading costs, never what it says.

What a head presents as its credential stands beside it and not in it: everything else is the same for all tokens.
"""

import re
from base64 import b64encode
from hashlib import sha1
from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.model.value import hot_value
from sidegate.core.routing.table import Match, RouteTable
from sidegate.core.wire.block import HeaderBlock, HeaderReader, HeaderRules
from sidegate.core.wire.credential import NOTHING, Presented
from sidegate.core.wire.fields import NO_LENGTH, has_stray_line_end
from sidegate.core.wire.head import RequestLine, read_request_line
from sidegate.core.wire.memo import MakingMemo, Memo
from sidegate.core.wire.path import require_encoding_allowed

REMEMBERED_HEADS: Final = 1024
REMEMBERED_LINES: Final = 2048
REMEMBERED_BLOCKS: Final = 1024
REMEMBERED_PAIRS: Final = 512
REMEMBERED_BYTES: Final = 4096
"""Longer parts are read anew each time, so that the memories stay below some 30 MiB whatever clients send."""

MIN_REVISION: Final = b"x-sidegate-min-revision"
"""The header by which whoever has just changed a permission asks for a decision that knows of it (spec 5.3)."""

UPGRADE_LINES: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
STRAY_LINE_END: Final = "a line of the request head does not end in CRLF"

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PROPFIND", b"REPORT", b"SEARCH"})
"""RFC 9110 section 9.2.2 and the read-only methods of WebDAV."""

_REVISION: Final = re.compile(rb"[0-9]{1,16}")
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class LineReading:
    """A request line and the route it leads to.

    Attributes:
        line: As read.
        match: The route that it matches, whatever the credential; None for none.
        refusal: Why the line is refused for its route; None if it is not.
    """

    __slots__ = ("line", "match", "refusal")

    def __init__(self, line: RequestLine, match: Match | None, refusal: WireError | None) -> None:
        self.line = line
        self.match = match
        self.refusal = refusal


class Head:
    """A request head in its one reading: its two parts, and what they say together.

    Attributes:
        reading: The request line and its route.
        block: The header lines.
        method: Of the request line.
        minor: The client speaks HTTP/1.minor.
        length: Of the body; 0 for none, ``NO_LENGTH`` for a chunked one.
        forward: Request line and header lines for the upstream, each with CRLF; what Sidegate says itself comes after.
        keep: The client's connection may serve another request afterwards.
        awaits_continue: The client waits for 100 before it sends the body.
        at_least: The least revision that may decide; 0 for any.
        websocket_accept: What a 101 must carry; None if this is no upgrade.
        persists: Its connection may serve another request, if this one is refused.
        is_public: Its route is open to everybody.
        is_retriable: It may be sent twice (RFC 9110 section 9.2.2): a body is gone once it was sent.
        is_plain: It has no body, its answer may have one, and another request may follow: most are.
    """

    __slots__ = (
        "at_least",
        "awaits_continue",
        "block",
        "forward",
        "is_plain",
        "is_public",
        "is_retriable",
        "keep",
        "length",
        "method",
        "minor",
        "persists",
        "reading",
        "websocket_accept",
    )

    def __init__(self, reading: LineReading, block: HeaderBlock) -> None:
        """Put the parts together.

        Raises:
            WireError: 400 by spec 2.1, 2.6 and 5.3; or whatever the line is refused for.
        """
        line = reading.line
        _require_agreement(reading, block)
        websocket_key = _websocket_key(line, block)
        self.reading = reading
        self.block = block
        self.method = line.method
        self.minor = line.minor
        self.length = NO_LENGTH if block.chunked else max(0, block.length)
        self.persists = line.minor == 1 and not block.close
        self.keep = self.persists and websocket_key is None
        self.awaits_continue = block.expects_continue and line.minor == 1
        self.at_least = _read_revision(block.fields[MIN_REVISION][0]) if MIN_REVISION in block.fields else 0
        self.is_public = reading.match is not None and reading.match.route.public
        self.is_retriable = not self.length and line.method in IDEMPOTENT
        self.is_plain = self.keep and not self.length and line.method != b"HEAD"
        if websocket_key is None:
            self.forward = line.forwarded + block.forward
            self.websocket_accept = None
        else:
            self.forward = line.forwarded + block.forward + UPGRADE_LINES
            self.websocket_accept = _accept_of(websocket_key)


@hot_value
class Unreadable:
    """A head that cannot be read in one way, and what of it can.

    Attributes:
        error: Why.
        reading: Its request line, if that is not the reason.
        block: Its header lines likewise.
    """

    error: WireError
    reading: LineReading | None = None
    block: HeaderBlock | None = None


class Request:
    """A head, and beside it what it presents.

    Attributes:
        head: As read.
        presented: The credential, unverified; nothing if the head cannot be read.
    """

    __slots__ = ("head", "presented")

    def __init__(self, head: Head | Unreadable, presented: Presented = NOTHING) -> None:
        self.head = head
        self.presented = presented


class Readings:
    """Reads request heads; equal bytes only once.

    Args:
        rules: For header lines.
        routes: Where request lines lead to.
        max_target: Bytes of a request target.
    """

    def __init__(self, rules: HeaderRules, routes: RouteTable, max_target: int) -> None:
        self._reader = HeaderReader(rules)
        self._routes = routes
        self._max_target = max_target
        self._heads: Memo[bytes, Request] = Memo(REMEMBERED_HEADS)
        self._lines: MakingMemo[bytes, LineReading] = MakingMemo(REMEMBERED_LINES, self._read_line)
        self._blocks: MakingMemo[bytes, tuple[HeaderBlock, Presented]] = MakingMemo(
            REMEMBERED_BLOCKS, self._reader.read
        )
        # By the identity of the block, which the head keeps from becoming another's.
        self._pairs: Memo[tuple[LineReading, int], Head] = Memo(REMEMBERED_PAIRS)

    def known(self, raw: bytes) -> Request | None:
        """Return the head that *raw* is, whole and with nothing behind it, if that is remembered."""
        found = self._heads.young.get(raw)
        return self._heads.find(raw) if found is None else found

    def read(self, raw: bytes) -> Request:
        """Read a whole head, its empty line included."""
        reading: LineReading | None = None
        block: HeaderBlock | None = None
        line_end = raw.find(b"\r\n")
        try:
            reading = self._line(raw[:line_end])
            block, presented = self._block(raw[line_end + 2 : -2])
            pair = reading, id(block)
            head = self._pairs.find(pair)
            if head is None:
                head = Head(reading, block)
                if len(raw) <= REMEMBERED_BYTES:
                    self._pairs.remember(pair, head)
        except WireError as error:
            if has_stray_line_end(raw, 0, len(raw)):
                # Where it comes in pieces this is seen before all else, and before anything of it is read.
                return Request(Unreadable(WireError(400, Reason.MALFORMED_REQUEST, STRAY_LINE_END)))
            return Request(Unreadable(error, reading, block))
        found = Request(head, presented)
        if len(raw) <= REMEMBERED_BYTES:
            self._heads.remember(raw, found)
        return found

    def _line(self, raw: bytes) -> LineReading:
        return self._lines.get(raw) if len(raw) <= REMEMBERED_BYTES else self._read_line(raw)

    def _block(self, raw: bytes) -> tuple[HeaderBlock, Presented]:
        return self._blocks.get(raw) if len(raw) <= REMEMBERED_BYTES else self._reader.read(raw)

    def _read_line(self, raw: bytes) -> LineReading:
        line = read_request_line(raw, self._max_target)
        if line.path is None:
            return LineReading(line, None, None)
        try:
            match = self._routes.match(line.method.decode("ascii"), line.path.segments, line.query or b"")
            require_encoding_allowed(line.path, match.route.allow_encoded if match is not None else frozenset())
        except WireError as error:
            # Kept, not raised: the line itself was read, so the record of the refusal can name method and path.
            return LineReading(line, None, error)
        return LineReading(line, match, None)


def _require_agreement(reading: LineReading, block: HeaderBlock) -> None:
    line, refusal = reading.line, reading.refusal
    if refusal is not None:
        # Anew each time: an exception that is raised again keeps the frames of every time before.
        raise WireError(refusal.status, refusal.reason, refusal.detail)
    if line.host is not None and line.host.lower() != block.host.lower():
        raise WireError(400, Reason.MALFORMED_REQUEST, "the host of the request target is not that of Host")
    if block.chunked and line.minor == 0:
        raise WireError(400, Reason.AMBIGUOUS_FRAMING, "Transfer-Encoding is not part of HTTP/1.0")


def _websocket_key(line: RequestLine, block: HeaderBlock) -> bytes | None:
    """Return the key if the client asks for a WebSocket and nothing else; other upgrades are dropped (spec 2.3)."""
    if block.upgrade is None or block.upgrade.lower() != b"websocket":
        return None
    plain = block.length in {0, NO_LENGTH} and not block.chunked and line.minor == 1
    if line.method != b"GET" or not plain or block.websocket_key is None:
        detail = "a WebSocket begins with GET, HTTP/1.1, no body, version 13 and a 16-byte key"
        raise WireError(400, Reason.MALFORMED_REQUEST, detail)
    return block.websocket_key


def _read_revision(field: bytes) -> int:
    """Read ``X-Sidegate-Min-Revision`` (spec 5.3).

    Raises:
        WireError: 400: no number, and so no promise that could be kept.
    """
    if _REVISION.fullmatch(field) is None:
        raise WireError(400, Reason.MALFORMED_REQUEST, "X-Sidegate-Min-Revision is no revision")
    return int(field)


def _accept_of(key: bytes) -> bytes:
    """Return what a server must answer to a WebSocket *key* (RFC 6455 section 4.2.2, item 5.4)."""
    return b64encode(sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())
