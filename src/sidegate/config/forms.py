"""The written forms of values in our files: each is read into its core value, or refused with what to write instead.

Every form carries its JSON Schema, so that an editor refuses what is refused here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Any, Final, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, Strict, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from sidegate.core.model.errors import NamingError
from sidegate.core.model.target import Scope, parse_scope, parse_section, require_name
from sidegate.core.model.units import Millis, UnixMillis, parse_instant
from sidegate.core.policy.document import Network

T = TypeVar("T")

DAY_MS: Final = 86_400_000
MIB: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Hint:
    """What to write in a field, for an error; stands in the field's annotation."""

    text: str


def refuse(what: str, hint: str, below: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """Build the error of a validator.

    Args:
        what: What is wrong; follows the key.
        hint: What to do next.
        below: Where under the value that is validated.
    """
    return PydanticCustomError("refused", "{what}; {hint}", {"what": what, "hint": hint, "below": below})


def _read(parse: Callable[[str], T]) -> Callable[[object], T]:
    def read(written: object) -> T:
        if not isinstance(written, str):
            raise PydanticKnownError("string_type")
        try:
            return parse(written)
        except ValueError as exc:  # NamingError is one
            raise refuse(f"is '{written}'", str(exc)) from None

    return read


def form(parse: Callable[[str], Any], schema: dict[str, Any]) -> tuple[PlainValidator, WithJsonSchema]:
    """Return the metadata of a text that *parse* reads.

    Args:
        parse: Raises ValueError with what to write.
        schema: JSON Schema of the text, besides its type.
    """
    return PlainValidator(_read(parse)), WithJsonSchema({"type": "string", **schema})


class OrOne:
    """Lets one value stand for a list of it; goes into the annotation of a tuple."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        array = handler(core)
        return {"anyOf": [array["items"], array]}


def _listed(written: object) -> object:
    return [written] if isinstance(written, str) else written


def _member_name(text: str) -> str:
    if _FREE_NAME.fullmatch(text) is None or text != text.strip():
        raise NamingError("write a name of 1 to 128 characters without control characters, not framed by blanks")
    return text


def _account(text: str) -> str:
    if _ACCOUNT.fullmatch(text) is None:
        raise NamingError("write user:ID or service:ID")
    return text


def _bound_party(text: str) -> str:
    if _BOUND_PARTY.fullmatch(text) is None:
        raise NamingError("write user:ID, service:ID or group:NAME")
    return text


def _denied_party(text: str) -> str:
    if _DENIED_PARTY.fullmatch(text) is None:
        raise NamingError("write user:ID, service:ID, group:NAME, role:NAME or agent:ID")
    return text


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(
            "write a network without host bits, e.g. 10.0.0.0/8 or 2001:db8::/32; one address is a network too"
        ) from None


def _digest(text: str) -> bytes:
    if _DIGEST.fullmatch(text) is None:
        raise ValueError("write sha256: and the 64 lower-case hex digits of the SHA-256 of the whole clear key")
    return bytes.fromhex(text.removeprefix("sha256:"))


def _key_id(text: str) -> str:
    if _KEY_ID.fullmatch(text) is None:
        raise ValueError("write the 16 characters of A-Z a-z 0-9 inside the key, as `sidegate key mint` prints them")
    return text


# Identifiers come from identity providers: any visible text, so that none has to be renamed; only what could be
# taken for the layout of a log line or a file is kept out.
_VISIBLE: Final = r"[^\x00-\x20\x7f-\x9f\u2028\u2029]"
_FREE: Final = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,128}"
_ID: Final = _VISIBLE + "{1,255}"
_FREE_NAME: Final = re.compile(_FREE)
_ACCOUNT_PATTERN: Final = f"(?:user|service):{_ID}"
_BOUND_PATTERN: Final = f"(?:(?:user|service):{_ID}|group:{_FREE})"
_DENIED_PATTERN: Final = f"(?:(?:user|service|agent):{_ID}|(?:group|role):{_FREE})"
_ACCOUNT: Final = re.compile(_ACCOUNT_PATTERN)
_BOUND_PARTY: Final = re.compile(_BOUND_PATTERN)
_DENIED_PARTY: Final = re.compile(_DENIED_PATTERN)
_DIGEST: Final = re.compile("sha256:[0-9a-f]{64}")
_KEY_ID: Final = re.compile("[0-9A-Za-z]{16}")


def _whole(pattern: str) -> dict[str, str]:
    return {"pattern": f"^{pattern}$"}


Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]


def _matching(pattern: str, hint: str) -> tuple[PlainValidator, WithJsonSchema]:
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(hint)
        return text

    return form(parse, _whole(pattern))


EntryId = Annotated[str, *_matching(_FREE, "write 1 to 128 characters without control characters")]
"""Id of a binding, deny or approval rule."""
SurfaceName = Annotated[str, *_matching("[a-z][a-z0-9_-]{0,63}", "write lower-case letters, digits, _ and -, e.g. web")]
Line = Annotated[str, *_matching(r"[^\x00-\x1f\x7f]{1,1024}", "write one line of text")]
ServerName = Annotated[
    str,
    *_matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}",
        "write a name or an address, e.g. datastore.internal",
    ),
]
"""Whom a certificate must name."""
OrganizationName = Annotated[
    str, *form(lambda text: require_name(text, "organization"), _whole("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"))
]
FreeName = Annotated[str, *form(_member_name, _whole(_FREE))]
"""Name of a role or a group."""
Account = Annotated[str, *form(_account, {**_whole(_ACCOUNT_PATTERN), "examples": ["user:ana", "service:ci"]})]
BoundParty = Annotated[str, *form(_bound_party, {**_whole(_BOUND_PATTERN), "examples": ["user:ana", "group:fiber"]})]
DeniedParty = Annotated[
    str, *form(_denied_party, {**_whole(_DENIED_PATTERN), "examples": ["user:ana", "role:Member", "agent:ag_1"]})
]
WrittenScope = Annotated[
    Scope,
    *form(
        parse_scope,
        {
            "pattern": r"^(?:/|\*(?:@|$)|[A-Za-z0-9_])",
            "examples": ["*", "*@main", "p1", "p1@main", "p1@*:designs/current", "/skills"],
        },
    ),
]
Section = Annotated[tuple[str, ...], *form(parse_section, {"pattern": "^/", "examples": ["/", "/skills/fiber"]})]
Instant = Annotated[
    UnixMillis,
    *form(
        parse_instant,
        {
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].*(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})$",
            "examples": ["2026-12-01T00:00:00Z"],
        },
    ),
]
WrittenNetwork = Annotated[Network, *form(_network, {"pattern": "^[0-9A-Fa-f:./]+$", "examples": ["10.0.0.0/8"]})]
KeyDigest = Annotated[bytes, *form(_digest, _whole("sha256:[0-9a-f]{64}"))]
KeyId = Annotated[str, *form(_key_id, _whole("[0-9A-Za-z]{16}"))]
Duration = Annotated[Millis, Strict()]
