"""JSON Schemas of our files, made from the models that read them, so that editors complete and check the same."""

import json
from importlib.resources import files
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from sidegate.config.listener_model import Listener
from sidegate.config.patch_file import WrittenPatch
from sidegate.config.policy_model import WrittenPolicy
from sidegate.config.routes_model import WrittenRoutes
from sidegate.config.settings_model import Settings, plain

MODELS: Final[dict[str, type[BaseModel]]] = {
    "sidegate": Settings,
    "routes": WrittenRoutes,
    "policy": WrittenPolicy,
    "policy-patch": WrittenPatch,
}
"""By the name of the schema: ``schemas/<name>.json``."""


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401  as pydantic declares it
        """Write defaults as a file would hold them, a listener in its short form."""
        return str(dft.address) if isinstance(dft, Listener) else _written(plain(dft))


def _written(data: Any) -> Any:  # noqa: ANN401  plain data of any shape
    """Leave out what a file would leave out."""
    if isinstance(data, dict):
        return {key: _written(inner) for key, inner in data.items() if inner is not None}
    return [_written(inner) for inner in data] if isinstance(data, list) else data


def generate_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file that *model* reads."""
    schema = model.model_json_schema(schema_generator=_Generator)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_tidy(schema)}


def _tidy(schema: Any, *, is_named: bool = False) -> Any:  # noqa: ANN401  any part of a schema
    """Say what the reader does beyond the models: no empty values, and no key that matches no pattern.

    Args:
        schema: A schema or a part of one.
        is_named: Its keys are names of properties or definitions, not keywords.
    """
    if isinstance(schema, list):
        return [_tidy(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {
        key: _tidy(inner, is_named=not is_named and key in {"properties", "$defs", "patternProperties"})
        for key, inner in schema.items()
        if is_named or not (key in {"title", "propertyNames"} or (key == "default" and inner is None))
    }
    if is_named:
        return tidy
    choices = [choice for choice in tidy.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del tidy["anyOf"]
        tidy = {**choices[0], **tidy}
    elif choices:
        tidy["anyOf"] = choices
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy


def schema_text(name: str) -> str:
    """Return the shipped form of the schema called *name*."""
    return json.dumps(generate_schema(MODELS[name]), indent=2, ensure_ascii=False) + "\n"


def shipped_schema(name: str) -> str:
    """Return the schema called *name* as it is in the package."""
    return files("sidegate.config").joinpath("schemas", f"{name}.json").read_text("utf-8")
