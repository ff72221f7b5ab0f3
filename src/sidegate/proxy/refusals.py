"""Answers that Sidegate gives itself (spec 6.5)."""

from email.utils import formatdate
from typing import Final

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Reason, deny
from sidegate.core.routing.resolve import Ask
from sidegate.core.wire.memo import MakingMemo
from sidegate.core.wire.problem import problem_response, status_of
from sidegate.telemetry.clock import Clock

_NOT_FOUND = 404
# The attribute `value` of an enum is a call.
_NAME: Final = {authority: authority.value for authority in Authority}


REMEMBERED_REFUSALS: Final = 1024
# As long as an id, and nothing that could stand anywhere else in an answer.
PLACEHOLDER: Final = "\x7f" * 36

_Kind = tuple[Reason, int, str | None, tuple[str, str] | None, bool, bool]


class Refusal:
    """An answer but for its date and the id of its decision.

    Attributes:
        reason: Why it is refused.
        status: What the client is told.
        line: The status line, with CRLF.
        before: What follows the date, up to the id.
        after: What follows the id; None for an answer that holds none.
    """

    __slots__ = ("after", "before", "line", "reason", "status")

    def __init__(self, reason: Reason, status: int, wire: bytes) -> None:
        line, crlf, rest = wire.partition(b"\r\n")
        before, found, after = rest.partition(PLACEHOLDER.encode("ascii"))
        self.reason = reason
        self.status = status
        self.line = line + crlf
        self.before = before
        # An answer to HEAD has no body that could hold an id.
        self.after = after if found else None


class DateLine:
    """The header line that says when an answer was made (RFC 9110 section 6.6.1), put together once a second."""

    __slots__ = ("_clock", "_line", "_second")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._line = b""

    def now(self) -> bytes:
        """Return it, with CRLF."""
        second = self._clock.now() // 1000
        if second != self._second:
            self._second = second
            self._line = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._line


class Refusals:
    """Writes refusals as configured.

    Refusals have to be cheap: equal ones are put together once, and only the date and the decision's id are new.

    Args:
        clock: Of their dates.
        hidden: Reasons that are answered as 404, so that nothing can be discovered (``hide``).
        minimal: Leave authority and target out (``problem_detail: minimal``).
    """

    __slots__ = ("_date", "_hidden", "_minimal", "_refusals")

    def __init__(self, clock: Clock, *, hidden: frozenset[Reason], minimal: bool) -> None:
        self._date = DateLine(clock)
        self._hidden = hidden
        self._minimal = minimal
        self._refusals: MakingMemo[_Kind, Refusal] = MakingMemo(REMEMBERED_REFUSALS, _make_refusal)

    def name_of(self, reason: Reason) -> str:
        """Return what a client is told of *reason* where no whole answer can be given, e.g. to close a WebSocket."""
        return "access_ended" if reason in self._hidden else reason.value

    def find(
        self,
        reason: Reason,
        *,
        status: int = 0,
        detail: str | None = None,
        ask: Ask | None = None,
        close: bool,
        head_only: bool,
    ) -> Refusal:
        """Return the answer to a refused request; the same to equal ones.

        Args:
            reason: Why it is refused.
            status: 0 for that of the reason.
            detail: A sentence that knows more than the reason's own.
            ask: What was asked for, where that is known.
            close: The connection ends after the answer.
            head_only: The request was a HEAD.
        """
        about = None if ask is None or self._minimal else (_NAME[ask.authority], ask.target.text)
        if reason in self._hidden:
            status = _NOT_FOUND
        elif not status:
            status = status_of(reason)
        return self._refusals.get((reason, status, detail, about, close, head_only))

    def write(self, refusal: Refusal, decision_id: bytes) -> bytes:
        """Write the whole response about the decision with this id, 36 bytes."""
        date = self._date.now()
        if refusal.after is None:
            return b"".join((refusal.line, date, refusal.before))
        return b"".join((refusal.line, date, refusal.before, decision_id, refusal.after))


def with_notes(wire: bytes, notes: bytes) -> bytes:
    """Return a whole response with header lines added, each with CRLF."""
    if not notes:
        return wire
    line, crlf, rest = wire.partition(b"\r\n")
    return line + crlf + notes + rest


def _make_refusal(kind: _Kind) -> Refusal:
    reason, status, detail, about, close, head_only = kind
    wire = problem_response(
        deny(reason), PLACEHOLDER, status=status, detail=detail, about=about, close=close, head_only=head_only
    )
    return Refusal(reason, status, wire)
