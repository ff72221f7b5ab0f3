"""Edits as JSON Patch, and done to a document."""

from typing import Any

import pytest

from sidegate.injector.edits import Change, Edit, apply, json_patch, pointer


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        pytest.param((), "", id="root"),
        pytest.param(("a", 0, "b"), "/a/0/b", id="keys-and-indexes"),
        pytest.param(("sidegate.dev/inject",), "/sidegate.dev~1inject", id="slash"),
        pytest.param(("~1",), "/~01", id="tilde-first"),
        pytest.param(("",), "/", id="empty-key"),
    ],
)
def test_pointers(place: tuple[str | int, ...], expected: str) -> None:
    """RFC 6901 section 3: `~` and `/` are written as `~0` and `~1`."""
    assert pointer(place) == expected


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        pytest.param(Edit(Change.ADD, ("new",), 1), {"list": [1, 2], "key": "old", "new": 1}, id="add-key"),
        pytest.param(Edit(Change.ADD, ("list", 2), 3), {"list": [1, 2, 3], "key": "old"}, id="append"),
        pytest.param(Edit(Change.ADD, ("list", 0), 0), {"list": [0, 1, 2], "key": "old"}, id="before"),
        pytest.param(Edit(Change.REPLACE, ("list", 1), 9), {"list": [1, 9], "key": "old"}, id="replace-element"),
        pytest.param(Edit(Change.REPLACE, ("key",), "new"), {"list": [1, 2], "key": "new"}, id="replace-key"),
    ],
)
def test_edits_are_done(edit: Edit, expected: dict[str, Any]) -> None:
    """As RFC 6902 section 4 says."""
    document: dict[str, Any] = {"list": [1, 2], "key": "old"}
    apply(document, [edit])
    assert document == expected


def test_a_patch_is_a_list_of_operations() -> None:
    """Operation, pointer, value, in order."""
    edits = [Edit(Change.ADD, ("a", 0), {"b": 1}), Edit(Change.REPLACE, ("c",), None)]
    assert json_patch(edits) == [
        {"op": "add", "path": "/a/0", "value": {"b": 1}},
        {"op": "replace", "path": "/c", "value": None},
    ]
