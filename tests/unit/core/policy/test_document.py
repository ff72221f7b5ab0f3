"""A policy document as plain values."""

from sidegate.core.model.authority import Authority
from sidegate.core.model.errors import Position
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.policy.document import (
    DEFAULT_APPROVAL_TTL,
    ApprovalRule,
    Approvers,
    BindingEntry,
    BindingState,
    Conditions,
    PolicyDocument,
)


def test_defaults_are_those_of_the_specification() -> None:
    """mfa_max_age_s 43200 (1.5), quorum 1 and a day to live (4.1), bindings active."""
    assert PolicyDocument("acme").mfa_max_age_s == 43_200
    rule = ApprovalRule("a1", 0, ALL_PROJECTS)  # type: ignore[arg-type]
    assert (1, DEFAULT_APPROVAL_TTL, Approvers(Authority.APPROVE)) == (rule.quorum, rule.ttl, rule.approvers)
    binding = BindingEntry("b1", "user:ana", "Viewer", ALL_PROJECTS)
    assert (BindingState.ACTIVE, Conditions()) == (binding.state, binding.when)


def test_where_something_was_written_is_not_what_it_means() -> None:
    """Two documents that differ in positions only are equal."""
    assert PolicyDocument("acme") == PolicyDocument("acme", positions={"b1": Position("acme.yaml", 1, 1)})
