"""May this credential's holder exercise this authority on this target, now? (spec 1.5, 1.6).

The checks stand in the order of the specification; the first that fails gives the reason. A compiled subject without
conditions, denies or chain costs a few dictionary look-ups and bit operations (spec 7), so each check first asks with
one bit operation whether it concerns this subject and authority at all.
"""

from collections.abc import Sequence
from typing import Final

from sidegate.core.engine.judge import judge_node, narrowed_by, restricted_by, withheld_by
from sidegate.core.model.authority import BIT
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.errors import InvariantError
from sidegate.core.model.principal import Query
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.policy.subject import NOT_A_MEMBER, Subject

_DENY: Final = Outcome.DENY  # as an attribute of the enum it costs more than a call (CPython 3.11)
_CROSS_ORG: Final = deny(Reason.CROSS_ORG)
_NO_GRANT: Final = deny(Reason.NO_GRANT)
_NO_SECTION: Final = deny(Reason.NOT_GRANTED)


def decide(snapshot: Snapshot, query: Query, now: UnixMillis) -> Decision:
    """Decide *query* under the enforced policy of *snapshot*.

    Decisions are shared between calls: treat them as what they are declared to be, immutable. An organization that the
    snapshot does not hold has no members.
    """
    credential = query.credential
    return decide_subject(snapshot.subject(credential.org, credential.account), query, now)


def decide_all(snapshot: Snapshot, queries: Sequence[Query], now: UnixMillis) -> Decision:
    """Decide an operation of several parts on one snapshot: allowed if every part is (spec 1.6).

    Args:
        snapshot: What is in force.
        queries: At least one part; all of one credential.
        now: Wall clock.

    Returns:
        The deny of the first part that is denied, else an allow because of all that granted some part.

    Raises:
        InvariantError: There is no part; nothing asked for must never mean allowed.
    """
    if not queries:
        raise InvariantError("an operation without parts cannot be decided")
    credential = queries[0].credential
    return decide_all_subject(snapshot.subject(credential.org, credential.account), queries, now)


def decide_all_subject(subject: Subject | None, queries: Sequence[Query], now: UnixMillis) -> Decision:
    """Like :func:`decide_all` for a subject that was already looked up, see :meth:`Snapshot.subject`."""
    if len(queries) == 1:
        return decide_subject(subject, queries[0], now)
    return _all_of([decide_subject(subject, query, now) for query in queries])


def decide_subject(subject: Subject | None, query: Query, now: UnixMillis) -> Decision:
    """Decide *query* for the *subject* that its credential names; None where the policy knows no such organization.

    Raises:
        InvariantError: *subject* is somebody else. Deciding for the wrong account would be an escalation.
    """
    target = query.target
    credential = query.credential
    if target.org != credential.org:
        return _CROSS_ORG
    if subject is None:
        return NOT_A_MEMBER
    if subject.account != credential.account or subject.organization != credential.org:
        raise InvariantError(f"deciding for `{credential.account}` with the subject of `{subject.account}`")
    if subject.refusal is not None:
        return subject.refusal
    bit = BIT[query.authority]
    if credential.chain or (subject.denies is not None and subject.denies.mask & bit):
        withheld = withheld_by(subject, query, bit)
        if withheld:
            return deny(Reason.DENIED_BY_RULE, withheld)
    decision = _grant_of(subject, query, bit, now)
    if decision.outcome is _DENY:
        return decision
    if credential.chain or credential.authorities is not None or credential.scopes is not None:
        refused = restricted_by(query, bit, now)
        if refused is not None:
            return refused
    if target.subtree:
        narrowed = narrowed_by(subject, query, bit, now)
        if narrowed:
            return deny(Reason.SUBTREE_NARROWED, narrowed)
    approvals = subject.header.approvals
    if approvals.mask & bit and not query.approved:
        rules = approvals.covering(target, bit)
        if rules:
            return deny(Reason.APPROVAL_REQUIRED, rules)
    return decision


def _grant_of(subject: Subject, query: Query, bit: int, now: UnixMillis) -> Decision:
    """Checks 4, or 5 and 6: an allow because of what grants it, or the deny."""
    target = query.target
    if target.section is None:
        if not subject.ceiling.mask & bit:
            under = judge_node(subject, subject.ceiling, query, bit, now, otherwise=Reason.ABOVE_CEILING)
            if under.outcome is _DENY:
                return under
        grants = subject.standing
        if grants is None:
            grants = subject.grants(now)
        node = grants.narrowest(target.project, target.branch, target.path)
        if node is None:
            return _NO_GRANT
    else:
        node = subject.sections.narrowest(target.section)
        if node is None:
            return _NO_SECTION
    if node.mask & bit and not node.conditional & bit:
        return node.granted.get(bit) or node.grant(bit)
    return judge_node(subject, node, query, bit, now, otherwise=Reason.NOT_GRANTED)


def _all_of(decisions: list[Decision]) -> Decision:
    if not decisions:
        raise InvariantError("an operation without parts cannot be decided")
    for decision in decisions:
        if decision.outcome is _DENY:
            return decision
    because = {key for decision in decisions for key in decision.because}
    return Decision(Outcome.ALLOW, Reason.GRANTED, tuple(sorted(because)), Remedy.NONE)
