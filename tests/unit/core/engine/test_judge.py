"""The single checks; :mod:`test_decide` has them in their order."""

import pytest
from tests.unit.core.engine.asking import NOW, ask, bind, mask, policy, subject_of, withhold

from sidegate.core.engine.judge import (
    judge_node,
    narrowed_by,
    restricted_by,
    withheld_by,
    withheld_in_subtree_by,
)
from sidegate.core.model.authority import BIT
from sidegate.core.model.decision import Outcome, Reason
from sidegate.core.model.principal import Link, LinkDeny
from sidegate.core.model.target import parse_scope
from sidegate.core.policy.table import Entry, Node


def test_a_place_where_nothing_gives_it_refuses_for_the_reason_of_the_check() -> None:
    """``above_ceiling`` or ``not_granted``, because of all entries there."""
    node, subject, query = (
        Node([Entry("b2", mask("read")), Entry("b1", mask(""))]),
        subject_of(policy()),
        ask("run", "p1"),
    )
    for reason in (Reason.ABOVE_CEILING, Reason.NOT_GRANTED):
        decision = judge_node(subject, node, query, BIT[query.authority], NOW, otherwise=reason)
        assert (Outcome.DENY, reason, ("b1", "b2")) == (decision.outcome, decision.reason, decision.because)


@pytest.mark.parametrize(
    ("target", "on_target", "in_subtree"),
    [
        pytest.param("p1", (), ("d1", "d2", "agent:ag_1"), id="above"),
        pytest.param("p1@main:a", ("d1", "d2", "agent:ag_1"), ("d1", "d2", "agent:ag_1"), id="on-it"),
        pytest.param("p1@main:a/b", ("d1", "d2", "agent:ag_1"), ("d1", "d2", "agent:ag_1"), id="below"),
        pytest.param("p2", (), (), id="elsewhere"),
    ],
)
def test_what_withholds_here_and_below(target: str, on_target: tuple[str, ...], in_subtree: tuple[str, ...]) -> None:
    """Denies of the principal, denies on a link, a link's own denies."""
    here = "p1@main:a"
    subject = subject_of(policy(denies=(withhold("d2", "read", here), withhold("d1", "read", here, who="agent:ag_1"))))
    query = ask("read", target, chain=(Link("ag_1", deny=(LinkDeny(mask("read"), parse_scope(here)),)),))
    bit = BIT[query.authority]
    assert on_target == withheld_by(subject, query, bit)
    assert in_subtree == withheld_in_subtree_by(subject, query, bit)


def test_an_unrestricted_credential() -> None:
    """Check 7 has nothing to say."""
    assert None is restricted_by(ask("read", "p1"), mask("read"), NOW)


def test_the_first_place_below_speaks_for_all() -> None:
    """A record that named a thousand bindings would help nobody; which one is fixed."""
    branches = [bind(f"b{name}", "Viewer", f"p1@{name}") for name in ("z", "m", "a")]
    branches.append(bind("b0", "Designer", "p1@a:wide"))
    subject = subject_of(policy(bind("b1", "Designer", "p1"), bind("b2", "Designer", "p1@0"), *branches))
    assert narrowed_by(subject, ask("write", "p1", subtree=True), mask("write"), NOW) == ("ba",)
