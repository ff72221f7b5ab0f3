"""The two kinds of value objects."""

import copy
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, field, fields, replace
from typing import Any

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


@value
class Detailed:
    """For the tests below."""

    name: str
    size: int = 3
    parts: Mapping[str, object] = field(default_factory=dict)
    place: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return self.name


@hot_value
class Hurried:
    """For the tests below."""

    name: str
    size: int = 3


@value
class Empty:
    """For the tests below."""


@value
class Written:
    """For the tests below."""

    number: int

    def __repr__(self) -> str:
        return f"<{self.number}>"


def test_a_value_is_immutable_and_hashable() -> None:
    """So that it can outlive a request and be a key."""
    lasting = Lasting(1)
    assert hash(Lasting(1)) == hash(lasting)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'number'"):
        lasting.number = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'number'"):
        del lasting.number
    assert lasting.number == 1


def test_a_hot_value_is_cheap_and_not_hashable() -> None:
    """Nothing may keep it as a key, since only mypy holds it immutable."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Passing(1))


@pytest.mark.parametrize("made", [Lasting(1), Passing(1)], ids=["value", "hot-value"])
def test_no_value_grows_fields(made: object) -> None:
    """Slots: a misspelt field is an error, not a new attribute."""
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        pytest.param(Lasting(1), Lasting(1), True, id="same"),
        pytest.param(Lasting(1), Lasting(2), False, id="another-number"),
        pytest.param(Lasting(1), Passing(1), False, id="another-class"),
        pytest.param(Lasting(1), 1, False, id="no-value"),
        pytest.param(Hurried("a", 2), Hurried("a", 2), True, id="hot"),
        pytest.param(Hurried("a", 2), Hurried("b", 2), False, id="hot-first-field"),
        pytest.param(Hurried("a", 2), Hurried("a", 3), False, id="hot-last-field"),
        pytest.param(Detailed("a", place="here"), Detailed("a", place="there"), True, id="field-that-does-not-count"),
        pytest.param(Empty(), Empty(), True, id="no-fields"),
    ],
)
def test_values_are_compared_by_class_and_fields(one: object, other: object, are_equal: bool) -> None:
    """Equal is what has the same class and the same fields, but for those that do not count."""
    assert (one == other) is are_equal
    assert (one != other) is not are_equal


def test_fields_that_do_not_count_do_not_change_the_hash() -> None:
    """What is equal has one hash."""
    one, other = (Detailed("a", parts=(), place=place) for place in ("here", "there"))  # type: ignore[arg-type]
    assert hash(one) == hash(other)
    assert hash(Empty()) == hash(Empty())


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(Detailed("a", place="here"), "Detailed(name='a', size=3, parts={})", id="hidden-field"),
        pytest.param(Hurried("a"), "Hurried(name='a', size=3)", id="hot"),
        pytest.param(Empty(), "Empty()", id="no-fields"),
        pytest.param(Written(1), "<1>", id="of-its-own"),
    ],
)
def test_a_value_shows_its_fields(made: object, expected: str) -> None:
    """For logs and failing tests; a class may have a way of its own."""
    assert repr(made) == expected


def test_a_value_that_holds_itself_can_be_shown() -> None:
    """Showing ends."""
    around: dict[str, object] = {}
    made = Detailed("a", parts=around)
    around["self"] = made
    assert repr(made) == "Detailed(name='a', size=3, parts={'self': ...})"


def test_defaults_are_those_of_dataclasses() -> None:
    """By position, by name, left out; what is made anew is made anew each time."""
    assert Detailed("a") == Detailed(name="a", size=3)
    assert Detailed("a", 4) == Detailed(size=4, name="a")
    assert Detailed("a").parts is not Detailed("a").parts
    assert str(Detailed("a")) == "a"


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(Detailed, id="missing"),
        pytest.param(lambda: Detailed("a", 1, {}, "", 5), id="too-many"),  # type: ignore[call-arg]
        pytest.param(lambda: Detailed("a", weight=1), id="unknown"),  # type: ignore[call-arg]
        pytest.param(Hurried, id="hot-missing"),
    ],
)
def test_arguments_are_checked(call: Callable[[], Any]) -> None:
    """The error of Python names the class."""
    with pytest.raises(TypeError, match=r"(Detailed|Hurried)\.__init__\(\)"):
        call()


class Odd:
    """Does more than a value may."""

    number: int

    def __post_init__(self) -> None:
        """Never called."""


class Hidden:
    """Has a field that nobody gives."""

    number: int = field(init=False)


@pytest.mark.parametrize("declared", [Odd, Hidden])
def test_what_values_do_not_have_is_refused(declared: type) -> None:
    """When the class is made: otherwise it would be passed over in silence."""
    with pytest.raises(TypeError, match=declared.__name__):
        value(declared)


def test_values_are_dataclasses() -> None:
    """``fields``, ``replace`` and ``match`` work as they do for those."""
    assert [one.name for one in fields(Detailed)] == ["name", "size", "parts", "place"]
    assert replace(Detailed("a"), size=5) == Detailed("a", 5)
    assert replace(Hurried("a"), size=5) == Hurried("a", 5)
    match Detailed("a", 7):
        case Detailed(name, size):
            assert (name, size) == ("a", 7)


@pytest.mark.parametrize("made", [Detailed("a", 2, {"b": 1}, "here"), Lasting(1), Hurried("a"), Empty()])
def test_values_can_be_copied_and_handed_to_another_process(made: object) -> None:
    """Whole, though they cannot be assigned to."""
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other == made
        assert type(other) is type(made)
    assert getattr(pickle.loads(pickle.dumps(made)), "place", None) == getattr(made, "place", None)
