"""values.schema.json: the model of the values with the model of the settings below `config`.

Helm reads it with Go's regular expressions (RE2) and, before 3.18, as draft 7 of JSON Schema: it is written so that all
of them read the same.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from scripts.helm_chart.values_file import ValueLine
from scripts.helm_chart.values_model import Values

from sidegate.config.json_schema import generate_schema
from sidegate.config.settings_model import Settings

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"

MANAGED: Final[dict[tuple[str, ...], str]] = {
    ("listen", "address"): "bindAddress and ports",
    ("listen", "tls", "cert"): "secrets.tls",
    ("listen", "tls", "key"): "secrets.tls",
    ("listen", "tls", "client_ca"): "secrets.tls.clientCa",
    ("admin",): "bindAddress, ports and admin.exposure",
    ("routes",): "routes",
    ("policy", "source"): "policy and secrets.policyUrl",
    ("audit", "spool"): "spool",
    ("audit", "checkpoint", "key"): "secrets.checkpointKey",
    ("sessions", "signed", "secret"): "secrets.sessionSecret",
    ("sessions", "signed", "secret_file"): "secrets.sessionSecret",
    ("forwarding", "assertion", "key"): "secrets.assertionKey",
}
"""Settings that are not the values' to say, with the values that decide them."""

_WHOLE: Final = {"FileReference", "PullSecret", "VariableReference"}

RE2_MAX_REPEAT: Final = 1000
_LONG_REPEAT: Final = re.compile(r"\{1,([0-9]+)\}\$$")


def build_schema(lines: list[ValueLine]) -> Schema:
    """Return the schema, described by the *lines* of values.yaml."""
    schema = Values.model_json_schema()
    definitions: Schema = schema.pop("$defs")
    # Values lie over the defaults: what is left out is not missing, but for what is written whole in a list.
    for part in (schema, *(definitions[name] for name in definitions.keys() - _WHOLE)):
        part.pop("required", None)
    settings = _settings_schema()
    definitions |= {f"Settings.{name}": part for name, part in settings.pop("$defs").items()}
    definitions["Settings"] = settings
    schema["properties"]["config"] = {"$ref": "#/$defs/Settings"}
    for line in lines:
        part = _property_at(schema, definitions, line.path)
        part["description"] = line.description
        part["default"] = line.default
    # A parent chart's conditions and globals stand among the values of its dependency.
    schema["properties"]["enabled"] = {"type": "boolean", "description": "For `condition: sidegate.enabled`."}
    schema["properties"]["global"] = {"type": "object", "description": "Of the parent chart; not used."}
    written = _tidy({"$schema": DRAFT, **schema, "definitions": definitions})
    return dict(sorted(written.items(), key=lambda item: item[0] != "$schema"))


def schema_text(lines: list[ValueLine]) -> str:
    """Return the schema as its file has it."""
    return json.dumps(build_schema(lines), indent=2, ensure_ascii=False) + "\n"


def settings_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield key, type, default and description of every setting that `config` may hold, in order."""
    schema = _settings_schema()
    definitions = schema["$defs"]

    def rows(part: Schema, path: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
        for name, written in part.get("properties", {}).items():
            inner = _resolved(written, definitions)
            here = (*path, name)
            if inner.get("properties"):
                yield from rows(inner, here)
                continue
            default = json.dumps(written["default"]) if "default" in written else ""
            yield ".".join(("config", *here)), type_of(inner), default, written.get("description", "")

    yield from rows(schema, ())


def type_of(schema: Schema) -> str:
    """Return the type of a value in a word or two."""
    if "enum" in schema:
        return " \\| ".join(f"`{choice}`" for choice in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(type_of(choice) for choice in schema["anyOf"])
    return str(schema.get("type", "any"))


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    named: Schema = definitions[reference.rpartition("/")[2]]
    return {**named, **schema}


def _settings_schema() -> Schema:
    """Return the schema of the settings without what the chart decides, and with nothing required.

    What is missing is said by the chart's own checks, all at once, or by Sidegate at its start: a variable may set it.
    """
    schema = generate_schema(Settings)
    del schema["$schema"]
    definitions = schema["$defs"]
    # The short forms are an address or an age and nothing else.
    for name in ("DataListener", "MaxStaleness"):
        definitions[name] = definitions[name]["anyOf"][-1]
    schema["properties"]["listen"].pop("default")
    for path in MANAGED:
        part = schema
        for step in path[:-1]:
            part = definitions[part["properties"][step]["$ref"].rpartition("/")[2]]
        del part["properties"][path[-1]]
        if path[-1] in part.get("required", ()):
            part["required"].remove(path[-1])
    schema.pop("required", None)
    used = set(_references(schema, definitions))
    schema["$defs"] = {name: part for name, part in definitions.items() if name in used}
    return schema


def _references(schema: Any, definitions: Schema) -> Iterator[str]:  # noqa: ANN401  any part of a schema
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if key == "$ref":
                name = inner.rpartition("/")[2]
                yield name
                yield from _references(definitions[name], definitions)
            elif key != "$defs":
                yield from _references(inner, definitions)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner, definitions)


def _property_at(schema: Schema, definitions: Schema, path: tuple[str, ...]) -> Schema:
    """Return the schema of one value for writing to it; each class of the model stands at one place only."""
    part = schema
    for step in path[:-1]:
        part = definitions[part["properties"][step]["$ref"].rpartition("/")[2]]
    own: Schema = dict(part["properties"][path[-1]])
    part["properties"][path[-1]] = own
    return own


def _tidy(schema: Any, *, is_named: bool = False, is_setting: bool = False) -> Any:  # noqa: ANN401
    """Write any part as draft 7 and RE2 have it.

    Args:
        schema: The part.
        is_named: Its keys are names of properties or definitions, not keywords.
        is_setting: It belongs to the settings, whose references are to their own definitions.
    """
    if isinstance(schema, list):
        return [_tidy(inner, is_setting=is_setting) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    tidy: Schema = {}
    for key, inner in schema.items():
        if is_named:
            tidy[key] = _tidy(inner, is_setting=is_setting or key == "Settings" or key.startswith("Settings."))
        elif key == "$ref":
            name = inner.rpartition("/")[2]
            tidy[key] = f"#/definitions/{'Settings.' if is_setting else ''}{name}"
        elif key == "propertyNames":
            tidy[key] = {name: word for name, word in inner.items() if name != "title"}
        elif key not in {"title", "examples", "writeOnly", "format"}:
            named = key in {"properties", "definitions", "patternProperties"}
            tidy[key] = inner if key in {"default", "enum"} else _tidy(inner, is_named=named, is_setting=is_setting)
    if "patternProperties" in tidy and not is_named:
        tidy["additionalProperties"] = False
    repeat = _LONG_REPEAT.search(tidy.get("pattern", "")) if isinstance(tidy.get("pattern"), str) else None
    if repeat is not None and int(repeat[1]) > RE2_MAX_REPEAT:
        tidy["pattern"] = f"{tidy['pattern'][: repeat.start()]}+$"
        tidy["maxLength"] = int(repeat[1])
    return tidy
