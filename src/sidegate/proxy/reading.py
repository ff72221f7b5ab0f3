"""The parts of a request head, read once per spelling and then remembered (spec 7)."""

from sidegate.core.model.errors import WireError
from sidegate.core.routing.table import Match, RouteTable
from sidegate.core.wire.block import HeaderBlock, HeaderReader, HeaderRules
from sidegate.core.wire.head import RequestLine, read_request_line
from sidegate.core.wire.memo import MakingMemo
from sidegate.core.wire.path import require_encoding_allowed

REMEMBERED_LINES = 2048
REMEMBERED_BLOCKS = 1024
REMEMBERED_BYTES = 4096
"""Longer parts are read anew each time, so that both memories stay below some 20 MiB whatever clients send."""


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


class Readings:
    """Reads request lines and header blocks; equal bytes only once."""

    def __init__(self, rules: HeaderRules, routes: RouteTable, max_target: int) -> None:
        self._reader = HeaderReader(rules)
        self._routes = routes
        self._max_target = max_target
        self._lines: MakingMemo[bytes, LineReading] = MakingMemo(REMEMBERED_LINES, self._read_line)
        self._blocks: MakingMemo[bytes, HeaderBlock] = MakingMemo(REMEMBERED_BLOCKS, self._reader.read)

    def line(self, raw: bytes) -> LineReading:
        """Read a request line without its CRLF.

        Raises:
            WireError: See :func:`read_request_line`.
        """
        return self._lines.get(raw) if len(raw) <= REMEMBERED_BYTES else self._read_line(raw)

    def block(self, raw: bytes) -> HeaderBlock:
        """Read header lines, each with its CRLF.

        Raises:
            WireError: See :func:`HeaderReader.read`.
        """
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
