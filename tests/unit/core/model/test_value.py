"""The two kinds of value objects."""

from dataclasses import FrozenInstanceError

import pytest

from sidegate.core.model.value import hot_value, value


@value
class Lasting:
    """For the tests below."""

    number: int


@hot_value
class Passing:
    """For the tests below."""

    number: int


def test_a_value_is_immutable_and_hashable() -> None:
    """So that it can outlive a request and be a key."""
    lasting = Lasting(1)
    assert hash(Lasting(1)) == hash(lasting)
    with pytest.raises(FrozenInstanceError):
        lasting.number = 2  # type: ignore[misc]


def test_a_hot_value_is_cheap_and_not_hashable() -> None:
    """Nothing may keep it as a key, since only mypy holds it immutable."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Passing(1))


@pytest.mark.parametrize("made", [Lasting(1), Passing(1)], ids=["value", "hot-value"])
def test_no_value_grows_fields(made: object) -> None:
    """Slots: a misspelt field is an error, not a new attribute."""
    assert not hasattr(made, "__dict__")
