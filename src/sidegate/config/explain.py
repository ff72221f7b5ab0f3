"""What a model refuses, said in the words of the file: where, which key, what is wrong, what to write instead."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import Enum
from types import UnionType
from typing import Any, Final, Literal, Protocol, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sidegate.config.forms import Hint
from sidegate.config.yaml_tree import Path
from sidegate.core.model.errors import Position, Problem

M = TypeVar("M", bound=BaseModel)

_SHOWN: Final = 60
"""Characters of a value that an error repeats."""


class Written(BaseModel):
    """Base of everything that is written in a file: immutable, and a key that nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True)


class Places(Protocol):
    """Where values were written; a file, or a file with variables and flags over it."""

    def position(self, path: Path) -> Position | None:
        """Return where the value at *path* starts; None when it was not in a file."""

    def key_position(self, path: Path) -> Position | None:
        """Return where the key of *path* starts; None when it was not in a file."""

    def written(self, path: Path) -> str | None:
        """Return the number or constant at *path* as it was written."""

    def label(self, path: Path) -> str:
        """Return what people call *path*: ``limits.headers``, or the variable that set it."""


class Below:
    """The places of a part of a file."""

    def __init__(self, places: Places, around: Path) -> None:
        self._places = places
        self._around = around

    def position(self, path: Path) -> Position | None:
        """Return where the value at *path* starts."""
        return self._places.position((*self._around, *path))

    def key_position(self, path: Path) -> Position | None:
        """Return where the key of *path* starts."""
        return self._places.key_position((*self._around, *path))

    def written(self, path: Path) -> str | None:
        """Return the number or constant at *path* as it was written."""
        return self._places.written((*self._around, *path))

    def label(self, path: Path) -> str:
        """Return what people call *path*."""
        return self._places.label((*self._around, *path))


def validate(model: type[M], data: object, places: Places, context: object = None) -> tuple[M | None, list[Problem]]:
    """Read *data* into *model*, or say everything that is wrong with it; *context* is the validators' own."""
    empty = set(find_empty(data))
    problems = [
        Problem(places.key_position(path), places.label(path), "is empty", "write a value, or remove the key")
        for path in sorted(empty, key=str)
    ]
    try:
        made = model.model_validate(data, context=context)
    except ValidationError as exc:
        errors = [error for error in exc.errors(include_url=False) if error["loc"] not in empty]
        # A list counts only its good elements: it is not too short when some of them are wrong.
        around = {error["loc"][:-1] for error in errors}
        told = (error for error in errors if error["type"] != "too_short" or error["loc"] not in around)
        problems.extend(_problem(model, error, places) for error in told)
        return None, problems
    return (None if problems else made), problems


def find_empty(data: object, path: Path = ()) -> Iterable[Path]:
    """Yield where *data* holds nothing.

    A key without a value is never taken for a key that is not there: ``not_after:`` with the date forgotten would be a
    binding that never ends.
    """
    if data is None:
        yield path
    elif isinstance(data, dict):
        for key, inner in data.items():
            if type(inner) is not str:
                yield from find_empty(inner, (*path, key))
    elif isinstance(data, list):
        for place, inner in enumerate(data):
            if type(inner) is not str:
                yield from find_empty(inner, (*path, place))


