"""The way up of a forwarded request: its connection, its body, how long either may take (spec 2.5, 2.8)."""

from typing import TYPE_CHECKING, Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.trail.record import Ending
from sidegate.core.wire.response import ResponseHead
from sidegate.proxy.body import BodyReader, frame_chunks
from sidegate.proxy.pairing import CONTINUE
from sidegate.proxy.reading import Head
from sidegate.proxy.upstream import Holder, UpstreamConnection
from sidegate.telemetry.clock import monotonic_ns

if TYPE_CHECKING:
    from sidegate.core.engine.permit import Permit
    from sidegate.proxy.client import ClientConnection
    from sidegate.proxy.gateway import Gateway

LASTING_S: Final = 1.0
"""A body that is longer in transfer stays subscribed to its principal (spec 2.7)."""

RATE_WINDOW_S: Final = 10.0
"""Over which a body's rate is judged (spec 2.8)."""


class Sending:
    """Carries one request up. Its response comes down by :class:`sidegate.proxy.relay.Relay`, which this is a part of;
    what becomes of both is for :class:`sidegate.proxy.passage.Passage`.

    Exactly one of :meth:`relayed`, :meth:`failed`, :meth:`upgraded` and :meth:`was_cut` is called, once;
    :meth:`lasting` maybe before.

    Args:
        gateway: The data plane.
        client: Whose request it is.
        permit: Evidence that it may be forwarded, once.
        request: Its head.
        wire: Request line and headers for the upstream, with the empty line.

    Attributes:
        permit: As given.
        request: As given.
        body: Finds the end of the request's body; None if there is none.
        payload: Body bytes that were read before the decision.
        notes: Header lines that we add to the response, each with CRLF.
        body_in: Body bytes from the client so far.
        body_out: Body bytes to the client so far.
        sent_at: When the head went upstream, in monotonic nanoseconds.
        responded_at: When the head of the response came.
        overhead_ns: How long that head waited here before it went to the client.
        head: Of the final response, once it is there.
        is_lasting: It was said that it lasts.
    """

    __slots__ = (
        "_choked",
        "_client",
        "_gateway",
        "_held",
        "_interim",
        "_is_early",
        "_is_told",
        "_keep",
        "_over",
        "_reader",
        "_retried",
        "_throttled",
        "_upstream",
        "_window",
        "_wire",
        "body",
        "body_in",
        "body_out",
        "head",
        "is_lasting",
        "notes",
        "overhead_ns",
        "payload",
        "permit",
        "request",
        "responded_at",
        "sent_at",
    )

    def __init__(
        self, gateway: "Gateway", client: "ClientConnection", permit: "Permit", request: Head, wire: bytes
    ) -> None:
        self._gateway = gateway
        self._client = client
        self.permit = permit
        self.request = request
        self._wire = wire
        self.body: BodyReader | None = None
        self.payload = b""
        self.notes = b""
        self._upstream: UpstreamConnection | None = None
        self._held = b""
        self._interim = 0
        self._reader: BodyReader | None = None
        self._keep = False
        self._retried = False
        self._over = False
        self._is_told = False
        self._is_early = False
        self._throttled = False
        self._choked = False
        self._window = 0
        self.head: ResponseHead | None = None
        self.is_lasting = False
        self.body_in = 0
        self.body_out = 0
        self.sent_at = 0
        self.responded_at = 0
        self.overhead_ns = 0

    def start(self) -> None:
        """Send the request on an idle connection, or open one. Once.

        Raises:
            InvariantError: The permit was spent before.
        """
        self.permit.spend()
        gateway, client = self._gateway, self._client
        now = gateway.deadlines.now
        client.serving = self
        client.deadline = now + gateway.limits.response_timeout_s
        holder = None if self.body is None else self.holder
        upstream = gateway.pool.take(now, is_retriable=self.request.is_retriable, holder=holder)
        if upstream is None:
            gateway.pool.connect(self)
        else:
            self.attach(upstream)

    @property
    def holder(self) -> Holder | None:
        """Whose request it is; None if anybody may make it."""
        raise NotImplementedError

    # How it ends.

    def lasting(self) -> None:
        """The request lasts: see to it that it ends with the access it was allowed by."""
        raise NotImplementedError

    def relayed(self, head: ResponseHead, *, keep: bool) -> None:
        """The response went to the client, whole."""
        raise NotImplementedError

    def failed(self, reason: Reason, detail: str) -> None:
        """Nothing of a response went to the client; it must get an answer from us."""
        raise NotImplementedError

    def upgraded(self, head: ResponseHead, upstream: UpstreamConnection, first: bytes) -> None:
        """The 101 went to the client with *first* bytes behind it; both connections are now a tunnel."""
        raise NotImplementedError

    def was_cut(self, ending: Ending, reason: Reason | None) -> None:
        """The client's connection is gone, or was ended because the response cannot be completed."""
        raise NotImplementedError

    # From the pool.

    def attach(self, upstream: UpstreamConnection) -> None:
        """See :class:`sidegate.proxy.upstream.Borrower`."""
        if self._over:
            self._gateway.pool.release(upstream, self._gateway.deadlines.now)
            return
        self._upstream = upstream
        upstream.listener = self
        self.sent_at = monotonic_ns()
        body = self.body
        if body is None:
            upstream.transport.write(self._wire)
        else:
            self._send_body(upstream, body)

    def _send_body(self, upstream: UpstreamConnection, body: BodyReader) -> None:
        """Send the head and what there is of the body, and the rest as it comes."""
        payload = self.payload
        self.body_in += len(payload)
        if self.request.block.chunked and (payload or body.done):
            payload = frame_chunks(payload, done=body.done)
        upstream.transport.write(self._wire + payload)
        if body.done:
            return
        self._client.deadline = self._gateway.deadlines.now + LASTING_S
        self._client.body = self
        held = self._client.take_held()
        if held:
            self.client_data(held)
        elif self.request.awaits_continue:
            self._client.transport.write(CONTINUE)
        self._client.resume()

    def connect_failed(self, error: OSError | TimeoutError) -> None:
        """See :class:`sidegate.proxy.upstream.Borrower`."""
        if self._over:
            return
        timeout = isinstance(error, TimeoutError)
        reason = Reason.UPSTREAM_TIMEOUT if timeout else Reason.UPSTREAM_UNREACHABLE
        self._fail(reason, "no connection to the upstream could be opened" + (" in time" if timeout else ""))

    # From the client.

    def client_data(self, data: bytes) -> None:
        """Pass on bytes of the request's body."""
        body = self.body
        assert body is not None  # noqa: S101 - set for as long as the client's bytes come here
        try:
            payload, rest = body.feed(data)
        except WireError as error:
            self._drop_upstream()
            if self.head is None:
                self._tell_once()
                self.failed(error.reason, error.detail)
            else:
                self._cut(Ending.CLIENT_CLOSED, error.reason)
            return
        self.body_in += len(payload)
        if body.done:
            self._client.body = None
            if self.head is None:
                self._client.deadline = self._gateway.deadlines.now + self._gateway.limits.response_timeout_s
            if rest:
                self._client.hold(rest)
        if self._upstream is not None:
            framed = frame_chunks(payload, done=body.done) if self.request.block.chunked else payload
            if framed:
                self._upstream.transport.write(framed)

    def client_full(self) -> None:
        """The client does not drain: read no more of the response."""
        if self._upstream is not None:
            self._throttled = True
            self._upstream.transport.pause_reading()

    def client_drained(self) -> None:
        """Read on."""
        if self._throttled and self._upstream is not None:
            self._throttled = False
            self._upstream.transport.resume_reading()

    def client_gone(self) -> None:
        """Nobody waits for the response any more."""
        self._drop_upstream()
        self._tell_once()
        self.was_cut(Ending.CLIENT_CLOSED, None)

    def deadline_passed(self, now: float) -> None:
        """Give up on whoever does not move, or look again after another window."""
        body = self.body
        sending = body is not None and not body.done and self._upstream is not None
        if self.head is None and not sending:
            self._fail(Reason.UPSTREAM_TIMEOUT, "the upstream did not begin to answer in time")
            return
        if not self.is_lasting:
            self._last()
            self._client.deadline = now + RATE_WINDOW_S - LASTING_S
            return
        moved = self.body_in + self.body_out - self._window
        if moved >= self._gateway.limits.min_body_rate * RATE_WINDOW_S or (
            self.head is not None and self.head.event_stream
        ):
            self._window += moved
            self._client.deadline = now + RATE_WINDOW_S
        elif self.head is None and self._choked:
            self._fail(Reason.UPSTREAM_TIMEOUT, "the upstream took the request body too slowly")
        elif self.head is None:
            self._fail(Reason.REQUEST_TIMEOUT, "the request body came too slowly")
        else:
            self._drop_upstream()
            self._cut(Ending.LIMIT_REACHED, Reason.REQUEST_TIMEOUT)

    # From within.

    def end(self, ending: Ending, reason: Reason | None) -> None:
        """End both connections, so that neither side takes what it has for a whole message."""
        self._drop_upstream()
        self._cut(ending, reason)

    def going_away(self) -> None:
        """See :class:`sidegate.proxy.client.Serving`. It has an end of its own, and some time to come to it."""

    def shut_down(self) -> None:
        """See :class:`sidegate.proxy.client.Serving`."""
        self.end(Ending.SHUTDOWN, None)

    # From the upstream.

    def upstream_full(self) -> None:
        """The upstream does not drain: read no more of the request."""
        self._choked = True
        self._client.pause()

    def upstream_drained(self) -> None:
        """Read on, while there is a body to read."""
        self._choked = False
        if self._client.body is not None:
            self._client.resume()

    def _fail(self, reason: Reason, detail: str) -> None:
        self._drop_upstream()
        self._tell_once()
        self.failed(reason, detail)

    def _cut(self, ending: Ending, reason: Reason | None) -> None:
        """End the client's connection so that what it has is not taken for a whole response."""
        self._client.serving = None
        self._client.cut()
        self._tell_once()
        self.was_cut(ending, reason)

    def _last(self) -> None:
        if not self.is_lasting and not self._is_told:
            self.is_lasting = True
            self.lasting()

    def _tell_once(self) -> None:
        assert not self._is_told  # noqa: S101 - a relay ends once
        self._is_told = True

    def _drop_upstream(self) -> None:
        self._over = True
        self._gateway.pool.give_up(self)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.discard()

    # The way down.

    def upstream_data(self, data: bytes) -> None:
        """See :class:`sidegate.proxy.upstream.Listener`."""
        raise NotImplementedError

    def upstream_lost(self, error: Exception | None) -> None:
        """See :class:`sidegate.proxy.upstream.Listener`."""
        raise NotImplementedError
