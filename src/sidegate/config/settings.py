"""Settings from a file, variables and flags, whole or not at all (spec 6.1)."""

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import SecretStr

from sidegate.config.availability import find_unavailable
from sidegate.config.choices import Algorithm
from sidegate.config.endpoints import DirectorySource, FileSource
from sidegate.config.environment import Setting, settings_from_environment, settings_from_overrides
from sidegate.config.explain import Places, validate
from sidegate.config.files import read_file
from sidegate.config.settings_model import Settings, masked
from sidegate.config.yaml_tree import Path, YamlTree, dotted, read_tree
from sidegate.core.model.errors import ConfigError, Position, Problem

__all__ = ["MAX_SETTINGS_BYTES", "Settings", "load_settings", "masked"]

MAX_SETTINGS_BYTES: Final = 1 << 20
_MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: a key of the size of the hash output or larger."""


class _Overlaid(Places):
    """A file with variables and flags over it: what stands on top is named by its own name."""

    def __init__(self, tree: YamlTree | None, over: list[Setting]) -> None:
        self._tree = tree
        self._over = over

    def _setting(self, path: Path) -> Setting | None:
        return next((one for one in reversed(self._over) if path[: len(one.path)] == one.path), None)

    def position(self, path: Path) -> Position | None:
        return None if self._tree is None or self._setting(path) is not None else self._tree.position(path)

    def key_position(self, path: Path) -> Position | None:
        return None if self._tree is None or self._setting(path) is not None else self._tree.key_position(path)

    def written(self, path: Path) -> str | None:
        return None if self._tree is None or self._setting(path) is not None else self._tree.written(path)

    def label(self, path: Path) -> str:
        setting = self._setting(path)
        return dotted(path) if setting is None else setting.label


def load_settings(
    path: FilePath | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, str] = {},
) -> Settings:
    """Read the settings; a flag goes before a variable, a variable before the file, the file before a default.

    Args:
        path: The configuration file; None for none.
        environment: ``SIDEGATE_<SECTION>__<KEY>``, and ``…_FILE`` for a secret that a file holds.
        overrides: Flags by dotted name, e.g. ``{"limits.headers": "50"}``.

    Raises:
        ConfigError: Carries everything that is wrong, with file, line and column where it stands in a file.
    """
    tree = None if path is None else _read(path)
    problems: list[Problem] = [] if tree is None else list(tree.problems)
    from_variables, unknown_variables = settings_from_environment(environment)
    from_flags, unknown_flags = settings_from_overrides(overrides)
    over = [*from_variables, *from_flags]
    problems += [*unknown_variables, *unknown_flags]
    is_readable = tree is None or tree.data is not None or not tree.problems
    settings = None
    if is_readable:
        places = _Overlaid(tree, over)
        data = _overlay(tree.data if tree is not None else {}, over)
        settings, wrong = validate(Settings, data, places, None if path is None else path.parent)
        problems += wrong
        if settings is not None:
            settings, wrong = _read_secrets(settings, places)
            problems += wrong
            problems += find_unavailable(settings, places)
            problems += _missing_files(settings, places)
    if problems or settings is None:
        raise ConfigError(tuple(sorted(problems, key=_in_order)))
    return settings


def _in_order(problem: Problem) -> tuple[int, int, str]:
    place = problem.position
    return (place.line, place.column, problem.key) if place is not None else (1 << 30, 0, problem.key)


def _read(path: FilePath) -> YamlTree:
    content, problem = read_file(path)
    if problem is not None:
        raise ConfigError((problem,))
    return read_tree(content, str(path), MAX_SETTINGS_BYTES)


def _overlay(data: Any, over: list[Setting]) -> Any:  # noqa: ANN401  plain data of any shape
    if data is None:
        data = {}  # an empty file sets nothing
    if not isinstance(data, dict):
        return data
    result = dict(data)
    for setting in over:
        _put(result, setting.path, setting.given)
    return result


def _put(data: dict[str, Any], path: Path, given: object) -> None:
    for step in path[:-1]:
        inner = data.get(str(step))
        # Something else in the place of a section is wrong by itself; what is set over it then stands alone.
        data[str(step)] = dict(inner) if isinstance(inner, dict) else _long_form(str(step), inner)
        data = data[str(step)]
    data[str(path[-1])] = given


def _long_form(name: str, written: object) -> dict[str, Any]:
    if name in {"listen", "admin"} and isinstance(written, str):
        return {"address": written}
    return {"default": written} if name == "max_staleness" and isinstance(written, str | int) else {}


def _read_secrets(settings: Settings, places: Places) -> tuple[Settings, list[Problem]]:
    """Put the shared secret of a file in its place."""
    signed = settings.sessions.signed
    if signed is None or Algorithm.HS256 not in signed.algorithms:
        return settings, []
    if signed.secret is not None:
        path: Path = ("sessions", "signed", "secret")
        secret = signed.secret.get_secret_value()
    else:
        path = ("sessions", "signed", "secret_file")
        content, problem = read_file(FilePath(signed.secret_file or ""))
        if problem is not None:
            return settings, [Problem(places.position(path), places.label(path), problem.what, problem.hint)]
        secret = content.decode("utf-8", "replace").rstrip("\r\n")
    if len(secret.encode()) < _MIN_SECRET_BYTES:
        hint = "make one of at least 32 random bytes, e.g. with `openssl rand -base64 32`"
        return settings, [Problem(places.position(path), places.label(path), "is too short for HS256", hint)]
    filled = signed.model_copy(update={"secret": SecretStr(secret)})
    sessions = settings.sessions.model_copy(update={"signed": filled})
    return settings.model_copy(update={"sessions": sessions}), []


def _missing_files(settings: Settings, places: Places) -> Iterator[Problem]:
    """Yield every file and folder that must be there and is not."""
    signed = settings.sessions.signed
    named: list[tuple[Path, FilePath]] = [(("routes",), settings.routes)]
    if signed is not None and isinstance(signed.jwks, FileSource):
        named.append((("sessions", "signed", "jwks"), signed.jwks.path))
    if settings.audit.checkpoint.key is not None:
        named.append((("audit", "checkpoint", "key"), settings.audit.checkpoint.key.path))
    if settings.forwarding.assertion is not None:
        named.append((("forwarding", "assertion", "key"), settings.forwarding.assertion.key.path))
    for path, file in named:
        if not file.is_file():
            yield Problem(places.position(path), places.label(path), f"names {file}, which is no file", "create it")
    source = settings.policy.source
    if isinstance(source, DirectorySource) and not source.path.is_dir():
        path = ("policy", "source")
        yield Problem(
            places.position(path), places.label(path), f"names {source.path}, which is no folder", "create it"
        )
