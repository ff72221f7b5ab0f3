"""An allowed request on its way: how it ends, what is counted, and its completion record (spec 5.5)."""

from typing import TYPE_CHECKING, Final

from sidegate.audit.ports import NOBODY
from sidegate.core.model.decision import Reason
from sidegate.core.model.principal import Query
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.record import CompletionRecord, Ending, encode_completion
from sidegate.core.wire.frames import POLICY_VIOLATION
from sidegate.core.wire.problem import status_of
from sidegate.core.wire.response import ResponseHead
from sidegate.proxy.reading import Head
from sidegate.proxy.relay import Relay
from sidegate.proxy.tunnel import Tunnel
from sidegate.proxy.upstream import Holder, UpstreamConnection
from sidegate.telemetry.catalogue import RequestKind, UpstreamFailure
from sidegate.telemetry.clock import monotonic_ns
from sidegate.telemetry.metrics import IN_FLIGHT, REQUEST_CELL

if TYPE_CHECKING:
    from sidegate.core.engine.permit import Permit
    from sidegate.proxy.client import ClientConnection
    from sidegate.proxy.gateway import Gateway

_NANOS_PER_MILLI = 1_000_000

_FORWARDED: Final = REQUEST_CELL[RequestKind.FORWARDED]
_PUBLIC: Final = REQUEST_CELL[RequestKind.PUBLIC]

_FAILURE = {
    Reason.UPSTREAM_UNREACHABLE: UpstreamFailure.UNREACHABLE,
    Reason.UPSTREAM_TIMEOUT: UpstreamFailure.TIMEOUT,
    Reason.UPSTREAM_INVALID: UpstreamFailure.INVALID,
}
# A body that the client spoilt ends alike, whether the head of an answer is out by then or not.
_ENDING = {Reason.AMBIGUOUS_FRAMING: Ending.CLIENT_CLOSED, **dict.fromkeys(_FAILURE, Ending.UPSTREAM_FAILED)}


class Passage(Relay):
    """One allowed request, from its permit to its end.

    Args:
        gateway: The data plane.
        client: Whose request it is.
        permit: Evidence that it may be forwarded, once.
        request: Its head.
        wire: Request line and headers for the upstream, with the empty line.
        org: Of its target; None on a public route.
        began: Monotonic nanoseconds at which its head was whole.
    """

    __slots__ = ("_began", "_org", "_tunnel")

    def __init__(  # noqa: PLR0917  positional, as it is made for each request
        self,
        gateway: "Gateway",
        client: "ClientConnection",
        permit: "Permit",
        request: Head,
        wire: bytes,
        org: str | None,
        began: int,
    ) -> None:
        Relay.__init__(self, gateway, client, permit, request, wire)  # `super()` costs more than the call
        self._org = org
        self._began = began
        self._tunnel: Tunnel | None = None

    # While it lasts; see :class:`sidegate.proxy.streams.Lasting`.

    @property
    def queries(self) -> tuple[Query, ...]:
        """What was allowed; empty on a public route."""
        return self.permit.queries

    @property
    def bytes_in(self) -> int:
        """Bytes from the client so far: of the body, then through the tunnel."""
        return self.body_in + (0 if self._tunnel is None else self._tunnel.bytes_in)

    @property
    def bytes_out(self) -> int:
        """Bytes to the client so far."""
        return self.body_out + (0 if self._tunnel is None else self._tunnel.bytes_out)

    @property
    def holder(self) -> Holder | None:
        """See :class:`sidegate.proxy.sending.Sending`: told apart by what outlives a token, so not by the token."""
        if not self.permit.queries:
            return None
        credential = self.permit.queries[0].credential
        links = (link.id for link in credential.chain)
        return credential.kind.value, credential.id, credential.account, credential.org, *links

    def lasting(self) -> None:
        """See :class:`sidegate.proxy.sending.Sending`."""
        self._gateway.streams.subscribe(self)

    def end_access(self, reason: Reason) -> None:
        """End what its principal has no access to any more (spec 2.7)."""
        if self._tunnel is None:
            self.end(Ending.ACCESS_ENDED, reason)
        else:
            text = self._gateway.refusals.name_of(reason)
            self._tunnel.end(Ending.ACCESS_ENDED, reason, POLICY_VIOLATION, text)

    # How it ends; see :class:`sidegate.proxy.sending.Sending`.

    def relayed(self, head: ResponseHead, *, keep: bool) -> None:
        """The response went to the client, whole."""
        gateway = self._gateway
        if self.is_lasting:
            gateway.streams.forget(self)
        metrics, cells = gateway.metrics, gateway.cells
        metrics.overhead_seconds.observe_ns(self.sent_at - self._began + self.overhead_ns)
        metrics.upstream_seconds.observe_ns(self.responded_at - self.sent_at)
        cells[IN_FLIGHT] -= 1
        cells[(_PUBLIC if self._org is None else _FORWARDED) + head.status] += 1
        if head.event_stream or gateway.records_completions:
            self._complete(Ending.COMPLETED, None)
        self._client.finish(keep=keep)

    def failed(self, reason: Reason, detail: str) -> None:
        """Nothing of a response went to the client: answer in the upstream's place."""
        gateway = self._gateway
        gateway.streams.forget(self)
        answer = gateway.refusals.find(
            reason, status=status_of(reason), detail=detail, close=True, head_only=self.request.method == b"HEAD"
        )
        self._count_failure(reason)
        gateway.count_end(RequestKind.FAILED, answer.status)
        self._complete(_ENDING.get(reason, Ending.LIMIT_REACHED), reason)
        self._client.transport.write(gateway.refusals.write(answer, self.permit.decision_id.encode("ascii")))
        self._client.finish(keep=False)

    def upgraded(self, head: ResponseHead, upstream: UpstreamConnection, first: bytes) -> None:
        """Both connections are a tunnel now, *first* is carried down already."""
        self._gateway.count_end(RequestKind.UPGRADED, head.status)
        self._tunnel = Tunnel(self._gateway, self._client, upstream, first, self._tunnel_ended)
        if self._gateway.draining:
            self._tunnel.going_away()
        else:
            self.lasting()

    def was_cut(self, ending: Ending, reason: Reason | None) -> None:
        """The response cannot be completed."""
        self._gateway.streams.forget(self)
        head = self.head
        if ending is Ending.UPSTREAM_CLOSED or ending is Ending.UPSTREAM_FAILED:
            self._gateway.metrics.count_upstream_failure(UpstreamFailure.TRUNCATED)
        self._gateway.count_end(RequestKind.ABORTED, None if head is None else head.status)
        self._complete(ending, reason)

    def _tunnel_ended(self, ending: Ending, reason: Reason | None) -> None:
        self._gateway.streams.forget(self)
        self._complete(ending, reason)

    def _count_failure(self, reason: Reason) -> None:
        failure = _FAILURE.get(reason)
        if failure is not None:
            self._gateway.metrics.count_upstream_failure(failure)

    def _complete(self, ending: Ending, reason: Reason | None) -> None:
        gateway = self._gateway
        now: UnixMillis = gateway.clock.now()
        record = CompletionRecord(
            id=gateway.trail.next_id(now).decode("ascii"),
            time=now,
            decision_id=self.permit.decision_id,
            org=self._org,
            status=None if self.head is None else self.head.status,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            duration_ms=(monotonic_ns() - self._began) // _NANOS_PER_MILLI,
            ended=ending,
            reason=reason,
        )
        gateway.trail.submit(encode_completion(record), NOBODY)
