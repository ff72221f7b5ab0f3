"""Two ways to declare a value object.

Both are dataclasses to whoever uses them (``fields``, ``replace``, ``match``). Python's own decorator writes the source
of each method of each class and compiles it whenever the module is imported: for two hundred of them that is a fifth of
the instructions of a start (spec 7). Comparing, hashing and showing need no more than the fields' names; what is left
to compile is ``__init__``.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, Final, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")

_LEFT_OUT: Final = object()
"""Stands for an argument that was not given, where the default is made anew each time."""


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Immutable, slotted, hashable. For what outlives a request."""
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    compared = _reader(made, lambda one: one.compare)
    every = _reader(made, lambda one: True)
    made.__init__ = _initializer(made)
    made.__setattr__ = _refuse_assignment
    made.__delattr__ = _refuse_deletion
    made.__hash__ = lambda self: hash(compared(self))
    made.__reduce__ = lambda self: (type(self), every(self))  # the usual way would assign
    _compare_and_show(made, compared)
    return made  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True)
def hot_value(cls: type[T]) -> type[T]:
    """Immutable to mypy only, and not hashable. For what is made once per request.

    A frozen one assigns through the descriptors of its slots: about three times the cost of a plain assignment.
    """
    made: Any = dataclass(repr=False, eq=False, slots=True)(cls)
    made.__hash__ = None
    _compare_and_show(made, _reader(made, lambda one: one.compare))
    return made  # type: ignore[no-any-return]


def _compare_and_show(made: Any, compared: Callable[[object], tuple[Any, ...]]) -> None:  # noqa: ANN401  any class
    def equals(self: object, other: object) -> object:
        if type(other) is not type(self):
            return NotImplemented
        return compared(self) == compared(other)

    made.__eq__ = equals
    if made.__repr__ is object.__repr__:
        made.__repr__ = _show


def _reader(made: Any, wanted: Callable[[Field[Any]], bool]) -> Callable[[object], tuple[Any, ...]]:  # noqa: ANN401
    """Return what reads the *wanted* fields of an object, in their order."""
    names = [one.name for one in fields(made) if wanted(one)]
    if len(names) > 1:
        return attrgetter(*names)
    get = [attrgetter(name) for name in names]
    return lambda self: tuple([one(self) for one in get])


@recursive_repr()
def _show(self: Any) -> str:  # noqa: ANN401  any value
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({shown})"


def _initializer(made: Any) -> Callable[..., None]:  # noqa: ANN401  any class
    """Make ``__init__``, which fills the slots past ``__setattr__``."""
    names: dict[str, Any] = {"_left_out": _LEFT_OUT}
    parameters, lines = [], []
    if hasattr(made, "__post_init__"):
        raise TypeError(f"{made.__qualname__} has a __post_init__, which a value does not call; write a function")
    for one in fields(made):
        name = one.name
        if not one.init or one.kw_only:
            raise TypeError(f"{made.__qualname__}.{name} is no ordinary argument; a value has no other fields")
        names[f"_set_{name}"] = getattr(made, name).__set__
        if one.default_factory is not MISSING:
            names[f"_make_{name}"] = one.default_factory
            parameters.append(f"{name}=_left_out")
            lines.append(f"_set_{name}(self, _make_{name}() if {name} is _left_out else {name})")
            continue
        if one.default is not MISSING:
            names[f"_default_{name}"] = one.default
        parameters.append(name if one.default is MISSING else f"{name}=_default_{name}")
        lines.append(f"_set_{name}(self, {name})")
    body = "\n  ".join(lines) or "pass"
    # As dataclasses do: only names of fields are in it, and Python took those for names already.
    exec(f"def __init__(self, {', '.join(parameters)}):\n  {body}", names)  # noqa: S102  see above
    made_init: Callable[..., None] = names["__init__"]
    made_init.__qualname__ = f"{made.__qualname__}.__init__"
    made_init.__module__ = made.__module__
    return made_init


def _refuse_assignment(self: object, name: str, _given: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
