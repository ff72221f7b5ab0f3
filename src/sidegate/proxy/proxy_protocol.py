"""Connections that a proxy in front opens for its clients, and says for whom (PROXY protocol, spec 6.1)."""

import asyncio
from typing import TYPE_CHECKING, Final, cast

from sidegate.core.model.errors import WireError
from sidegate.core.wire.proxy_protocol import MAX_HEADER_BYTES, ProxyHeader, read_proxy_header
from sidegate.proxy.arrival import DIRECT, Arrival, ProtocolFactory
from sidegate.proxy.pieces import PieceReader
from sidegate.telemetry.catalogue import ProxyHeaderFailure
from sidegate.telemetry.log import get_log
from sidegate.telemetry.metrics import PROXY_HEADER_FAILURE_CELL

if TYPE_CHECKING:
    from sidegate.proxy.gateway import Gateway

_log: Final = get_log("proxy")

_NEVER: Final = float("inf")
COMPLAIN_EVERY_S: Final = 60.0
"""Between two lines of the log about connections that were refused; the metric counts them all."""

_HINTS: Final = {
    ProxyHeaderFailure.UNTRUSTED: "connect through a proxy that is named under `trusted_proxies`",
    ProxyHeaderFailure.MALFORMED: "let the proxy in front send the PROXY protocol (HAProxy: `send-proxy-v2`), "
    "or set `listen.proxy_protocol: off`",
    ProxyHeaderFailure.TIMEOUT: "let the proxy in front send its header at once",
}


class Complaints:
    """Says in the log why connections are refused, but not of each: anybody may open thousands."""

    def __init__(self) -> None:
        self._silent_until = -_NEVER

    def tell(self, cause: ProxyHeaderFailure, peer: str, detail: str, now: float) -> None:
        """Complain, unless somebody did a moment ago."""
        if now >= self._silent_until and cause in _HINTS:
            self._silent_until = now + COMPLAIN_EVERY_S
            _log.warning("proxy_header_rejected", cause=str(cause), peer=peer, detail=detail, hint=_HINTS[cause])


class HeaderAwaiter(PieceReader):
    """Reads the header that a connection of a trusted peer begins with, then gives it to who comes next.

    Args:
        gateway: Where connections have their places, and who is trusted.
        then: Who speaks on the connection after the header.
        complaints: Of this listener.

    Attributes:
        transport: Of the socket.
        deadline: Of the header.
    """

    __slots__ = ("_complaints", "_gateway", "_held", "_peer", "_then", "deadline", "transport")

    transport: asyncio.Transport

    def __init__(self, gateway: "Gateway", then: ProtocolFactory, complaints: Complaints) -> None:
        self._gateway = gateway
        self._then = then
        self._complaints = complaints
        self._peer = ""
        self._held = b""
        self.deadline = _NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        if not isinstance(name, tuple):
            # Gone before it was accepted: a load balancer that only looks whether somebody listens.
            self._count(ProxyHeaderFailure.GONE)
            self.transport.abort()
            return
        peer = self._gateway.peers.at(name[0])
        self._peer = peer.text
        if not peer.is_trusted:
            self._refuse(ProxyHeaderFailure.UNTRUSTED, "nobody but trusted proxies may connect")
        elif not self._gateway.admit(self):
            self.transport.abort()
        else:
            self.deadline = self._gateway.deadlines.now + self._gateway.limits.head_timeout_s

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return super().get_buffer(sizehint)[:MAX_HEADER_BYTES]

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.transport.is_closing():
            return
        self._held += data
        try:
            header = read_proxy_header(self._held)
        except WireError as error:
            self._refuse(ProxyHeaderFailure.MALFORMED, error.detail)
            return
        if header is not None:
            self._hand_over(header)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        if self.deadline != _NEVER:
            self._count(ProxyHeaderFailure.GONE)
        self._gateway.dismiss(self)

    def deadline_passed(self, now: float) -> None:
        """The header takes too long."""
        del now
        self._refuse(ProxyHeaderFailure.TIMEOUT, "its header did not arrive in time")

    def going_away(self) -> None:
        """See :class:`sidegate.proxy.arrival.Guest`. Who is about to ask is still answered."""

    def shut_down(self) -> None:
        """See :class:`sidegate.proxy.arrival.Guest`."""
        self.deadline = _NEVER
        self.transport.abort()

    def _hand_over(self, header: ProxyHeader) -> None:
        arrival = DIRECT if header.is_local else Arrival(header.is_secure, is_relayed=True, source=header.source)
        speaker, rest = self._then(arrival), self._held[header.length :]
        self.transport.set_protocol(speaker)
        self._gateway.hand_over(self, lambda: speaker.connection_made(self.transport))
        if rest:
            speaker.data_received(rest)

    def _refuse(self, cause: ProxyHeaderFailure, detail: str) -> None:
        self.deadline = _NEVER
        self._count(cause)
        self._complaints.tell(cause, self._peer, detail, self._gateway.deadlines.now)
        self.transport.abort()

    def _count(self, cause: ProxyHeaderFailure) -> None:
        self._gateway.cells[PROXY_HEADER_FAILURE_CELL[cause]] += 1
