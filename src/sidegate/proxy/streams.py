"""What was allowed and lasts stays subscribed to its principal: when access ends, it ends (spec 2.7).

Each stream is looked at again by the same queries and the same engine that allowed it: at once when something it rests
on was revoked or its organization's policy changed, and otherwise in turn, because time ends things too: idle and
absolute limits, keys, links, bindings, the age of a second factor.
"""

from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from sidegate.core.engine.decide import decide_all
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.credentials.events import Revoked, RevokedKind
from sidegate.credentials.ports import Fact, Missing
from sidegate.credentials.reverification import Reverifier
from sidegate.credentials.table import facts_of
from sidegate.distribution.ports import Fetched, Want
from sidegate.telemetry.clock import monotonic_ns

if TYPE_CHECKING:
    from sidegate.proxy.gateway import Gateway

TURNS: Final = 3
"""Every stream is looked at once in so many ticks of the deadlines: every 0.75 s."""

BUDGET_NS: Final = 500_000
"""Time spent on streams in one turn of the loop. A look costs some 5 microseconds, so that 10,000 streams are spread
over 100 turns, with requests served in between, instead of stopping the loop for 50 ms."""

PATIENCE_NS: Final = 1_000_000_000
"""How long a stream goes on while what it rests on is being fetched."""

_ALWAYS: Final = float("-inf")


class Lasting(Protocol):
    """A request that lasts: a tunnel, an event stream, a long transfer."""

    @property
    def queries(self) -> tuple[Query, ...]:
        """What was allowed; empty on a public route, which nobody can lose access to."""

    @property
    def bytes_in(self) -> int:
        """What the client has sent so far: more of it is activity."""

    def end_access(self, reason: Reason) -> None:
        """End it: whoever it was allowed to may do this no more. It is forgotten already."""


@dataclass(slots=True, eq=False)
class _Subscription:
    stream: Lasting
    queries: tuple[Query, ...]
    credential: VerifiedCredential
    facts: tuple[Fact, ...]
    turn: int
    bytes_in: int
    is_waiting: bool = False
    is_over: bool = False
    asked_ns: int | None = None


