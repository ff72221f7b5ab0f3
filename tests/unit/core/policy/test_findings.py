"""How a problem of a policy document is told."""

import pytest

from sidegate.core.policy.findings import MAX_NAMES_COMPARED, Finding, Severity, Speller, error, warning


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        pytest.param("Viewr", {"Viewer", "Admin"}, "did you mean `Viewer`?", id="near"),
        pytest.param("xyz", {"Viewer", "Admin"}, "otherwise", id="far"),
        pytest.param("Viewer", set(), "otherwise", id="nothing-known"),
        pytest.param("n1", {f"n{place}" for place in range(MAX_NAMES_COMPARED + 1)}, "otherwise", id="too-many"),
    ],
)
def test_the_nearest_known_name(word: str, known: set[str], hint: str) -> None:
    """Where there is one, and where looking for it is affordable."""
    assert hint == Speller().suggest(word, known, "otherwise")


def test_suggestions_end() -> None:
    """Not for the thousandth slip any more, whatever it is held against."""
    speller = Speller(comparisons=5)
    known = {"Viewer", "Admin"}
    hints = [speller.suggest("Viewr", known, "otherwise") for _ in range(3)]
    assert hints == ["did you mean `Viewer`?", "did you mean `Viewer`?", "otherwise"]
    assert speller.suggest("Viewr", {"Viewer"}, "otherwise") == "did you mean `Viewer`?"


def test_severities() -> None:
    """Two kinds, told apart by how they are built."""
    assert Finding(Severity.ERROR, "b1", "what", "hint") == error("b1", "what", "hint")
    assert Finding(Severity.WARNING, "b1", "what", "hint") == warning("b1", "what", "hint")
