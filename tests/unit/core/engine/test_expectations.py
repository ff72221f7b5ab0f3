"""What a policy is expected to answer, held against what it answers."""

import re
from typing import Any

import pytest

from sidegate.core.engine.expectations import (
    Coverage,
    Expectation,
    ExpectationError,
    find_mismatches,
    measure_coverage,
    read_expectation,
)
from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.decision import Decision, Outcome, Reason, Remedy, deny
from sidegate.core.model.errors import Position
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.document import ApprovalRule, BindingEntry, DenyEntry, PolicyDocument, RoleEntry


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("allow", Expectation(outcome=Outcome.ALLOW), id="outcome"),
        pytest.param("no_grant", Expectation(reason=Reason.NO_GRANT), id="reason"),
        pytest.param({"outcome": "deny"}, Expectation(outcome=Outcome.DENY), id="mapping"),
        pytest.param(
            {"outcome": "deny", "reason": "no_grant", "because": ["b1", "b1"], "remedy": "none"},
            Expectation(Outcome.DENY, Reason.NO_GRANT, frozenset({"b1"}), Remedy.NONE),
            id="everything",
        ),
        pytest.param({"because": []}, Expectation(because=frozenset()), id="because-of-nothing"),
        pytest.param({"outcome": "deny", "reason": None}, Expectation(outcome=Outcome.DENY), id="null-is-not-written"),
    ],
)
def test_expectations_as_written(written: object, expected: Expectation) -> None:
    """An outcome, a reason, or a mapping of what is cared about."""
    assert expected == read_expectation(written)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param(None, "neither text nor a mapping", id="nothing"),
        pytest.param(["allow"], "neither text nor a mapping", id="list"),
        pytest.param("maybe", "`expect` is `maybe`; write one of granted", id="unknown-word"),
        pytest.param({}, "expects nothing", id="empty"),
        pytest.param({"outcome": None}, "expects nothing", id="null"),
        pytest.param({"result": 1}, "`expect.result` is not known; there are: outcome, reason", id="unknown-member"),
        pytest.param({"outcome": True}, "`expect.outcome` is `True`; write one of allow, deny", id="truth-value"),
        pytest.param({"because": "b1"}, "`expect.because` is no list", id="because-text"),
        pytest.param({"because": [1]}, "`expect.because` is no list", id="because-number"),
        pytest.param({"remedy": "pray"}, "`expect.remedy` is `pray`", id="remedy"),
    ],
)
def test_what_is_no_expectation(written: object, said: str) -> None:
    """A test that expects nothing, or what cannot be, is an error: it would pass for ever."""
    with pytest.raises(ExpectationError, match=re.escape(said)):
        read_expectation(written)


@pytest.mark.parametrize(
    ("expected", "mismatches"),
    [
        pytest.param({"outcome": Outcome.DENY}, (), id="outcome"),
        pytest.param({"outcome": Outcome.ALLOW}, ("outcome is deny, expected allow",), id="other-outcome"),
        pytest.param({"reason": Reason.NO_GRANT}, ("reason is not_granted, expected no_grant",), id="other-reason"),
        pytest.param({"because": frozenset({"b2", "b1"})}, (), id="because-in-any-order"),
        pytest.param({"because": frozenset({"b1"})}, ("because is [b1, b2], expected [b1]",), id="more-than-expected"),
        pytest.param({"because": frozenset()}, ("because is [b1, b2], expected []",), id="nothing-expected"),
        pytest.param({"remedy": Remedy.NONE}, ("remedy is request_elevation, expected none",), id="remedy"),
        pytest.param(
            {"outcome": Outcome.ALLOW, "reason": Reason.GRANTED},
            ("outcome is deny, expected allow", "reason is not_granted, expected granted"),
            id="several",
        ),
    ],
)
def test_mismatches(expected: dict[str, Any], mismatches: tuple[str, ...]) -> None:
    """Everything that is not as expected is said; what is not cared about is not looked at."""
    decision: Decision = deny(Reason.NOT_GRANTED, ("b1", "b2"))
    assert mismatches == find_mismatches(Expectation(**expected), decision)


def test_coverage() -> None:
    """Entries that no decision cited are listed with their places; a role counts by the binding that gives it."""
    scope, read = parse_scope("p1"), mask_of([Authority.READ])
    place = Position("acme.yaml", 7, 1)
    document = PolicyDocument(
        "acme",
        roles=(RoleEntry("R"), RoleEntry("S")),
        bindings=(BindingEntry("b1", "user:a", "R", scope), BindingEntry("b2", "user:a", "S", scope)),
        denies=(DenyEntry("d1", "user:a", read, scope),),
        approvals=(ApprovalRule("a1", read, scope),),
        positions={"b2": place},
    )
    covered = measure_coverage(document, ["b1", "a1", "role:Member", "b1"])
    assert covered == Coverage("acme", ("b1", "a1", "role:R"), (("b2", place), ("d1", None), ("role:S", None)))
    assert covered.percent == 50
    assert measure_coverage(document, ["role:S"]).covered == ("role:S",)


def test_coverage_of_nothing() -> None:
    """A policy without entries is wholly covered."""
    assert measure_coverage(PolicyDocument("acme"), []).percent == 100
