"""What load tests say of their figures."""

from xml.etree import ElementTree as ET

import pytest
from loadtests.chart import draw
from loadtests.engines import BINDINGS_PER_USER, Sidegate, bindings_of, questions_of
from loadtests.targets import Finding


@pytest.mark.parametrize(
    ("finding", "row"),
    [
        pytest.param(Finding("a", 0.8, most=0.8), ("a", "0.8", "<= 0.8", "met"), id="at-the-most"),
        pytest.param(Finding("a", 0.81, "µs", most=0.8), ("a", "0.81 µs", "<= 0.8 µs", "NOT MET"), id="above"),
        pytest.param(Finding("a", 1.8, least=1.8), ("a", "1.8", ">= 1.8", "met"), id="at-the-least"),
        pytest.param(Finding("a", 1.7, least=1.8), ("a", "1.7", ">= 1.8", "NOT MET"), id="below"),
        pytest.param(Finding("a", 5, "ms"), ("a", "5 ms", "-", ""), id="no-target"),
    ],
)
def test_a_figure_is_held_to_its_target(finding: Finding, row: tuple[str, str, str, str]) -> None:
    """The target itself still meets it; without one nothing is said."""
    assert row == finding.row()


def test_chart_shows_every_proxy_once() -> None:
    """One bar each, the cheapest first, other scenarios left out; whatever is said of them is only text."""

    def row(peer: str, scenario: str, median: float) -> dict[str, object]:
        cpu = {"median": median, "least": median - 1, "greatest": median + 1}
        return {"peer": peer, "scenario": scenario, "about": "a < b & c", "cpu_us": cpu}

    rows = [row("slow", "allowed", 90.0), row("sidegate", "allowed", 30.0), row("sidegate", "denied", 15.0)]
    svg = ET.fromstring(draw(rows))
    texts = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in {"slow", "sidegate"}] == ["sidegate", "slow"]
    assert sum("a < b & c" in text for text in texts) == 2


@pytest.mark.parametrize("size", [1_000, 20_000])
def test_engines_are_asked_what_has_an_answer(size: int) -> None:
    """Half of the questions are allowed by the bindings that are loaded, and Sidegate answers each as expected."""
    bindings = bindings_of(size)
    questions = questions_of(size)
    assert len(set(bindings)) == size == BINDINGS_PER_USER * len({user for user, _ in bindings})
    assert sum(allowed for *_, allowed in questions) * 2 == len(questions)
    held = set(bindings)
    assert all(
        ((user, project) in held and action == "read") is allowed for user, project, action, allowed in questions
    )
    engine = Sidegate()
    engine.load(bindings)
    assert [engine.decide(engine.prepare(question)) for question in questions] == [allowed for *_, allowed in questions]
