"""The data path stays as cheap as it is: what a request makes our code do, held against a budget."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.performance.cost import PYTHON, Cost, difference, measure, read_budget

from sidegate.proxy import exchange

_SLACK = 1.05
_UPDATE = "if it is worth that, `python -m tests.unit.performance.cost --update` makes it the budget"

BUDGET = read_budget()

pytestmark = [
    pytest.mark.skipif(not BUDGET, reason=f"nobody has counted on Python {PYTHON} yet; {_UPDATE}"),
    pytest.mark.skipif(not exchange.__file__.endswith(".py"), reason="compiled code has no instructions to count"),
]


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cost]:
    """Count once for all scenarios."""
    folder: Path = tmp_path_factory.mktemp("cost")
    return asyncio.run(measure(folder))


@pytest.mark.parametrize("scenario", BUDGET)
def test_cost(costs: dict[str, Cost], scenario: str) -> None:
    """No request executes more than 5 % more instructions, or makes more than 5 % more calls, than it may."""
    cost, budget = costs[scenario], BUDGET[scenario]
    is_within = (
        cost.instructions <= budget.instructions * _SLACK
        and sum(cost.calls.values()) <= sum(budget.calls.values()) * _SLACK
    )
    assert is_within, f"{scenario} costs more: {difference(cost, budget)}\n{_UPDATE}"


def test_every_scenario_has_a_budget(costs: dict[str, Cost]) -> None:
    """And nothing else has."""
    assert costs.keys() == BUDGET.keys()


def test_difference_names_the_functions() -> None:
    """The greatest first, those that are as before left out."""
    budget = Cost(100.0, {"a.py:f": 1.0, "b.py:g": 2.0, "c.py:h": 1.0})
    cost = Cost(130.0, {"a.py:f": 1.0, "b.py:g": 5.0, "d.py:i": 1.0})
    assert difference(cost, budget).splitlines() == [
        "130 instructions, the budget is 100; calls per request:",
        "   +3.00 calls  b.py:g",
        "   -1.00 calls  c.py:h",
        "   +1.00 calls  d.py:i",
    ]


def test_difference_within_functions() -> None:
    """The calls say nothing then."""
    told = difference(Cost(130.0, {"a.py:f": 1.0}), Cost(100.0, {"a.py:f": 1.0}))
    assert told.endswith("as before: the functions themselves do more")
