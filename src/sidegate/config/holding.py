"""Turns settings that were read into what a running sidecar holds of them (:mod:`sidegate.config.held`)."""

from typing import Any, cast

from pydantic import BaseModel, SecretStr

from sidegate.config.held import Secret, Section
from sidegate.config.settings_model import Settings


def hold(settings: Settings) -> Settings:
    """Return *settings* without the models that they were read with; attributes and properties are the same."""
    return cast("Settings", _held(settings))


def _held(setting: object) -> Any:  # noqa: ANN401  plain data of any shape
    match setting:
        case BaseModel():
            names = [*type(setting).model_fields, *_properties(type(setting))]
            return Section({name: _held(getattr(setting, name)) for name in names})
        case SecretStr():
            return Secret(setting.get_secret_value())
        case dict():
            return {name: _held(inner) for name, inner in setting.items()}
        case tuple():
            return tuple([_held(inner) for inner in setting])
        case _:
            return setting


def _properties(model: type[BaseModel]) -> list[str]:
    """Return the names of what *model* and the models that it extends work out from their fields."""
    ours = [one for one in model.__mro__ if issubclass(one, BaseModel) and one.__module__.startswith("sidegate.")]
    return [name for one in ours for name, member in vars(one).items() if isinstance(member, property)]
