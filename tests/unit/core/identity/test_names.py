"""Names from credentials that are safe to use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.core.identity.names import is_safe_id, is_surface


@given(st.text(min_size=1, max_size=130))
def test_is_safe_id(text: str) -> None:
    """Exactly 1 to 128 visible ASCII characters without those that divide or quote header values."""
    expected = len(text) <= 128 and all("!" <= char <= "~" and char not in '",;\\' for char in text)
    assert expected == is_safe_id(text)


@pytest.mark.parametrize("found", [None, 1, True, b"ana", ["ana"], ""])
def test_is_safe_id_other_types(found: object) -> None:
    """Nothing but a text that is not empty."""
    assert not is_safe_id(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", True),
        ("kiosk-2_b", True),
        ("a" * 32, True),
        ("a" * 33, False),
        ("Web", False),
        ("2web", False),
        (1, False),
    ],
)
def test_is_surface(text: object, expected: bool) -> None:
    """Lower-case names of at most 32 characters."""
    assert expected == is_surface(text)
