"""One forwarded request: request body up, response down, both with back-pressure (spec 2.5)."""

from typing import TYPE_CHECKING, Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.trail.record import Ending
from sidegate.core.wire.fields import has_stray_line_end
from sidegate.core.wire.response import MAX_INTERIM, Framing, ResponseHead
from sidegate.proxy.body import BodyReader, frame_chunks
from sidegate.proxy.pairing import (
    CONTINUE,
    ends_with_connection,
    frame_response,
    is_bodiless,
    is_body_taken,
    is_last,
    reader_of,
    start_response,
)
from sidegate.proxy.reading import UPGRADE_LINES, Head
from sidegate.proxy.upstream import Holder, UpstreamConnection
from sidegate.telemetry.clock import monotonic_ns

if TYPE_CHECKING:
    from sidegate.core.engine.permit import Permit
    from sidegate.proxy.client import ClientConnection
    from sidegate.proxy.gateway import Gateway

_HEAD_END: Final = b"\r\n\r\n"

LASTING_S: Final = 1.0
"""A body that is longer in transfer stays subscribed to its principal (spec 2.7)."""
_LASTING_NS: Final = 1_000_000_000

RATE_WINDOW_S: Final = 10.0
"""Over which a body's rate is judged (spec 2.8)."""

UPSTREAM_HEAD_BYTES: Final = 64 * 1024


