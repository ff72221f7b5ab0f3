"""The only reader of the process's environment, and what ``SIDEGATE_*`` variables and flags set (spec 6)."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any, Final, get_origin

from pydantic import BaseModel

from sidegate.config.explain import annotation_at, names_at, suggest, unwrap
from sidegate.config.places import Outside
from sidegate.config.settings_model import Settings
from sidegate.config.yaml_tree import Path, read_tree, resolve_scalar
from sidegate.core.model.errors import Problem
from sidegate.core.model.value import value

PREFIX: Final = "SIDEGATE_"
CONFIG_VARIABLE: Final = "SIDEGATE_CONFIG"
"""Names the configuration file where no ``--config`` does; not a setting itself."""

_MAX_VALUE_BYTES: Final = 65_536


def read_environment() -> Mapping[str, str]:
    """Return the variables of this process as they are now."""
    return MappingProxyType(dict(os.environ))


def config_path(environment: Mapping[str, str]) -> FilePath | None:
    """Return the configuration file that *environment* names, if it does."""
    name = environment.get(CONFIG_VARIABLE)
    return FilePath(name) if name else None


@value
class Setting:
    """One setting from outside the file.

    Attributes:
        path: Where it belongs.
        given: Plain data, as a file would give it.
        label: What people call it: the variable, or the flag.
    """

    path: Path
    given: Any
    label: str


def settings_from_environment(environment: Mapping[str, str]) -> tuple[list[Setting], list[Problem]]:
    """Read every ``SIDEGATE_*`` variable; one that names no setting is a problem."""
    settings: list[Setting] = []
    problems: list[Problem] = []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        steps = tuple(step.lower() for step in variable.removeprefix(PREFIX).split("__"))
        if _is_known(steps):
            settings.append(Setting(steps, _data(steps, environment[variable]), variable))
        else:
            known = (_variable(path) for path in _all_paths())
            problems.append(Problem(None, variable, "is not known", suggest(variable, [*known, CONFIG_VARIABLE])))
    return settings, problems


def settings_from_overrides(overrides: Mapping[str, str]) -> tuple[list[Setting], list[Problem]]:
    """Read flags, by the dotted name of what they set, e.g. ``limits.headers``."""
    settings: list[Setting] = []
    problems: list[Problem] = []
    for name, text in overrides.items():
        steps = tuple(name.split("."))
        if _is_known(steps):
            settings.append(Setting(steps, _data(steps, text), f"--{name}"))
        else:
            hint = suggest(name, (".".join(map(str, path)) for path in _all_paths()))
            problems.append(Problem(None, f"--{name}", "is not known", hint))
    return settings, problems


def _variable(path: Path) -> str:
    return PREFIX + "__".join(str(step).upper() for step in path)


def _is_known(path: Path) -> bool:
    return annotation_at(Settings, path) is not None


def _data(path: Path, text: str) -> Any:  # noqa: ANN401  plain data of any shape
    """Turn *text* into what a file would hold: collections in YAML's flow form, text where the setting is text."""
    wanted = unwrap(annotation_at(Settings, path))
    is_collection = get_origin(wanted) is not None or (isinstance(wanted, type) and issubclass(wanted, BaseModel))
    if is_collection and text.lstrip()[:1] in {"[", "{"}:
        tree = read_tree(text.encode("utf-8", "surrogateescape"), "", _MAX_VALUE_BYTES)
        if not tree.problems:
            return _outside(tree.data)
    if is_collection and get_origin(wanted) in {tuple, frozenset}:
        return [_outside(part.strip()) for part in text.split(",")] if text else []
    # Durations are of a type of their own, which is a whole number.
    if getattr(wanted, "__supertype__", wanted) in {int, bool}:
        return resolve_scalar(text)
    return Outside(text)


def _outside(data: Any) -> Any:  # noqa: ANN401  plain data of any shape
    if isinstance(data, dict):
        return {key: _outside(inner) for key, inner in data.items()}
    if isinstance(data, list):
        return [_outside(inner) for inner in data]
    return Outside(data) if isinstance(data, str) else data


def _all_paths(path: Path = ()) -> Iterator[Path]:
    for name in names_at(Settings, path):
        yield (*path, name)
        yield from _all_paths((*path, name))
