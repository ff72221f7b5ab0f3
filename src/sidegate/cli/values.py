"""Values of policy entries as plain data and as text, in the spelling of policy files."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

import orjson

from sidegate.core.model.authority import Mask, authorities_in
from sidegate.core.model.target import Scope
from sidegate.core.model.units import UnixMillis, format_instant

_MASKS: Final = frozenset({"authorities", "add", "remove", "ceiling"})
_INSTANTS: Final = frozenset({"not_before", "not_after", "expires_at", "created_at", "rotated_at"})


def plain_value(name: str, given: object) -> Any:  # noqa: ANN401  (JSON)
    """Return *given*, the value of field *name* of an entry, for JSON."""
    match given:
        case Enum():
            return given.value
        case None | bool() | str():
            return given
        case int() if name in _MASKS:
            return [authority.value for authority in authorities_in(Mask(given))]
        case int() if name in _INSTANTS:
            return format_instant(UnixMillis(given))
        case int():
            return given
        case bytes():
            return f"sha256:{given.hex()}"
        case Mapping():
            # Only `sections` of a role is one: from segments to authorities.
            return {"/" + "/".join(key): plain_value("authorities", inner) for key, inner in given.items()}
        case tuple() | frozenset():
            return [plain_value(name, inner) for inner in given]
        case _:
            return _plain_entry(given)


def _plain_entry(given: object) -> Any:  # noqa: ANN401  (JSON)
    """Return an entry or a part of one as its fields; a scope, network or the like as it is written."""
    if is_dataclass(given) and not isinstance(given, type) and not isinstance(given, Scope):
        return {each.name: plain_value(each.name, getattr(given, each.name)) for each in fields(given)}
    return str(given)


def describe_value(name: str, given: object) -> str:
    """Return *given*, the value of field *name* of an entry, for people."""
    plain = plain_value(name, given)
    if plain is None or plain == []:
        return "none"
    if isinstance(plain, list) and all(isinstance(inner, str) for inner in plain):
        return ", ".join(plain)
    return plain if isinstance(plain, str) else orjson.dumps(plain).decode()
