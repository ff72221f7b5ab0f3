"""How places are written that a configuration names: sockets, files, folders, other services."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticKnownError

from sidegate.config.endpoints import (
    DirectorySource,
    Endpoint,
    FileSource,
    RedisSource,
    TcpEndpoint,
    UnixEndpoint,
    UpstreamUrl,
    UrlSource,
    is_loopback,
    masked_url,
    parse_tcp,
)
from sidegate.config.forms import form, refuse

T = TypeVar("T")

MAX_UNIX_PATH_BYTES: Final = 107
"""sockaddr_un.sun_path without its NUL (unix(7))."""


class Outside(str):
    """Text that came from a variable or a flag: a relative path in it starts where the command was called."""

    __slots__ = ()


def _in_folder(text: str, info: ValidationInfo) -> Path:
    folder = Path.cwd() if isinstance(text, Outside) else Path(info.context or ".")
    return folder / text


def _unix(text: str, info: ValidationInfo) -> UnixEndpoint:
    path = _in_folder(type(text)(text.removeprefix("unix:")), info)
    if len(str(path).encode()) > MAX_UNIX_PATH_BYTES or not text.removeprefix("unix:"):
        raise ValueError(f"write unix: and a path of at most {MAX_UNIX_PATH_BYTES} bytes")
    return UnixEndpoint(path)


def _endpoint(text: str, info: ValidationInfo) -> Endpoint:
    return _unix(text, info) if text.startswith("unix:") else parse_tcp(text)


_URL_HINT: Final = "write http://host:port or unix:/path, without a path behind it"


def _upstream(text: str, info: ValidationInfo) -> UpstreamUrl:
    if text.startswith("unix:"):
        return UpstreamUrl("http", _unix(text, info))
    match = re.fullmatch(r"(https?)://([^/?#@\s]+)/?", text)
    if match is None:
        raise ValueError(_URL_HINT)
    scheme, place = match.groups()
    has_port = re.search(r":[0-9]*$", place) is not None and not place.endswith("]")
    try:
        return UpstreamUrl(scheme, parse_tcp(place if has_port else f"{place}:{'443' if scheme == 'https' else '80'}"))
    except ValueError:
        raise ValueError(_URL_HINT) from None


def _file_path(text: str, info: ValidationInfo) -> Path:
    if not text or "\0" in text:
        raise ValueError("write a path")
    return _in_folder(text, info)


def _file_source(text: str, info: ValidationInfo) -> FileSource:
    name = text.removeprefix("file:")
    if name == text or not name:
        raise ValueError("write file: and a path, e.g. file:key.pem")
    return FileSource(_in_folder(type(text)(name), info))


def _jwks(text: str, info: ValidationInfo) -> FileSource | UrlSource:
    if text.startswith("file:"):
        return _file_source(text, info)
    parts = urlsplit(text)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not is_safe or not parts.hostname or parts.username is not None or parts.fragment:
        # Whoever can answer in the place of the issuer makes every session: plain HTTP stays on this machine.
        raise ValueError("write file: and a path, or an https:// address (http:// only on the loopback)")
    return UrlSource(text)


def _policy_source(text: str, info: ValidationInfo) -> DirectorySource | RedisSource:
    if text.startswith("dir:") and text != "dir:":
        return DirectorySource(_in_folder(type(text)(text.removeprefix("dir:")), info))
    if re.fullmatch(r"(?:rediss?|redis\+sentinel|redis\+cluster)://[^\s]+", text) is not None:
        return RedisSource(text)
    raise ValueError("write dir: and a folder, e.g. dir:policy/")


def _redis(text: str) -> RedisSource:
    if re.fullmatch(r"(?:rediss?|redis\+sentinel|redis\+cluster)://[^\s]+", text) is None:
        raise ValueError("write redis://host:port")
    return RedisSource(text)


def _collector(text: str, _info: ValidationInfo) -> UrlSource:
    parts = urlsplit(text)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not is_safe or not parts.hostname or parts.fragment:
        # Records say who did what: they do not cross a network that others read or change.
        raise ValueError("write an https:// address (http:// only on the loopback)")
    return UrlSource(text)


def _nats(text: str, _info: ValidationInfo) -> UrlSource:
    if re.fullmatch(r"(?:nats|tls)://[^\s/?#]+/?", text) is None:
        raise ValueError("write nats://host:4222 or tls://host:4222")
    return UrlSource(text)


def _located(
    parse: Callable[[str, ValidationInfo], T], schema: dict[str, Any]
) -> tuple[PlainValidator, WithJsonSchema]:
    def read(written: object, info: ValidationInfo) -> T:
        if isinstance(written, Path | DirectorySource):
            written = str(written)  # a default, which has its folder still to come
        if not isinstance(written, str):
            raise PydanticKnownError("string_type")
        try:
            return parse(written, info)
        except ValueError as exc:
            raise refuse(f"is '{masked_url(written)}'", str(exc)) from None

    return PlainValidator(read), WithJsonSchema({"type": "string", **schema})


WrittenEndpoint = Annotated[
    TcpEndpoint | UnixEndpoint,
    *_located(
        _endpoint, {"pattern": "^unix:.|:[0-9]{1,5}$", "examples": ["127.0.0.1:8080", "unix:/run/sidegate.sock"]}
    ),
]
WrittenUpstream = Annotated[
    UpstreamUrl,
    *_located(
        _upstream,
        {"pattern": r"^(?:https?://[^/?#@\s]+/?|unix:.+)$", "examples": ["http://127.0.0.1:9000", "unix:/run/ds.sock"]},
    ),
]
FilePath = Annotated[Path, *_located(_file_path, {"minLength": 1})]
WrittenFile = Annotated[FileSource, *_located(_file_source, {"pattern": "^file:.", "examples": ["file:key.pem"]})]
WrittenJwks = Annotated[
    FileSource | UrlSource, *_located(_jwks, {"pattern": "^(?:file:.|https?://.)", "examples": ["file:jwks.json"]})
]
WrittenPolicySource = Annotated[
    DirectorySource | RedisSource,
    *_located(
        _policy_source, {"pattern": r"^(?:dir:.|redis(?:s|\+sentinel|\+cluster)?://.)", "examples": ["dir:policy/"]}
    ),
]
WrittenRedis = Annotated[RedisSource, *form(_redis, {"pattern": r"^redis(?:s|\+sentinel|\+cluster)?://."})]
WrittenCollector = Annotated[
    UrlSource, *_located(_collector, {"pattern": "^https?://.", "examples": ["https://logs.example/sidegate"]})
]
WrittenNats = Annotated[
    UrlSource, *_located(_nats, {"pattern": "^(?:nats|tls)://.", "examples": ["tls://nats.example:4222"]})
]
