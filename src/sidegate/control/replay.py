"""Recorded requests decided again, under the policy in force and under its candidate (spec 4.4). Pure."""

from sidegate.control.reconstruction import questions
from sidegate.core.engine.decide import decide
from sidegate.core.engine.shadow import ShadowFailure, decide_shadow
from sidegate.core.model.decision import Decision, Outcome, Reason
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.trail.record import DecisionRecord, ShadowVerdict


@value
class Replay:
    """One recorded request, asked again.

    Attributes:
        enforced: What the policy in force says.
        candidate: What its candidate says, where that is another outcome; one that broke counts as a deny.
        is_as_recorded: The policy in force says what was recorded. If not, it is another one by now, or the record does
            not tell enough; the plainest case is asked then.
    """

    enforced: Decision
    candidate: ShadowVerdict | None
    is_as_recorded: bool


def replay(snapshot: Snapshot, record: DecisionRecord) -> Replay | None:
    """Decide *record* again, at its own time.

    A record does not hold the second factor, the surface and the like. So the question is put under each plain
    assumption, and the first that leads to what was recorded counts.

    Returns:
        None where there is no question: nobody was proved, or nothing was asked for.
    """
    organization = None if record.org is None else snapshot.organizations.get(record.org)
    if organization is None:
        return None
    now = UnixMillis(record.time)
    plainest: tuple[Decision, ShadowVerdict | None] | None = None
    for assumption, query in questions(record, organization):
        enforced = decide(snapshot, query, now)
        is_as_recorded = (enforced.outcome, enforced.reason) == (record.outcome, record.reason)
        is_plainest = plainest is None and assumption.second_factor
        if not (is_as_recorded or is_plainest):
            continue
        candidate = _verdict(decide_shadow(snapshot, (query,), now, enforced))
        if is_as_recorded:
            return Replay(enforced, candidate, is_as_recorded=True)
        plainest = enforced, candidate
    return None if plainest is None else Replay(*plainest, is_as_recorded=False)


def _verdict(shadow: Decision | ShadowFailure | None) -> ShadowVerdict | None:
    if isinstance(shadow, ShadowFailure):
        return ShadowVerdict(Outcome.DENY, Reason.POLICY_UNAVAILABLE)
    return None if shadow is None else ShadowVerdict(shadow.outcome, shadow.reason)
