"""What the candidate would have answered (spec 1.8). Evaluated and recorded, never acted upon."""

from collections.abc import Sequence

from sidegate.core.engine.decide import decide_all_subject
from sidegate.core.model.decision import Decision
from sidegate.core.model.principal import Query
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.policy.subject import Subject


@value
class ShadowFailure:
    """The candidate could not be evaluated. Goes into the record; the client never sees it.

    Attributes:
        error: What kind of error it was and what it said.
    """

    error: str


def decide_shadow(
    snapshot: Snapshot, queries: Sequence[Query], now: UnixMillis, enforced: Decision
) -> Decision | ShadowFailure | None:
    """Decide *queries*, the parts of one request, under the enforced policy with the candidate laid over it.

    Args:
        snapshot: The one that *enforced* was decided on.
        queries: At least one part; all of one credential.
        now: The time that *enforced* was decided at.
        enforced: The decision that acts.

    Returns:
        None when there is no candidate, when it does not concern the account, or when the outcome is the same. "Differ
        in effect" is read as: allow against deny. Never raises because of the candidate.
    """
    credential = queries[0].credential
    return decide_shadow_subject(snapshot.subject(credential.org, credential.account), queries, now, enforced)


def decide_shadow_subject(
    subject: Subject | None, queries: Sequence[Query], now: UnixMillis, enforced: Decision
) -> Decision | ShadowFailure | None:
    """Like :func:`decide_shadow` for a subject that was already looked up, see :meth:`Snapshot.subject`."""
    shadow = None if subject is None else subject.shadow
    if shadow is None:
        return None
    try:
        decision = decide_all_subject(shadow.subject(), queries, now)
    except Exception as exc:  # noqa: BLE001  (spec 1.8: whatever breaks in a candidate is recorded and goes no further)
        return ShadowFailure(f"{type(exc).__name__}: {exc}")
    return None if decision.outcome is enforced.outcome else decision
