"""Clients without TLS that may speak HTTP/2 unasked: their first bytes say which HTTP it is (RFC 9113 section 3.3)."""

import asyncio
from typing import TYPE_CHECKING, Final, cast

from sidegate.core.wire.http2_frames import PREFACE
from sidegate.proxy.arrival import Arrival, ProtocolFactory
from sidegate.proxy.pieces import PieceReader

if TYPE_CHECKING:
    from sidegate.proxy.gateway import Gateway

BEGINNING: Final = PREFACE[:3]
"""No method of HTTP/1 begins so (RFC 9113 section 11.1); what comes behind is for who speaks HTTP/2 to judge."""

_NEVER: Final = float("inf")


class PrefaceAwaiter(PieceReader):
    """Waits for the first bytes, and gives the connection to who speaks what they begin.

    Args:
        gateway: Where connections have their places.
        http1: Speaks HTTP/1, and says so to whoever speaks something else.
        http2: Speaks HTTP/2.
        arrival: How the connection came.

    Attributes:
        transport: To the client.
        deadline: Of the first byte, then of the third.
    """

    __slots__ = ("_arrival", "_gateway", "_held", "_http1", "_http2", "deadline", "transport")

    transport: asyncio.Transport

    def __init__(self, gateway: "Gateway", http1: ProtocolFactory, http2: ProtocolFactory, arrival: Arrival) -> None:
        self._gateway = gateway
        self._http1 = http1
        self._http2 = http2
        self._arrival = arrival
        self._held = b""
        self.deadline = _NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = transport = cast("asyncio.Transport", transport)
        if self._gateway.admit(self):
            self.deadline = self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s
        else:
            transport.write(self._gateway.overloaded_answer)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.transport.is_closing():
            return
        if not self._held:
            self.deadline = self._gateway.deadlines.now + self._gateway.limits.head_timeout_s
        self._held += data
        if self._held.startswith(BEGINNING):
            self._give_to(self._http2)
        elif not BEGINNING.startswith(self._held):
            self._give_to(self._http1)

    def eof_received(self) -> bool:
        """See asyncio.Protocol."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        self._gateway.dismiss(self)

    def deadline_passed(self, now: float) -> None:
        """Nothing was said, or not enough of it."""
        del now
        self.transport.abort()

    def going_away(self) -> None:
        """See :class:`sidegate.proxy.arrival.Guest`. Who says nothing is not waited for."""
        self.deadline = min(self.deadline, self._gateway.deadlines.now + self._gateway.limits.idle_timeout_s)

    def shut_down(self) -> None:
        """See :class:`sidegate.proxy.arrival.Guest`."""
        self.transport.abort()

    def _give_to(self, speaks: ProtocolFactory) -> None:
        speaker = speaks(self._arrival)
        self.transport.set_protocol(speaker)
        self._gateway.hand_over(self, lambda: speaker.connection_made(self.transport))
        speaker.data_received(self._held)