def suggest(name: str, known: Iterable[str]) -> str:
    """Say which of the *known* names may be meant by *name*, or which there are."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known are {', '.join(names)}" if names else "nothing is known here; remove it"


def _problem(model: type[BaseModel], error: ErrorDetails, places: Places) -> Problem:
    is_key = bool(error["loc"]) and error["loc"][-1] == "[key]"
    path: Path = error["loc"][:-1] if is_key else error["loc"]
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        around, name = path[:-1], str(path[-1])
        field = _field_of(model, path)
        return Problem(
            places.position(around), places.label(path), "is missing", f"add it, e.g. {_example(name, field)}"
        )
    if kind == "extra_forbidden":
        hint = suggest(str(path[-1]), names_at(model, path[:-1]))
        return Problem(places.key_position(path), places.label(path), "is not known", hint)
    if kind == "refused":
        path = (*path, *context["below"])
    place = places.key_position(path) if is_key else places.position(path)
    if kind == "refused":
        return Problem(place, places.label(path), context["what"], context["hint"])
    what = f"is {_show(error['input'], places.written(path))}"
    return Problem(place, places.label(path), what, _hint(model, path, error, places))


def _show(given: object, written: str | None) -> str:
    if isinstance(given, str):
        return f"'{given[:_SHOWN]}'"
    if isinstance(given, dict):
        return "a mapping"
    if isinstance(given, list):
        return "a list"
    return written or str(given)


def _hint(model: type[BaseModel], path: Path, error: ErrorDetails, places: Places) -> str:
    field = _field_of(model, path)
    annotation = unwrap(annotation_at(model, path))
    context: Mapping[str, Any] = error.get("ctx", {})
    for item in field.metadata if field is not None else ():
        if isinstance(item, Hint):
            return item.text
    match error["type"]:
        case "int_type" | "int_from_float":
            return f"write {_unit(path)}, e.g. {_number(field)}"
        case "bool_type":
            return "write true or false"
        case "string_type" if isinstance(error["input"], dict | list):
            return "write text"
        case "string_type":
            return f'put it in quotes: "{places.written(path) or error["input"]}"'
        case "enum" | "literal_error":
            names = choices(annotation)
            close = get_close_matches(str(error["input"]), names, n=1)
            return f"did you mean `{close[0]}`?" if close else f"write one of {', '.join(names)}"
        case "greater_than_equal":
            return f"write {_unit(path)}, at least {context['ge']}"
        case "less_than_equal":
            return f"write {_unit(path)}, at most {context['le']}"
        case "too_short":
            return f"write at least {context['min_length']}"
        case "too_long":
            return f"write at most {context['max_length']}"
        case "tuple_type" | "list_type":
            return "write a list, e.g. [a, b]"
        case "dict_type" | "model_type" | "model_attributes_type":
            names = sorted(names_at(model, path))
            return (
                f"write a mapping with the keys {', '.join(names)}" if names else "write a mapping, e.g. {key: value}"
            )
        case _:
            return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


_UNITS: Final = {"_ms": "whole milliseconds", "_s": "whole seconds", "_bytes": "whole bytes"}


def _unit(path: Path) -> str:
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "a whole number")


def _number(field: FieldInfo | None) -> str:
    if field is not None and field.examples:
        return str(field.examples[0])
    return str(field.default) if field is not None and isinstance(field.default, int) else "1"


def _example(name: str, field: FieldInfo | None) -> str:
    if field is not None and field.examples:
        return f"`{name}: {field.examples[0]}`"
    names = choices(unwrap(field.annotation)) if field is not None else []
    return f"`{name}: {names[0]}`" if names else f"`{name}: …`"


def choices(annotation: object) -> list[str]:
    """List the values of an enum or of a Literal."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []


def unwrap(annotation: object) -> object:
    """Take ``Annotated`` and ``| None`` off."""
    while True:
        origin = get_origin(annotation)
        if hasattr(annotation, "__metadata__"):
            annotation = get_args(annotation)[0]
        elif origin is Union or origin is UnionType:
            annotation = next(inner for inner in get_args(annotation) if inner is not type(None))
        else:
            return annotation


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of *model* by the name under which they are written."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def annotation_at(model: type[BaseModel], path: Path) -> object:
    """Return the declared type of the value at *path*, or None where nothing is declared."""
    annotation: object = model
    for step in path:
        annotation = unwrap(annotation)
        while isinstance(annotation, type) and issubclass(annotation, RootModel):
            annotation = unwrap(annotation.model_fields["root"].annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = fields_of(annotation).get(str(step))
            annotation = None if field is None else field.annotation
        elif get_origin(annotation) in {tuple, list, frozenset}:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) is dict or get_origin(annotation) is Mapping:
            annotation = get_args(annotation)[1]
        else:
            return None
    return annotation


def _field_of(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """Return the field that *path* leads to, or the nearest one around it."""
    for end in range(len(path), 0, -1):
        owner = unwrap(annotation_at(model, path[: end - 1]))
        if isinstance(owner, type) and issubclass(owner, BaseModel) and str(path[end - 1]) in fields_of(owner):
            return fields_of(owner)[str(path[end - 1])]
    return None


def names_at(model: type[BaseModel], path: Path) -> list[str]:
    """Return the names that are known at *path*."""
    annotation = unwrap(annotation_at(model, path))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return list(fields_of(annotation))
    return []
