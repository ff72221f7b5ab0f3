"""Tests of asking for records."""

from typing import Any

import orjson
import pytest

from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.target import parse_scope
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.filter import RecordFilter, RecordMatcher, parse_since
from sidegate.core.trail.record import RecordKind

_NOON = UnixMillis(1_767_268_800_000)  # 2026-01-01T12:00:00Z
_DECISION: dict[str, Any] = {
    "v": 1,
    "record": "decision",
    "id": "d1",
    "time": "2026-01-01T12:00:00.000Z",
    "org": "acme",
    "actor": {"account": "user:ana", "type": "agent", "chain": ["ag_1"]},
    "authority": "write",
    "target": "p1@main:designs/a.json",
    "outcome": "deny",
    "reason": "not_granted",
    "shadow": {"outcome": "allow", "reason": "granted"},
}
_COMPLETION: dict[str, Any] = {
    "v": 1,
    "record": "completion",
    "id": "c1",
    "decision_id": "d1",
    "time": "2026-01-01T12:00:00.000Z",
    "org": "acme",
}
_BOTH = frozenset({RecordKind.DECISION, RecordKind.COMPLETION})


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(RecordFilter(), True, id="anything"),
        pytest.param(RecordFilter(id="d1"), True, id="id"),
        pytest.param(RecordFilter(id="d2"), False, id="other-id"),
        pytest.param(RecordFilter(org="acme"), True, id="org"),
        pytest.param(RecordFilter(org="acm"), False, id="beginning-of-the-org"),
        pytest.param(RecordFilter(actor="user:ana"), True, id="account"),
        pytest.param(RecordFilter(actor="ag_1"), True, id="link-of-the-chain"),
        pytest.param(RecordFilter(actor="agent"), False, id="type-is-no-actor"),
        pytest.param(RecordFilter(authority=Authority.WRITE), True, id="authority"),
        pytest.param(RecordFilter(authority=Authority.READ), False, id="other-authority"),
        pytest.param(RecordFilter(target=parse_scope("p1")), True, id="project-covers"),
        pytest.param(RecordFilter(target=parse_scope("p1@main:designs")), True, id="folder-covers"),
        pytest.param(RecordFilter(target=parse_scope("p1@main:des")), False, id="half-a-segment-covers-nothing"),
        pytest.param(RecordFilter(target=parse_scope("/")), False, id="sections-are-no-projects"),
        pytest.param(RecordFilter(outcome=Outcome.DENY), True, id="outcome"),
        pytest.param(RecordFilter(outcome=Outcome.ALLOW), False, id="outcome-of-the-candidate-does-not-count"),
        pytest.param(RecordFilter(reason=Reason.NOT_GRANTED), True, id="reason"),
        pytest.param(RecordFilter(reason=Reason.GRANTED), False, id="reason-of-the-candidate-does-not-count"),
        pytest.param(RecordFilter(since=_NOON), True, id="at-since"),
        pytest.param(RecordFilter(since=UnixMillis(_NOON + 1)), False, id="before-since"),
        pytest.param(RecordFilter(until=_NOON), False, id="at-until"),
        pytest.param(RecordFilter(until=UnixMillis(_NOON + 1)), True, id="before-until"),
        pytest.param(RecordFilter(is_divergent=True), True, id="divergent"),
        pytest.param(RecordFilter(is_divergent=False), False, id="not-divergent"),
        pytest.param(RecordFilter(kinds=frozenset({RecordKind.COMPLETION})), False, id="other-kind"),
        pytest.param(RecordFilter(org="acme", outcome=Outcome.ALLOW), False, id="all-have-to-hold"),
    ],
)
def test_decision_is_asked_for_by_each_of_its_members(wanted: RecordFilter, expected: bool) -> None:
    """And a line without one of the needles never matches: reading it can be left out."""
    matcher = RecordMatcher(wanted)
    assert expected is matcher.matches(_DECISION)
    line = orjson.dumps(_DECISION)
    assert all(needle in line for needle in matcher.needles) or not expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(RecordFilter(), False, id="decisions-unless-asked-for"),
        pytest.param(RecordFilter(kinds=_BOTH), True, id="asked-for"),
        pytest.param(RecordFilter(kinds=_BOTH, id="d1"), True, id="by-its-decision"),
        pytest.param(RecordFilter(kinds=_BOTH, id="c1"), True, id="by-its-own-id"),
        pytest.param(RecordFilter(kinds=_BOTH, actor="user:ana"), False, id="tells-no-actor"),
        pytest.param(RecordFilter(kinds=_BOTH, target=parse_scope("p1")), False, id="tells-no-target"),
    ],
)
def test_completion_tells_org_time_and_decision(wanted: RecordFilter, expected: bool) -> None:
    """It answers nothing that it does not tell."""
    assert expected is RecordMatcher(wanted).matches(_COMPLETION)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"target": None}, id="no-target"),
        pytest.param({"org": None}, id="no-org"),
        pytest.param({"target": "p1@@"}, id="target-that-is-none"),
    ],
)
def test_record_without_a_target_lies_in_no_scope(members: dict[str, Any]) -> None:
    """Also one that was refused before its target was known."""
    assert not RecordMatcher(RecordFilter(target=parse_scope("*"))).matches(_DECISION | members)


def test_record_without_a_time_is_never_asked_for() -> None:
    """Whatever is asked: it is not as it was written."""
    assert not RecordMatcher(RecordFilter()).matches(_DECISION | {"time": 5})


def test_record_of_nobody_has_no_actor() -> None:
    """Refused without a credential."""
    assert not RecordMatcher(RecordFilter(actor="user:ana")).matches(_DECISION | {"actor": None})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("90s", _NOON - 90_000, id="seconds"),
        pytest.param("15m", _NOON - 900_000, id="minutes"),
        pytest.param("1h", _NOON - 3_600_000, id="hours"),
        pytest.param("7d", _NOON - 604_800_000, id="days"),
        pytest.param("2w", _NOON - 1_209_600_000, id="weeks"),
        pytest.param("999999999w", 0, id="before-the-epoch"),
        pytest.param("2026-01-01T12:00:00Z", _NOON, id="instant"),
    ],
)
def test_since_is_a_time_ago_or_an_instant(text: str, expected: int) -> None:
    """Both forms people write."""
    assert expected == parse_since(text, _NOON)


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1.5h", "yesterday", "2026-01-01T12:00:00"])
def test_other_times_are_refused(text: str) -> None:
    """The message says how to write it."""
    with pytest.raises(ValueError, match="write it like"):
        parse_since(text, _NOON)
