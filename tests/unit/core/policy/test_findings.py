"""How a problem of a policy document is told."""

import pytest

from sidegate.core.policy.findings import MAX_NAMES_COMPARED, Finding, Severity, did_you_mean, error, warning


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
    assert hint == did_you_mean(word, known, "otherwise")


def test_severities() -> None:
    """Two kinds, told apart by how they are built."""
    assert Finding(Severity.ERROR, "b1", "what", "hint") == error("b1", "what", "hint")
    assert Finding(Severity.WARNING, "b1", "what", "hint") == warning("b1", "what", "hint")
