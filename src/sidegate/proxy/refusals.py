"""Answers that Sidegate gives itself (spec 6.5)."""

from sidegate.core.model.decision import Decision, Reason
from sidegate.core.model.value import hot_value
from sidegate.core.routing.resolve import Ask
from sidegate.core.wire.problem import problem_response, status_of

_NOT_FOUND = 404


@hot_value
class Refusal:
    """A whole response and its status."""

    status: int
    wire: bytes


class Refusals:
    """Writes refusals as configured.

    Args:
        hidden: Reasons that are answered as 404, so that nothing can be discovered (``hide``).
        minimal: Leave authority and target out (``problem_detail: minimal``).
    """

    __slots__ = ("_hidden", "_minimal")

    def __init__(self, *, hidden: frozenset[Reason], minimal: bool) -> None:
        self._hidden = hidden
        self._minimal = minimal

    def write(
        self,
        decision: Decision,
        decision_id: str,
        *,
        status: int = 0,
        detail: str | None = None,
        ask: Ask | None = None,
        close: bool,
        head_only: bool,
    ) -> Refusal:
        """Write the answer to a refused request; *status* 0 is that of the reason."""
        if decision.reason in self._hidden:
            status = _NOT_FOUND
        elif not status:
            status = status_of(decision.reason)
        about = None if ask is None or self._minimal else (ask.authority.value, ask.target.text)
        wire = problem_response(
            decision, decision_id, status=status, detail=detail, about=about, close=close, head_only=head_only
        )
        return Refusal(status, wire)
