"""Changes of an object, as RFC 6902 has them: what the webhook sends, and what is done to a manifest."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from sidegate.core.model.value import value

Place = tuple[str | int, ...]
"""Keys and indexes from the root of the object."""


class Change(StrEnum):
    """What an edit does (RFC 6902 section 4)."""

    ADD = "add"
    REPLACE = "replace"


@value
class Edit:
    """One change.

    Attributes:
        change: ``add`` puts a key in, or an element before the index, which may be the list's length.
        place: Where.
        given: What is then there.
    """

    change: Change
    place: Place
    given: Any


_ESCAPES: Final = str.maketrans({"~": "~0", "/": "~1"})


def pointer(place: Place) -> str:
    """Write *place* as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(step).translate(_ESCAPES)}" for step in place)


def json_patch(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """Return *edits* as a JSON Patch document."""
    return [{"op": str(edit.change), "path": pointer(edit.place), "value": edit.given} for edit in edits]


def apply(document: Any, edits: Iterable[Edit]) -> None:  # noqa: ANN401  any part of an object
    """Do *edits* to *document*, in their order. What is given is put in as it is, not copied."""
    for edit in edits:
        parent = document
        for step in edit.place[:-1]:
            parent = parent[step]
        last = edit.place[-1]
        if edit.change is Change.ADD and isinstance(parent, list) and isinstance(last, int):
            parent.insert(last, edit.given)
        else:
            parent[last] = edit.given
