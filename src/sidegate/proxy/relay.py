"""One forwarded request with its response: that comes down here, with back-pressure (spec 2.5)."""

from typing import Final

from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import WireError
from sidegate.core.trail.record import Ending
from sidegate.core.wire.fields import has_stray_line_end
from sidegate.core.wire.response import MAX_INTERIM, Framing, ResponseHead
from sidegate.proxy.body import BodyReader
from sidegate.proxy.pairing import (
    ends_with_connection,
    frame_response,
    is_bodiless,
    is_body_taken,
    is_last,
    reader_of,
    start_response,
)
from sidegate.proxy.reading import UPGRADE_LINES
from sidegate.proxy.sending import LASTING_S, RATE_WINDOW_S, Sending
from sidegate.proxy.upstream import UpstreamConnection
from sidegate.telemetry.clock import monotonic_ns

_HEAD_END: Final = b"\r\n\r\n"
_LASTING_NS: Final = int(LASTING_S * 1_000_000_000)
UPSTREAM_HEAD_BYTES: Final = 64 * 1024


class Relay(Sending):
    """Carries one request and its response."""

    __slots__ = ()

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
