"""Decisions for callers of the admin port: the same engine, the same record, the same counters as on the data port."""

import asyncio
from http import HTTPStatus
from typing import Final, Protocol

from sidegate.audit.ports import Waiter
from sidegate.control.answers import AdminError
from sidegate.control.loading import load_subject, require_fresh
from sidegate.core.engine.decide import decide
from sidegate.core.engine.shadow import ShadowFailure, decide_shadow
from sidegate.core.model.decision import Decision, Outcome, Reason
from sidegate.core.model.principal import Query
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.trail.record import (
    OpenRecord,
    ShadowVerdict,
    actor_fragment,
    decision_fragment,
    encode_decision,
    origin_fragment,
)
from sidegate.distribution.ports import PolicySource
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.metrics import Metrics

_RETRY: Final = "retry in a second; `/readyz?verbose` says why"


class Trail(Protocol):
    """What of the audit trail is used here."""

    def next_id(self, now: UnixMillis, /) -> bytes:
        """Return the id of the next decision, 36 ASCII bytes."""

    def instant(self, now: UnixMillis, /) -> bytes:
        """Return *now* as written in records."""

    def submit(self, record: OpenRecord, waiter: Waiter) -> None:
        """Put *record* into the spool and tell *waiter*."""


@value
class RecordedDecision:
    """A decision that is in the audit trail.

    Attributes:
        decision: The answer.
        decision_id: Its id there.
    """

    decision: Decision
    decision_id: str


class _Written:
    """Waits for one record."""

    __slots__ = ("_future",)

    def __init__(self, future: "asyncio.Future[bool]") -> None:
        self._future = future

    def recorded(self) -> None:
        """See :class:`sidegate.audit.ports.Waiter`."""
        self._tell(is_recorded=True)

    def unrecorded(self) -> None:
        """See :class:`sidegate.audit.ports.Waiter`."""
        self._tell(is_recorded=False)

    def _tell(self, *, is_recorded: bool) -> None:
        if not self._future.done():  # the client may have left, and taken the waiting task with it
            self._future.set_result(is_recorded)


class RecordedDecider:
    """Decides, records, and only then answers (spec 5.6: no operation without its record).

    Args:
        holder: The policy in force.
        trail: The audit trail of this process.
        metrics: The counters of this process.
        clock: Wall clock of decisions, monotonic clock of their duration.
    """

    __slots__ = ("_clock", "_holder", "_metrics", "_trail")

    def __init__(self, holder: PolicySource, trail: Trail, metrics: Metrics, clock: Clock) -> None:
        self._holder = holder
        self._trail = trail
        self._metrics = metrics
        self._clock = clock

    def now(self) -> UnixMillis:
        """Return the wall clock: callers decide at no other time."""
        return self._clock.now()

    async def decide(self, query: Query, now: UnixMillis, *, route: str, request_id: str | None) -> RecordedDecision:
        """Decide *query* and wait until the decision is recorded.

        Args:
            query: The question.
            now: From :meth:`now`, of the request.
            route: Which route of the admin port asked, for the record.
            request_id: As the caller sent it.

        Raises:
            AdminError: 503: the policy is not here, or the record could not be kept, so there is no decision either.
        """
        credential = query.credential
        await load_subject(self._holder, credential.org, credential.account)
        require_fresh(self._holder, credential.org, [query.authority], now)
        snapshot = self._holder.current
        began = self._clock.monotonic_ns()
        decision = decide(snapshot, query, now)
        took = self._clock.monotonic_ns() - began
        self._metrics.decision_seconds.observe_ns(took)
        self._metrics.count_decision(decision.reason, query.authority)
        shadow = self._shadow(snapshot, query, now, decision)
        decision_id = self._trail.next_id(now)
        fragment = decision_fragment(
            actor_fragment(query.credential),
            decision,
            org=query.target.org,
            authority=query.authority,
            target=query.target.text,
            kind=query.target.kind,
            shadow=shadow,
            revision=_revision_of(snapshot, query.credential.org),
            method="POST",
            path=route,
            route=f"admin:{route}",
        )
        origin = origin_fragment(None if query.source is None else str(query.source), request_id, None)
        record = encode_decision(fragment, decision_id, self._trail.instant(now), origin, took)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._trail.submit(record, _Written(future))
        if not await future:
            raise AdminError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the decision cannot be recorded, so there is none",
                _RETRY,
                {"reason": Reason.AUDIT_UNAVAILABLE.value, "retry_after_s": 1},
            )
        return RecordedDecision(decision, decision_id.decode("ascii"))

    def _shadow(
        self, snapshot: Snapshot, query: Query, now: UnixMillis, enforced: Decision
    ) -> Decision | ShadowVerdict | None:
        shadow = decide_shadow(snapshot, (query,), now, enforced)
        verdict: Decision | ShadowVerdict | None = (
            ShadowVerdict(Outcome.DENY, Reason.POLICY_UNAVAILABLE) if isinstance(shadow, ShadowFailure) else shadow
        )
        if verdict is not None:
            self._metrics.count_divergence(enforced.outcome, verdict.outcome)
        return verdict


def _revision_of(snapshot: Snapshot, org: str) -> int:
    organization = snapshot.organizations.get(org)
    return snapshot.revision if organization is None else organization.revision
