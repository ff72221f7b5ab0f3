"""One attack on the wire as bytes, and what such bytes are made of.

In the bytes ``{P}`` is a path that vera may read and ana may write, ``{V}`` and ``{A}`` are Cookie lines of the two,
``{N}`` is a whole request that vera may make: if a byte too many or too few is read anywhere, it is what runs.
"""

from dataclasses import dataclass
from typing import Final

from tests.wire.kinds import Kind

PATH: Final = b"/v1/orgs/acme/projects/p1/branches/x/files/a.json"
NEXT: Final = b"GET " + PATH.replace(b"a.json", b"next.json") + b" HTTP/1.1\r\nHost: h\r\n{V}\r\n"


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: Short, unique.
        kind: Its class.
        data: What the client sends.
        verdicts: Status and reason of each record, in order; ``allow`` for what is forwarded. Nothing else happens.
        absent: Bytes that must not reach the upstream, in any case.
        present: Bytes that must.
    """

    name: str
    kind: Kind
    data: bytes
    verdicts: tuple[str, ...]
    absent: tuple[bytes, ...] = ()
    present: tuple[bytes, ...] = ()

    def bytes_for(self, vera: bytes, ana: bytes) -> bytes:
        """Return what is sent, with tokens put in."""
        data = self.data.replace(b"{N}", NEXT).replace(b"{P}", PATH)
        lines = (b"Cookie: __session=%b\r\n" % token for token in (vera, ana))
        data = data.replace(b"{V}", next(lines)).replace(b"{A}", next(lines))
        return data.replace(b"{vera}", vera).replace(b"{ana}", ana)


F: Final = "400 ambiguous_framing"
M: Final = "400 malformed_request"
P: Final = "400 ambiguous_path"
ALLOW: Final = "allow"

POST: Final = b"POST {P} HTTP/1.1\r\nHost: h\r\n{A}"
GET: Final = b"GET {P} HTTP/1.1\r\nHost: h\r\n{V}"
