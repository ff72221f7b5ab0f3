"""Evidence of one allow, spent by one forward (style 2)."""

from collections.abc import Sequence
from typing import Final

from sidegate.core.model.decision import Decision, Outcome
from sidegate.core.model.errors import InvariantError
from sidegate.core.model.principal import Query

_ALLOW: Final = Outcome.ALLOW  # as an attribute of the enum it costs more than a call (CPython 3.11)


class Permit:
    """Whoever holds this may forward once what *queries* asked for. Only :func:`permit_of` makes one.

    Attributes:
        queries: The parts that were allowed together.
        decision: The allow.
        decision_id: Its id in the audit trail.
    """

    __slots__ = ("_is_spent", "decision", "decision_id", "queries")

    def __init__(self, queries: tuple[Query, ...], decision: Decision, decision_id: str) -> None:
        if decision.outcome is not _ALLOW:
            raise InvariantError(f"a permit was to be made of a deny ({decision.reason}), decision {decision_id}")
        self.queries = queries
        self.decision = decision
        self.decision_id = decision_id
        self._is_spent = False

    def spend(self) -> None:
        """Use the permit up.

        Raises:
            InvariantError: It was spent before; one allow never covers two requests.
        """
        if self._is_spent:
            raise InvariantError(f"the permit of decision {self.decision_id} was spent twice")
        self._is_spent = True


def permit_of(queries: Query | Sequence[Query], decision: Decision, decision_id: str) -> Permit | None:
    """Return the permit that *decision* on *queries* gives; None for anything but an allow."""
    if decision.outcome is not _ALLOW:
        return None
    parts = (queries,) if isinstance(queries, Query) else tuple(queries)
    return Permit(parts, decision, decision_id)
