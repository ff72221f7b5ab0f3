"""Settings without the models that they were read with."""

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from tests.unit.config.files import Folder

from sidegate.config import audit_model, listener_model, session_model, settings_model
from sidegate.config.held import Secret, Section, Settings
from sidegate.config.holding import hold

_MODELS = [
    model
    for module in (audit_model, listener_model, session_model, settings_model)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
]
_SECRET = "0123456789abcdef0123456789abcdef-"
_WRITTEN = f"""\
upstream: {{url: 'https://ds:9000', tls: {{server_name: ds.internal}}}}
listen: {{address: '127.0.0.1:0', protocols: [http/1.1]}}
hide: [no_grant, cross_org]
trusted_proxies: [10.0.0.0/8]
sessions:
  signed: {{issuer: i, algorithms: [HS256], secret: '{_SECRET}'}}
  surfaces: {{kiosk: {{idle_ms: 1000, absolute_ms: 2000}}}}
audit: {{sinks: [{{file: out}}, {{http: 'https://logs.example/x'}}]}}
"""


@pytest.fixture
def settings(folder: Folder) -> Settings:
    """Settings in which every kind of value is."""
    return folder.load(_WRITTEN)


def _differences(model: Any, held: Any, path: str = "") -> Iterator[str]:
    """Yield where *held* says something else than *model*."""
    if isinstance(model, BaseModel):
        for name in type(model).model_fields:
            yield from _differences(getattr(model, name), getattr(held, name), f"{path}.{name}")
    elif isinstance(model, SecretStr):
        if model.get_secret_value() != held.get_secret_value():
            yield path
    elif isinstance(model, dict):
        for key, inner in model.items():
            yield from _differences(inner, held[key], f"{path}.{key}")
    elif isinstance(model, tuple):
        for number, (inner, other) in enumerate(zip(model, held, strict=True)):
            yield from _differences(inner, other, f"{path}[{number}]")
    elif model != held or type(model) is not type(held):
        yield path


def test_every_setting_is_the_same(settings: Settings) -> None:
    """Under the same name, also on the other side of a pipe."""
    held = hold(settings)
    assert list(_differences(settings, held)) == []
    assert list(_differences(settings, pickle.loads(pickle.dumps(held)))) == []


def test_nothing_of_the_models_is_left(settings: Settings) -> None:
    """Who unpickles them needs no pydantic."""
    content = pickle.dumps(hold(settings))
    assert b"pydantic" not in content
    assert re.findall(rb"sidegate\.config\.\w+_model", content) == []


def test_what_models_work_out_is_kept(settings: Settings) -> None:
    """Properties are attributes like others."""
    assert [sink.kind for sink in hold(settings).audit.sinks] == ["file", "http"]


@pytest.mark.parametrize("model", _MODELS, ids=lambda model: model.__name__)
def test_no_model_has_methods(model: type[BaseModel]) -> None:
    """A method would be there for the type checker and in tests, but not in a running sidecar."""
    methods = [
        name
        for name, member in vars(model).items()
        if not name.startswith(("_", "model_")) and callable(member) and name not in model.model_fields
    ]
    assert methods == []


def test_held_settings_cannot_be_changed(settings: Settings) -> None:
    """No more than those that were read."""
    held: Any = hold(settings)
    with pytest.raises(AttributeError, match="cannot assign to setting 'workers'"):
        held.workers = 2
    with pytest.raises(AttributeError, match="cannot delete setting 'workers'"):
        del held.workers
    assert isinstance(held, Section)
    assert held.workers == 1


def test_secrets_are_not_shown(settings: Settings) -> None:
    """Neither alone nor in what holds them."""
    held = hold(settings)
    assert _SECRET not in repr(held) + str(held)
    assert (repr(Secret("x")), str(Secret("x"))) == ("Secret('***')", "***")


def test_a_setting_that_does_not_exist(settings: Settings) -> None:
    """Is an error, as with the models."""
    held: Any = hold(settings)
    with pytest.raises(AttributeError):
        _ = held.nothing


def test_paths_stay_paths(settings: Settings, tmp_path: Path) -> None:
    """In the folder of the file that they were read from."""
    assert hold(settings).audit.sinks[0].file == tmp_path / "out"