class Relay:
    """Carries one request and its response; what becomes of them is for :class:`sidegate.proxy.passage.Passage`.

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

    def upstream_data(self, data: bytes) -> None:
        """Read the response on."""
        arrived = monotonic_ns()
        try:
            if self.head is None:
                if not self._carry_whole(data, arrived):
                    self._read_head(self._held + data if self._held else data, arrived)
            else:
                self._read_body(data)
        except WireError as error:
            self._spoil(error.detail)

    def upstream_lost(self, error: Exception | None) -> None:
        """The upstream's connection is gone: the end of the response, a reason to try again, or a failure."""
        reused = self._upstream is not None and not self._upstream.fresh
        self._upstream = None
        if self.head is not None:
            if self.head.framing is Framing.UNTIL_CLOSE and error is None:
                self._end()
            else:
                self._cut(Ending.UPSTREAM_CLOSED, Reason.UPSTREAM_INVALID)
        elif self._held or self._interim:
            self._fail(Reason.UPSTREAM_INVALID, "the upstream ended its connection within a response head")
        elif reused and not self._retried and self.request.is_retriable:
            # It may have closed the idle connection just as we wrote: not a byte of an answer came (spec 2.5).
            self._retried = True
            self._gateway.pool.connect(self)
        else:
            self._fail(Reason.UPSTREAM_UNREACHABLE, "the upstream ended its connection without an answer")

    def _carry_whole(self, data: bytes, arrived: int) -> bool:
        """Carry a response that came whole to a request like most others; False if either is not that simple."""
        if not self.request.is_plain or self._held or self.notes or self._gateway.draining:
            return False
        end = data.find(_HEAD_END)
        if not 0 <= end <= UPSTREAM_HEAD_BYTES:
            return False
        gateway, upstream = self._gateway, self._upstream
        head = gateway.response_heads.young.get(data[: end + 2])
        if head is None:
            head = gateway.read_response_head(data[: end + 2])
        size = len(data) - end - 4
        if not head.is_plain or size != head.length or upstream is None:
            return False
        self.responded_at = arrived
        self.head = head
        self._client.transport.write(head.start + data[end + 4 :])
        self.body_out = size
        self.overhead_ns = monotonic_ns() - arrived
        self._over = self._is_told = True
        if self._throttled:
            upstream.transport.resume_reading()
        self._upstream = None
        upstream.is_doubtful = False
        gateway.pool.release(upstream, gateway.deadlines.now)
        self.relayed(head, keep=True)
        return True

    def _read_head(self, data: bytes, arrived: int) -> None:
        while True:
            end = data.find(_HEAD_END)
            if end < 0:
                if len(data) > UPSTREAM_HEAD_BYTES:
                    raise WireError(502, Reason.UPSTREAM_INVALID, "the response head is too long")
                if has_stray_line_end(data, 0, len(data)):
                    # It could never become a good one; without this its end would be waited for.
                    raise WireError(502, Reason.UPSTREAM_INVALID, "a line of the response head does not end in CRLF")
                self._held = data
                return
            if end > UPSTREAM_HEAD_BYTES:
                # The verdict must not depend on how the bytes were cut: its end may have come with its last piece.
                raise WireError(502, Reason.UPSTREAM_INVALID, "the response head is too long")
            head = self._gateway.read_response_head(data[: end + 2])
            data = data[end + 4 :]
            if head.status >= 200:
                break
            if head.status == 101:
                self._upgrade(head, data)
                return
            self._interim_head(head)
        self._held = b""
        self.responded_at = arrived
        self._begin(head, data)

    def _interim_head(self, head: ResponseHead) -> None:
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise WireError(502, Reason.UPSTREAM_INVALID, f"the upstream sent more than {MAX_INTERIM} interim answers")
        if head.status != 100 and self.request.minor:
            self._client.transport.write(head.forward + b"\r\n")

    def _upgrade(self, head: ResponseHead, first: bytes) -> None:
        """Open the tunnel, if it is the one that was asked for (RFC 6455 section 4.1, spec 2.6)."""
        upstream = self._upstream
        accept = self.request.websocket_accept
        asked = accept is not None and head.websocket_accept == accept
        if upstream is None or not asked or head.upgrade is None or head.upgrade.lower() != b"websocket":
            raise WireError(502, Reason.UPSTREAM_INVALID, "the upstream switched to a protocol that was not asked for")
        if self._client.take_held():
            # Nothing that the client sent before the 101 may pass: it was not part of a tunnel yet.
            self._drop_upstream()
            self._cut(Ending.CLIENT_CLOSED, Reason.MALFORMED_REQUEST)
            return
        self._over = True
        self.head = head
        self._client.transport.write(head.forward + self.notes + UPGRADE_LINES + b"\r\n" + first)
        self._tell_once()
        self.upgraded(head, upstream, first)

    def _begin(self, head: ResponseHead, rest: bytes) -> None:
        request, body = self.request, self.body
        reader: BodyReader | None = None
        if is_bodiless(request, head):
            payload, done = b"", True
        elif head.framing is Framing.LENGTH and len(rest) == head.length:
            payload, rest, done = rest, b"", True  # most are small and come whole
        else:
            self._reader = reader = reader_of(head)
            payload, rest = reader.feed(rest)
            done = reader.done
        if rest:
            raise WireError(502, Reason.UPSTREAM_INVALID, "the upstream sent bytes after its response")
        self.head = head
        sent = body is None or body.done
        self._is_early = not sent
        draining = self._gateway.draining
        self._keep = keep = request.keep and sent and not ends_with_connection(request, head) and not draining
        self._client.transport.write(start_response(request, head, self.notes, payload, keep=keep, done=done))
        self.overhead_ns = monotonic_ns() - self.responded_at
        self.body_out += len(payload)
        if done:
            self._end()
        else:
            self._window = self.body_in + self.body_out
            if head.event_stream or self.responded_at - self.sent_at >= _LASTING_NS:
                self._last()
            self._client.deadline = self._gateway.deadlines.now + (RATE_WINDOW_S if self.is_lasting else LASTING_S)
            if self._client.is_full:
                # From an answer before this one: nobody is told again before it drains.
                self.client_full()

    def _read_body(self, data: bytes) -> None:
        reader = self._reader
        head = self.head
        if reader is None or head is None:
            raise WireError(502, Reason.UPSTREAM_INVALID, "the upstream sent bytes after its response")
        payload, rest = reader.feed(data)
        if rest:
            raise WireError(502, Reason.UPSTREAM_INVALID, "the upstream sent bytes after its response")
        self.body_out += len(payload)
        payload = frame_response(self.request, head, payload, done=reader.done)
        if payload:
            self._client.transport.write(payload)
        if reader.done:
            self._end()

    def _end(self) -> None:
        """The response is with the client."""
        head = self.head
        assert head is not None  # noqa: S101 - only a response that began can end
        self._over = True
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            if self._is_reusable(head, upstream):
                if self._throttled:
                    upstream.transport.resume_reading()
                upstream.is_doubtful = self._reader is not None
                holder = None if self.body is None else self.holder
                self._gateway.pool.release(upstream, self._gateway.deadlines.now, holder=holder)
            else:
                upstream.discard()
        self._tell_once()
        self.relayed(head, keep=self._keep)

    def _is_reusable(self, head: ResponseHead, upstream: UpstreamConnection) -> bool:
        """Whether *upstream* may be given another request: of anybody, or if this one had a body of its holder."""
        request, body = self.request, self.body
        if head.close or is_last(request, head) or request.websocket_accept is not None:
            return False
        if body is None:
            return True
        # What was written and not taken yet was not sent, and the next request would come behind it. An upstream that
        # answered before the body was whole may take the rest of it for a request, too (spec 2.5); and nobody's
        # requests can be kept apart from others'.
        return (
            not self._is_early
            and body.done
            and not upstream.transport.get_write_buffer_size()
            and is_body_taken(request, head)
            and self.holder is not None
        )

    def _spoil(self, detail: str) -> None:
        """The upstream's bytes cannot be read in one way (spec 2.5)."""
        self._drop_upstream()
        if self.head is None:
            self._tell_once()
            self.failed(Reason.UPSTREAM_INVALID, detail)
        else:
            self._cut(Ending.UPSTREAM_FAILED, Reason.UPSTREAM_INVALID)

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
