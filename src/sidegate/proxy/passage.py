"""An allowed request on its way: how it ends, what is counted, and its completion record (spec 5.5)."""

from typing import TYPE_CHECKING

from sidegate.audit.ports import NOBODY
from sidegate.core.model.decision import Reason
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.record import CompletionRecord, Ending, encode_completion
from sidegate.core.wire.frames import POLICY_VIOLATION
from sidegate.core.wire.problem import status_of
from sidegate.core.wire.response import ResponseHead
from sidegate.proxy.relay import Forward, Relay
from sidegate.proxy.tunnel import Tunnel
from sidegate.proxy.upstream import Holder, UpstreamConnection
from sidegate.telemetry.catalogue import RequestKind, UpstreamFailure
from sidegate.telemetry.clock import monotonic_ns

if TYPE_CHECKING:
    from sidegate.core.engine.permit import Permit
    from sidegate.core.model.principal import Query
    from sidegate.proxy.client import ClientConnection
    from sidegate.proxy.gateway import Gateway

_NANOS_PER_MILLI = 1_000_000

_FAILURE = {
    Reason.UPSTREAM_UNREACHABLE: UpstreamFailure.UNREACHABLE,
    Reason.UPSTREAM_TIMEOUT: UpstreamFailure.TIMEOUT,
    Reason.UPSTREAM_INVALID: UpstreamFailure.INVALID,
}


class Passage:
    """What becomes of one allowed request.

    Args:
        gateway: The data plane.
        client: Whose request it is.
        org: Of its target; None on a public route.
        began: Monotonic nanoseconds at which its head was whole.
    """

    __slots__ = ("_began", "_client", "_forward", "_gateway", "_org", "_permit", "_relay", "_tunnel")

    _forward: Forward
    _permit: "Permit"
    _relay: Relay

    def __init__(self, gateway: "Gateway", client: "ClientConnection", org: str | None, began: int) -> None:
        self._gateway = gateway
        self._client = client
        self._org = org
        self._began = began
        self._tunnel: Tunnel | None = None

    def start(self, permit: "Permit", forward: Forward) -> None:
        """Send the request upstream, once.

        Raises:
            InvariantError: The permit was spent before.
        """
        permit.spend()
        self._permit = permit
        self._forward = forward
        self._relay = relay = Relay(self._gateway, self._client, forward, self)
        self._client.serving = relay
        relay.start()

    # While it lasts; see :class:`sidegate.proxy.streams.Lasting`.

    @property
    def queries(self) -> "tuple[Query, ...]":
        """What was allowed; empty on a public route."""
        return self._permit.queries

    @property
    def bytes_in(self) -> int:
        """Bytes from the client so far: of the body, then through the tunnel."""
        return self._relay.bytes_in + (0 if self._tunnel is None else self._tunnel.bytes_in)

    @property
    def bytes_out(self) -> int:
        """Bytes to the client so far."""
        return self._relay.bytes_out + (0 if self._tunnel is None else self._tunnel.bytes_out)

    @property
    def holder(self) -> Holder | None:
        """See :class:`sidegate.proxy.relay.Owner`: told apart by what outlives a token, so not by the token."""
        if not self._permit.queries:
            return None
        credential = self._permit.queries[0].credential
        links = (link.id for link in credential.chain)
        return credential.kind.value, credential.id, credential.account, credential.org, *links

    def lasting(self) -> None:
        """See :class:`sidegate.proxy.relay.Owner`."""
        self._gateway.streams.subscribe(self)

    def end_access(self, reason: Reason) -> None:
        """End what its principal has no access to any more (spec 2.7)."""
        if self._tunnel is None:
            self._relay.end(Ending.ACCESS_ENDED, reason)
        else:
            text = self._gateway.refusals.name_of(reason)
            self._tunnel.end(Ending.ACCESS_ENDED, reason, POLICY_VIOLATION, text)

    # How a relay ends; see :class:`sidegate.proxy.relay.Owner`.

    def relayed(self, head: ResponseHead, *, keep: bool) -> None:
        """The response went to the client, whole."""
        gateway, relay = self._gateway, self._relay
        if relay.is_lasting:
            gateway.streams.forget(self)
        gateway.metrics.overhead_seconds.observe_ns(relay.sent_at - self._began + relay.overhead_ns)
        gateway.metrics.upstream_seconds.observe_ns(relay.responded_at - relay.sent_at)
        gateway.count_end(RequestKind.PUBLIC if self._org is None else RequestKind.FORWARDED, head.status)
        if head.event_stream or gateway.records_completions:
            self._complete(Ending.COMPLETED, None)
        self._client.finish(keep=keep)

    def failed(self, reason: Reason, detail: str) -> None:
        """Nothing of a response went to the client: answer in the upstream's place."""
        gateway = self._gateway
        gateway.streams.forget(self)
        refusal = gateway.refusals.write(
            reason,
            self._permit.decision_id.encode("ascii"),
            status=status_of(reason),
            detail=detail,
            close=True,
            head_only=self._forward.request.method == b"HEAD",
        )
        self._count_failure(reason)
        gateway.count_end(RequestKind.FAILED, refusal.status)
        self._complete(Ending.UPSTREAM_FAILED if reason in _FAILURE else Ending.LIMIT_REACHED, reason)
        self._client.transport.write(refusal.wire)
        self._client.finish(keep=False)

    def upgraded(self, head: ResponseHead, upstream: UpstreamConnection, first: bytes) -> None:
        """Both connections are a tunnel now, *first* is carried down already."""
        self._gateway.count_end(RequestKind.UPGRADED, head.status)
        self._tunnel = Tunnel(self._gateway, self._client, upstream, first, self._tunnel_ended)
        if self._gateway.draining:
            self._tunnel.going_away()
        else:
            self.lasting()

    def cut(self, ending: Ending, reason: Reason | None) -> None:
        """The response cannot be completed."""
        self._gateway.streams.forget(self)
        head = self._relay.head
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
        gateway, relay = self._gateway, self._relay
        now: UnixMillis = gateway.clock.now()
        record = CompletionRecord(
            id=gateway.trail.next_id(now).decode("ascii"),
            time=now,
            decision_id=self._permit.decision_id,
            org=self._org,
            status=None if relay.head is None else relay.head.status,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            duration_ms=(monotonic_ns() - self._began) // _NANOS_PER_MILLI,
            ended=ending,
            reason=reason,
        )
        gateway.trail.submit(encode_completion(record), NOBODY)
