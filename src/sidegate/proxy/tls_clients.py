"""Clients that speak TLS: counted and timed from their first byte, given to who speaks HTTP after their handshake."""

import asyncio
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sidegate.proxy.arrival import DIRECT, Arrival, Protocols
from sidegate.proxy.tls import ContextSource, TlsLink, code_of
from sidegate.telemetry.catalogue import TlsFailure
from sidegate.telemetry.metrics import TLS_FAILURE_CELL

if TYPE_CHECKING:
    from sidegate.proxy.gateway import Gateway

_SECURE: Final = Arrival(is_secure=True)
_NEVER: Final = float("inf")

MAX_HANDSHAKES: Final = 1024
"""Per process: 46 MiB."""

AT_A_TIME: Final = 8
"""Handshakes that begin in one turn of the loop."""

_HANDSHAKE: Final = 0x16
_RECORD_HEAD: Final = 5
_MAX_RECORD: Final = 1 << 14

# Reasons of OpenSSL (err.h); what is not named here is PROTOCOL.
_CAUSES: Final = {
    "HTTP_REQUEST": TlsFailure.NOT_TLS,
    "HTTPS_PROXY_REQUEST": TlsFailure.NOT_TLS,
    "WRONG_VERSION_NUMBER": TlsFailure.NOT_TLS,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": TlsFailure.CLIENT_CERTIFICATE,
    "CERTIFICATE_VERIFY_FAILED": TlsFailure.CLIENT_CERTIFICATE,
    "UNSUPPORTED_PROTOCOL": TlsFailure.VERSION,
    "VERSION_TOO_LOW": TlsFailure.VERSION,
    "NO_SHARED_CIPHER": TlsFailure.VERSION,
    "NO_SHARED_GROUP": TlsFailure.VERSION,
    "NO_SUITABLE_KEY_SHARE": TlsFailure.VERSION,
    "SSLV3_ALERT_BAD_CERTIFICATE": TlsFailure.REJECTED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": TlsFailure.REJECTED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": TlsFailure.REJECTED,
    "TLSV1_ALERT_UNKNOWN_CA": TlsFailure.REJECTED,
}


def failure_of(error: Exception | None) -> TlsFailure:
    """Tell why a handshake came to nothing; *error* is None, or not of TLS, if the client just left."""
    if not isinstance(error, ssl.SSLError):
        return TlsFailure.GONE
    return _CAUSES.get(code_of(error), TlsFailure.PROTOCOL)


def _awaits_record(held: bytearray) -> bool:
    """Tell whether *held* is the beginning of a record of a handshake, and not all of it (RFC 8446 section 5.1)."""
    if held[0] != _HANDSHAKE:
        return False
    size = int.from_bytes(held[3:_RECORD_HEAD])
    return len(held) < _RECORD_HEAD or (size <= _MAX_RECORD and len(held) < _RECORD_HEAD + size)


class Handshakes:
    """Those that have begun and are not done, and those that wait for their turn.

    Each takes 46 KiB for as long as its client wants, up to its deadline. Where there are too many the oldest gives
    way: it takes a round trip or two, so that those who mean it are through before a thousand others have begun. Each
    takes some 0.3 ms to begin, so that only a few do in one turn of the loop: who is served already is served on.

    Args:
        limit: How many there may be.
    """

    def __init__(self, limit: int = MAX_HANDSHAKES) -> None:
        self._limit = limit
        self._running: dict[ClientLink, None] = {}
        self._waiting: dict[ClientLink, None] = {}
        self._left = AT_A_TIME

    def begin(self, link: "ClientLink") -> None:
        """Let *link* begin, in this turn or in one that comes."""
        if link in self._waiting:
            return
        if self._left:
            self._start(link)
        else:
            self._waiting[link] = None
            link.pause_reading()

    def end(self, link: "ClientLink") -> None:
        """Note that *link* is done, or gone."""
        self._running.pop(link, None)
        self._waiting.pop(link, None)

    def _start(self, link: "ClientLink") -> None:
        if self._left == AT_A_TIME:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._left -= 1
        if len(self._running) >= self._limit:
            oldest = next(iter(self._running))
            self.end(oldest)
            oldest.give_way()
        self._running[link] = None
        link.start()

    def _next_turn(self) -> None:
        self._left = AT_A_TIME
        while self._waiting and self._left:
            link = next(iter(self._waiting))
            del self._waiting[link]
            self._start(link)


class ClientLink(TlsLink):
    """TLS with one client.

    It has a place among the connections from the beginning, and as long for its handshake as for a request's head. Its
    first bytes are held until a record is whole: OpenSSL takes 48 KiB as soon as it has seen the first one.

    Args:
        gateway: Where connections have their places.
        contexts: Whose current one is used.
        protocols: Who may speak after the handshake.
        handshakes: Of this process.
        arrival: What the PROXY protocol said before it.

    Attributes:
        deadline: Of the handshake.
    """

    __slots__ = ("_arrival", "_contexts", "_gateway", "_given_up", "_handshakes", "_held", "_protocols", "deadline")

    def __init__(
        self,
        gateway: "Gateway",
        contexts: ContextSource,
        protocols: Protocols,
        handshakes: Handshakes,
        arrival: Arrival = DIRECT,
    ) -> None:
        super().__init__()
        self._contexts = contexts
        self._held: bytearray | None = bytearray()
        self._gateway = gateway
        self._protocols = protocols
        self._handshakes = handshakes
        self._arrival = _SECURE if arrival is DIRECT else replace(arrival, is_secure=True)
        self._given_up: TlsFailure | None = None
        self.deadline = _NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        if self._gateway.admit(self):
            self.deadline = self._gateway.deadlines.now + self._gateway.limits.head_timeout_s
        else:
            # There is no way to say so that costs less than a handshake.
            self.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        held = self._held
        if held is None:
            super().data_received(data)
        elif not self._ending:
            held += data
            if not _awaits_record(held):
                self._handshakes.begin(self)

    def start(self) -> None:
        """Begin the handshake with what came so far."""
        held, self._held = self._held, None
        if held is not None and not self._ending:
            self._begin(self._contexts.context, server_side=True)
            super().data_received(bytes(held))
            self.resume_reading()

    def deadline_passed(self, now: float) -> None:
        """The handshake takes too long."""
        del now
        self._given_up = TlsFailure.TIMEOUT
        self.abort()

    def give_way(self) -> None:
        """There are too many handshakes, and none is older."""
        self._given_up = TlsFailure.CROWDED
        self.abort()

    def going_away(self) -> None:
        """See :class:`sidegate.proxy.arrival.Guest`. Who is about to ask is still answered."""

    def shut_down(self) -> None:
        """See :class:`sidegate.proxy.arrival.Guest`."""
        self.abort()

    def _opened(self) -> None:
        self._handshakes.end(self)
        speaker = self._protocols.negotiated(self.tls.selected_alpn_protocol())(self._arrival)
        self._give_to(speaker)
        self._gateway.hand_over(self, lambda: speaker.connection_made(self))

    def _refused(self, error: Exception | None) -> None:
        self._handshakes.end(self)
        if self in self._gateway.connections:
            cause = self._given_up or failure_of(error)
            self._gateway.cells[TLS_FAILURE_CELL[cause]] += 1
        self._gateway.dismiss(self)
