"""Decisions for callers of the admin port."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from sidegate.audit.ports import Waiter
from sidegate.audit.trail import AuditTrail
from sidegate.control.answers import AdminError
from sidegate.control.recorded import RecordedDecider
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.record import OpenRecord
from sidegate.distribution.holder import SnapshotHolder
from sidegate.telemetry import catalogue
from sidegate.telemetry.clock import ManualClock
from sidegate.telemetry.metrics import AUTHORITY_PLACE, BUCKET_CELLS, REASON_CELL, SHADOW_CELL, Metrics, place_of

Records = Callable[[], list[dict[str, object]]]


def question(target: str, *, org: str = "acme", account: str = "user:ana") -> Query:
    """Return whether *account* may write on *target*."""
    credential = VerifiedCredential(CredentialKind.SESSION, "s1", account, org)
    return Query(credential, Authority.WRITE, parse_target("acme", target), ip_address("10.0.0.9"))


async def test_a_decision_is_recorded_before_it_is_answered(
    holder: SnapshotHolder, trail: AuditTrail, metrics: Metrics, clock: ManualClock, records: Records
) -> None:
    """The record has the answer's id and says who asked through which route; the counters have it too."""
    decider = RecordedDecider(holder, trail, metrics, clock)
    answer = await decider.decide(question("p1@main"), decider.now(), route="/access/v1/evaluation", request_id="r-1")
    (record,) = records()
    assert (answer.decision.outcome, answer.decision.reason) == (Outcome.DENY, Reason.NOT_GRANTED)
    expected = {
        "id": answer.decision_id,
        "time": "2027-01-15T08:00:00.000Z",
        "org": "acme",
        "actor": {"account": "user:ana", "type": "user", "chain": []},
        "credential": {"kind": "session", "id": "s1"},
        "authority": "write",
        "target": "p1@main",
        "kind": "branch",
        "outcome": "deny",
        "reason": "not_granted",
        "because": ["b2"],
        "shadow": {"outcome": "allow", "reason": "granted"},
        "revision": 7,
        "route": "admin:/access/v1/evaluation",
        "source": "10.0.0.9",
        "request_id": "r-1",
        "decision_ns": 0,
    }
    assert {name: record[name] for name in expected} == expected
    assert metrics.cells[REASON_CELL[Reason.NOT_GRANTED] + AUTHORITY_PLACE[Authority.WRITE]] == 1
    assert metrics.cells[SHADOW_CELL[Outcome.DENY, Outcome.ALLOW]] == 1
    assert sum(metrics.cells[place_of(catalogue.DECISION_SECONDS) :][:BUCKET_CELLS]) == 1


async def test_an_unknown_organization_is_recorded_at_the_revision_of_the_whole(
    holder: SnapshotHolder, trail: AuditTrail, metrics: Metrics, clock: ManualClock, records: Records
) -> None:
    """There is no policy of its own to name."""
    decider = RecordedDecider(holder, trail, metrics, clock)
    answer = await decider.decide(question("p1", org="other"), decider.now(), route="/x", request_id=None)
    (record,) = records()
    assert (answer.decision.reason, record["revision"], record["shadow"]) == (Reason.CROSS_ORG, 7, None)


class FullTrail:
    """A trail whose disk is full."""

    def next_id(self, now: UnixMillis, /) -> bytes:
        return b"%036d" % now

    def instant(self, now: UnixMillis, /) -> bytes:
        return b"2027-01-15T08:00:00.000Z"

    def submit(self, record: OpenRecord, waiter: Waiter) -> None:
        asyncio.get_running_loop().call_soon(waiter.unrecorded)


async def test_what_cannot_be_recorded_is_not_decided(
    holder: SnapshotHolder, metrics: Metrics, clock: ManualClock
) -> None:
    """503 `audit_unavailable`: no answer that nobody could trace."""
    decider = RecordedDecider(holder, FullTrail(), metrics, clock)
    with pytest.raises(AdminError) as caught:
        await decider.decide(question("p1@x"), decider.now(), route="/x", request_id=None)
    assert (caught.value.status, caught.value.more["reason"]) == (503, "audit_unavailable")


async def test_a_caller_that_left_changes_nothing(
    holder: SnapshotHolder, trail: AuditTrail, metrics: Metrics, clock: ManualClock, records: Records
) -> None:
    """The record is written all the same, and nothing breaks when it is."""
    decider = RecordedDecider(holder, trail, metrics, clock)
    asking = asyncio.ensure_future(decider.decide(question("p1@x"), decider.now(), route="/x", request_id=None))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0)
    assert len(records()) == 1
