"""Errors are said in the words of the file."""

from enum import StrEnum
from typing import Literal

import pytest
from pydantic import Field

from sidegate.config.explain import Written, annotation_at, choices, find_empty, names_at, suggest, validate
from sidegate.config.forms import Duration, Flag, Text, Whole, refuse
from sidegate.config.yaml_tree import read_tree
from sidegate.core.model.errors import Problem
from sidegate.core.model.units import Millis


class Colour(StrEnum):
    """A closed set."""

    RED = "red"
    GREEN = "green"


class Inner(Written):
    """Something nested."""

    wait_ms: Duration = Field(default=Millis(5), ge=1, le=9)
    size_bytes: Whole = Field(default=1, examples=[4096])
    colour: Colour = Colour.RED


class Outer(Written):
    """A file."""

    name: Text = Field(min_length=2, max_length=3)
    colour: Colour
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    few: tuple[Text, ...] = Field(default=(), max_length=1)
    by_name: dict[str, Inner] = Field(default={})
    mode: Literal["fast", "slow"] = "fast"
    is_on: Flag | None = None
    loose: dict[str, Text] = Field(default={})


def problems(text: str) -> list[str]:
    """Read *text*, which has to fail."""
    tree = read_tree(text.encode(), "f", 10_000)
    made, found = validate(Outer, tree.data, tree)
    assert made is None
    return [str(problem) for problem in found]


GOOD = "name: ab\ncolour: red\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("name: ab", "f:1:1: `colour` is missing; add it, e.g. `colour: red`", id="missing-choice"),
        pytest.param("colour: red", "f:1:1: `name` is missing; add it, e.g. `name: …`", id="missing-text"),
        pytest.param(
            GOOD + "inner: {x: 1}", "f:3:9: `inner.x` is not known; known are colour, size_bytes, wait_ms", id="key"
        ),
        pytest.param(GOOD + "innr: {}", "f:3:1: `innr` is not known; did you mean `inner`?", id="misspelt-key"),
        pytest.param(
            GOOD + "inner: {wait_ms: x}", "`inner.wait_ms` is 'x'; write whole milliseconds, e.g. 5", id="unit"
        ),
        pytest.param(GOOD + "inner: {wait_ms: 0}", "is 0; write whole milliseconds, at least 1", id="least"),
        pytest.param(GOOD + "inner: {wait_ms: 10}", "is 10; write whole milliseconds, at most 9", id="most"),
        pytest.param(GOOD + "inner: {size_bytes: [1]}", "is a list; write whole bytes, e.g. 4096", id="example"),
        pytest.param(
            GOOD + "many: [{}, {colour: gren}]", "`many[1].colour` is 'gren'; did you mean `green`?", id="near"
        ),
        pytest.param(GOOD + "many: [{colour: 7}]", "`many[0].colour` is 7; write one of red, green", id="choices"),
        pytest.param(GOOD + "many: x", "`many` is 'x'; write a list, e.g. [a, b]", id="list"),
        pytest.param(GOOD + "few: [a, b]", "`few` is a list; write at most 1", id="too-many"),
        pytest.param(GOOD + "by_name: {a: {y: 1}}", "f:3:15: `by_name.a.y` is not known; ", id="named"),
        pytest.param(GOOD + "by_name: []", "`by_name` is a list; write a mapping, e.g. {key: value}", id="mapping"),
        pytest.param(
            GOOD + "inner: 1.50", "`inner` is 1.50; write a mapping with the keys colour, ", id="number-as-written"
        ),
        pytest.param(GOOD + "mode: fst", "`mode` is 'fst'; did you mean `fast`?", id="literal"),
        pytest.param(GOOD + "is_on: 1", "`is_on` is 1; write true or false", id="truth"),
        pytest.param(GOOD + "loose: {a: 1.0}", '`loose.a` is 1.0; put it in quotes: "1.0"', id="text"),
        pytest.param(GOOD + "loose: {a: [1]}", "`loose.a` is a list; write text", id="text-not-list"),
        pytest.param(
            "name: abcd\ncolour: red", "`name` is 'abcd'; string should have at most 3 characters", id="other"
        ),
        pytest.param(GOOD + "inner: ", "f:3:1: `inner` is empty; write a value, or remove the key", id="empty"),
        pytest.param(GOOD + "few: [~]", "f:3:7: `few[0]` is empty; ", id="empty-element"),
    ],
)
def test_words(text: str, expected: str) -> None:
    """Each kind of mistake has its sentence."""
    (problem,) = problems(text)
    assert expected in problem


def test_long_values_are_cut() -> None:
    """An error never repeats a whole file."""
    (problem,) = problems(f"name: ab\ncolour: {'x' * 500}")
    assert "x" * 60 in problem
    assert "x" * 61 not in problem


def test_validator_below() -> None:
    """A validator of a mapping can point at a key in it."""
    error = refuse("is odd", "make it even", ("a", 0))
    assert (error.type, error.context) == ("refused", {"what": "is odd", "hint": "make it even", "below": ("a", 0)})


def test_good_data() -> None:
    """Good data is read, with no problems."""
    tree = read_tree(GOOD.encode(), "f", 10_000)
    made, found = validate(Outer, tree.data, tree)
    assert (made, list[Problem]()) == (Outer(name="ab", colour=Colour.RED), found)


def test_empty_values() -> None:
    """Empty values are found wherever they are."""
    data = {"a": None, "b": [1, None, {"c": None}], "d": {"e": "x"}}
    assert list(find_empty(data)) == [("a",), ("b", 1), ("b", 2, "c")]


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("headrs", ["headers", "head"], "did you mean `headers`?"),
        ("zzz", ["b", "a"], "known are a, b"),
        ("zzz", [], "nothing is known here; remove it"),
    ],
)
def test_suggestions(name: str, known: list[str], expected: str) -> None:
    """The nearest known name, or all of them."""
    assert expected == suggest(name, known)


def test_declared_types() -> None:
    """What is declared at a path is found through lists, mappings and options."""
    assert annotation_at(Outer, ("many", 3)) is Inner
    assert annotation_at(Outer, ("by_name", "x", "colour")) is Colour
    assert annotation_at(Outer, ("name", "x")) is None
    assert annotation_at(Outer, ("nope",)) is None
    assert names_at(Outer, ("inner",)) == ["wait_ms", "size_bytes", "colour"]
    assert names_at(Outer, ("name",)) == []
    assert (choices(Colour), choices(Literal["a"]), choices(str)) == (["red", "green"], ["a"], [])
