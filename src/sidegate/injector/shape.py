"""Reading objects of Kubernetes that anybody may have sent: each access says what it expects, and where."""

from collections.abc import Iterable
from typing import Any, Final

from sidegate.core.model.errors import Problem, SidegateError

Object = dict[str, Any]
"""An object of Kubernetes, or a part of one, as JSON or YAML has it."""

CONTAINER_LISTS: Final = ("initContainers", "containers")
"""Where a pod's containers are, by when they start."""


class MalformedError(SidegateError):
    """An object is not what its kind says.

    Attributes:
        where: The path in it, e.g. ``spec.containers[0]``.
        wants: What should be there, e.g. ``an object``.
    """

    def __init__(self, where: str, wants: str) -> None:
        super().__init__(f"`{where or 'the document'}` is not {wants}; compare it with the API of Kubernetes")
        self.where = where
        self.wants = wants


class RefusedError(SidegateError):
    """The sidecar cannot be put in, or taken out; carries everything that is in the way."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def refusal(key: str, what: str, hint: str) -> Problem:
    """Return one thing that is in the way.

    Args:
        key: The annotation or field.
        what: What is wrong with it.
        hint: What to do next.
    """
    return Problem(None, key, what, hint)


_MAX_NUMBER: Final = (1 << 31) - 1
"""Ports and seconds of Kubernetes are int32, or in no need of more."""


def object_at(parent: Object, key: str, where: str) -> Object | None:
    """Return the object below *key*; None where nothing or null stands, which mean the same to Kubernetes.

    Raises:
        MalformedError: Something else is there.
    """
    found = parent.get(key)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise MalformedError(_below(where, key), "an object")
    return found


def objects_at(parent: Object, key: str, where: str) -> list[Object]:
    """Return the objects listed below *key*; none where nothing or null stands.

    Raises:
        MalformedError: Something else is there, or in the list.
    """
    found = parent.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise MalformedError(_below(where, key), "a list")
    for number, one in enumerate(found):
        if not isinstance(one, dict):
            raise MalformedError(f"{_below(where, key)}[{number}]", "an object")
    return found


def text_at(parent: Object, key: str, where: str) -> str | None:
    """Return the text below *key*, if there is something.

    Raises:
        MalformedError: Something else is there.
    """
    found = parent.get(key)
    if found is None:
        return None
    if not isinstance(found, str):
        raise MalformedError(_below(where, key), "text")
    return found


def number_at(parent: Object, key: str, where: str) -> int | None:
    """Return the whole number below *key*, if there is something.

    Raises:
        MalformedError: Something else is there.
    """
    found = parent.get(key)
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or abs(found) > _MAX_NUMBER:
        raise MalformedError(_below(where, key), f"a whole number up to {_MAX_NUMBER}")
    return found


def texts_at(parent: Object, key: str, where: str) -> dict[str, str]:
    """Return the object below *key*, whose values are text: labels, annotations.

    Raises:
        MalformedError: Something else is there.
    """
    found = object_at(parent, key, where) or {}
    for name, inner in found.items():
        if not isinstance(inner, str):
            wants = f'text; put it in quotes: `{name}: "{inner}"`' if isinstance(inner, bool | int) else "text"
            raise MalformedError(f"{_below(where, key)}.{name}", wants)
    return found


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
