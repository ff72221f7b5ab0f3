"""An allowed request on its way: how it ends, what is counted, and its completion record (spec 5.5)."""

from typing import TYPE_CHECKING

from sidegate.audit.ports import NOBODY
from sidegate.core.model.decision import Reason
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.record import CompletionRecord, Ending, encode_completion
from sidegate.core.wire.problem import status_of
from sidegate.core.wire.response import ResponseHead
from sidegate.proxy.relay import Forward, Relay
from sidegate.proxy.tunnel import Tunnel
from sidegate.proxy.upstream import UpstreamConnection
from sidegate.telemetry.catalogue import RequestKind, UpstreamFailure
from sidegate.telemetry.clock import monotonic_ns

if TYPE_CHECKING:
    from sidegate.core.engine.permit import Permit
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

    # How a relay ends; see :class:`sidegate.proxy.relay.Owner`.

    def relayed(self, head: ResponseHead, *, keep: bool) -> None:
        """The response went to the client, whole."""
        gateway, relay = self._gateway, self._relay
        gateway.metrics.overhead_seconds.observe_ns(relay.sent_at - self._began + relay.overhead_ns)
        gateway.metrics.upstream_seconds.observe_ns(relay.responded_at - relay.sent_at)
        gateway.count_end(RequestKind.PUBLIC if self._org is None else RequestKind.FORWARDED, head.status)
        if head.event_stream or gateway.records_completions:
            self._complete(Ending.COMPLETED, None)
        self._client.finish(keep=keep)

    def failed(self, reason: Reason, detail: str) -> None:
        """Nothing of a response went to the client: answer in the upstream's place."""
        gateway = self._gateway
        refusal = gateway.refusals.write(
            reason,
            self._permit.decision_id.encode("ascii"),
            status=status_of(reason),
            detail=detail,
            close=True,
            head_only=self._forward.method == b"HEAD",
        )
        self._count_failure(reason)
        gateway.count_end(RequestKind.FAILED, refusal.status)
        self._complete(Ending.UPSTREAM_FAILED if reason in _FAILURE else Ending.LIMIT_REACHED, reason)
        self._client.transport.write(refusal.wire)
        self._client.finish(keep=False)

    def upgraded(self, head: ResponseHead, upstream: UpstreamConnection, first: int) -> None:
        """Both connections are a tunnel now, with *first* bytes carried down."""
        self._gateway.count_end(RequestKind.UPGRADED, head.status)
        self._tunnel = Tunnel(self._client, upstream, first, self._tunnel_ended)

    def cut(self, ending: Ending, reason: Reason | None) -> None:
        """The response cannot be completed."""
        head = self._relay.head
        if ending is not Ending.CLIENT_CLOSED and ending is not Ending.LIMIT_REACHED:
            self._gateway.metrics.count_upstream_failure(UpstreamFailure.TRUNCATED)
        self._gateway.count_end(RequestKind.ABORTED, None if head is None else head.status)
        self._complete(ending, reason)

    def _tunnel_ended(self, ending: Ending) -> None:
        self._complete(ending, None)

    def _count_failure(self, reason: Reason) -> None:
        failure = _FAILURE.get(reason)
        if failure is not None:
            self._gateway.metrics.count_upstream_failure(failure)

    def _complete(self, ending: Ending, reason: Reason | None) -> None:
        gateway, relay, tunnel = self._gateway, self._relay, self._tunnel
        now: UnixMillis = gateway.clock.now()
        record = CompletionRecord(
            id=gateway.trail.next_id(now).decode("ascii"),
            time=now,
            decision_id=self._permit.decision_id,
            org=self._org,
            status=None if relay.head is None else relay.head.status,
            bytes_in=relay.bytes_in + (0 if tunnel is None else tunnel.bytes_in),
            bytes_out=relay.bytes_out + (0 if tunnel is None else tunnel.bytes_out),
            duration_ms=(monotonic_ns() - self._began) // _NANOS_PER_MILLI,
            ended=ending,
            reason=reason,
        )
        gateway.trail.submit(encode_completion(record), NOBODY)