class Streams:
    """Everything that lasts on one worker.

    Args:
        gateway: The data plane. Its deadlines drive this while there are streams.
        reverifier: Tells whether a credential still holds.

    Attributes:
        deadline: See :class:`sidegate.proxy.deadlines.Watched`; told at every tick.
    """

    __slots__ = (
        "_all",
        "_facts",
        "_gateway",
        "_is_scheduled",
        "_known",
        "_next",
        "_reverifier",
        "_turns",
        "_waiting",
        "deadline",
    )

    def __init__(self, gateway: "Gateway", reverifier: Reverifier) -> None:
        self._gateway = gateway
        self._reverifier = reverifier
        self._all: dict[Lasting, _Subscription] = {}
        self._facts: dict[Fact, set[_Subscription]] = {}
        self._turns: tuple[set[_Subscription], ...] = tuple(set() for _ in range(TURNS))
        self._next = 0
        self._waiting: deque[_Subscription] = deque()
        self._is_scheduled = False
        # What was in force when each organization that has streams was last looked at as a whole.
        self._known: dict[str, OrganizationSnapshot | None] = {}
        self.deadline = _ALWAYS
        reverifier.subscribe(self._revoked)
        gateway.policies.on_swap(self._swapped)

    def __len__(self) -> int:
        return len(self._all)

    def subscribe(self, stream: Lasting) -> None:
        """Hold *stream* to the access of its principal from now on, and look at it soon: it was allowed a while ago."""
        queries = stream.queries
        if not queries:
            return
        if not self._all:
            self._gateway.deadlines.watch(self)
        credential = queries[0].credential
        self._known.setdefault(credential.org, self._gateway.policies.current.organizations.get(credential.org))
        turn = min(range(TURNS), key=lambda one: len(self._turns[one]))
        facts = facts_of(credential)
        # Whatever it sent so far came with the request, which counted as activity itself.
        subscription = _Subscription(stream, queries, credential, facts, turn, stream.bytes_in)
        self._all[stream] = subscription
        self._turns[turn].add(subscription)
        for fact in facts:
            self._facts.setdefault(fact, set()).add(subscription)
        self._look_soon(subscription)

    def forget(self, stream: Lasting) -> None:
        """Look at *stream* no more; it has ended."""
        subscription = self._all.pop(stream, None)
        if subscription is None:
            return
        subscription.is_over = True
        self._turns[subscription.turn].discard(subscription)
        for fact in subscription.facts:
            resting = self._facts[fact]
            resting.discard(subscription)
            if not resting:
                del self._facts[fact]
                if fact[0] is RevokedKind.ORGANIZATION:
                    del self._known[fact[1]]
        if not self._all:
            self._gateway.deadlines.forget(self)

    def deadline_passed(self, now: float) -> None:
        """It is the turn of the next streams."""
        del now
        self._next = (self._next + 1) % TURNS
        for subscription in self._turns[self._next]:
            self._look_soon(subscription)

    # What happens elsewhere.

    def _revoked(self, event: Revoked) -> None:
        for subscription in self._facts.get((event.kind, event.id), ()):
            self._look_soon(subscription)

    def _swapped(self, snapshot: Snapshot) -> None:
        for name, known in self._known.items():
            current = snapshot.organizations.get(name)
            if current is not known:
                self._known[name] = current
                for subscription in self._facts[RevokedKind.ORGANIZATION, name]:
                    self._look_soon(subscription)

    # Looking.

    def _look_soon(self, subscription: _Subscription) -> None:
        if not subscription.is_waiting:
            subscription.is_waiting = True
            self._waiting.append(subscription)
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._gateway.loop.call_soon(self._look)

    def _look(self) -> None:
        """Look at those that wait, until the time for this turn of the loop is used up."""
        self._is_scheduled = False
        until = monotonic_ns() + BUDGET_NS
        now = self._gateway.clock.now()
        waiting = self._waiting
        while waiting:
            subscription = waiting.popleft()
            subscription.is_waiting = False
            if not subscription.is_over:
                self._look_at(subscription, now)
                if monotonic_ns() >= until:
                    break
        if waiting:
            self._schedule()

    def _look_at(self, subscription: _Subscription, now: UnixMillis) -> None:
        try:
            reason = self._judge(subscription, now)
        except Exception:
            # A bug of ours is no reason to let anybody stay; the others still have their turn.
            self._schedule()
            self._end(subscription, Reason.POLICY_UNAVAILABLE)
            raise
        if reason is not None:
            self._end(subscription, reason)

    def _judge(self, subscription: _Subscription, now: UnixMillis) -> Reason | None:
        policies = self._gateway.policies
        credential, queries = subscription.credential, subscription.queries
        want = policies.missing(credential.org, credential.account, 0)
        if want is None and credential.kind is CredentialKind.API_KEY:
            want = policies.missing_key_id(credential.id)
        if want is not None:
            return self._fetch(subscription, want)
        if now >= policies.stale_after and policies.is_too_old(
            credential.org, [query.authority for query in queries], now
        ):
            return Reason.POLICY_UNAVAILABLE
        snapshot = policies.current
        bytes_in = subscription.stream.bytes_in
        found = self._reverifier.verify_again(
            credential, queries[0].source, now, snapshot, was_active=bytes_in != subscription.bytes_in
        )
        if isinstance(found, Reason):
            return found
        if isinstance(found, Missing):
            return self._fetch(subscription, found)
        subscription.asked_ns = None
        subscription.bytes_in = bytes_in
        if found is not credential:
            subscription.credential = found
            subscription.queries = queries = tuple([replace(query, credential=found) for query in queries])
        decision = decide_all(snapshot, queries, now)
        return None if decision.outcome is Outcome.ALLOW else decision.reason

    def _fetch(self, subscription: _Subscription, missing: Missing | Want) -> Reason | None:
        """Have *missing* fetched and go on for now; not for long."""
        if subscription.asked_ns is None:
            subscription.asked_ns = self._gateway.clock.monotonic_ns()
            if isinstance(missing, Missing):
                self._reverifier.fetch(missing, partial(self._fetched, subscription))
            else:
                self._gateway.policies.fetch(missing, partial(self._fetched_policy, subscription))
            return None
        waited_ns = self._gateway.clock.monotonic_ns() - subscription.asked_ns
        return Reason.POLICY_UNAVAILABLE if waited_ns >= PATIENCE_NS else None

    def _fetched_policy(self, subscription: _Subscription, answer: Fetched) -> None:
        self._fetched(subscription, answer is Fetched.READY)

    def _fetched(self, subscription: _Subscription, could_be_had: bool) -> None:  # noqa: FBT001  see OnFetched
        if subscription.is_over:
            return
        if could_be_had:
            subscription.asked_ns = None
            self._look_soon(subscription)
        else:
            self._end(subscription, Reason.POLICY_UNAVAILABLE)

    def _end(self, subscription: _Subscription, reason: Reason) -> None:
        self.forget(subscription.stream)
        subscription.stream.end_access(reason)
