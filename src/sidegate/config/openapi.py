"""Routes from an OpenAPI document that says per operation what it asks for (spec 6.2).

Read are ``x-sidegate-primitive``, ``x-sidegate-authority`` or ``x-sidegate-public``, and beside them
``x-sidegate-target``, ``x-sidegate-and``, ``x-sidegate-query`` and ``x-sidegate-allow-encoded``, each written like the
key of that name in a route file. An operation without any of the first three is listed and stays refused.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from sidegate.config.explain import suggest, validate
from sidegate.config.files import read_file
from sidegate.config.route_reader import RouteReader
from sidegate.config.routes_file import find_clashes
from sidegate.config.routes_model import WrittenRoute
from sidegate.config.yaml_tree import Path, YamlTree, dotted, read_tree, resolve_scalar
from sidegate.core.model.errors import ConfigError, Position, Problem
from sidegate.core.model.value import value
from sidegate.core.routing.route import METHODS, Route

MAX_OPENAPI_BYTES: Final = 32 << 20

_PREFIX: Final = "x-sidegate-"
_KEYS: Final = {
    "x-sidegate-primitive": "primitive",
    "x-sidegate-authority": "authority",
    "x-sidegate-public": "public",
    "x-sidegate-target": "target",
    "x-sidegate-and": "and",
    "x-sidegate-query": "query",
    "x-sidegate-allow-encoded": "allow_encoded",
}
_ASKS: Final = ("x-sidegate-primitive", "x-sidegate-authority", "x-sidegate-public")
_FIELDS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"})
"""Operations of a path item (OpenAPI 3.2, section 4.9)."""


@value
class ImportedRoutes:
    """What came out of an OpenAPI document.

    Attributes:
        text: A route file, with the refused operations in comments at its head.
        routes: The same as values.
        refused: Operations that say nothing of what they ask for, e.g. ``GET /debug``.
    """

    text: str
    routes: tuple[Route, ...]
    refused: tuple[str, ...]


def import_routes(path: FilePath, schema: str | None = None) -> ImportedRoutes:
    """Make routes from the OpenAPI document (YAML or JSON) at *path*.

    Args:
        path: The document.
        schema: Where editors find the JSON Schema of route files, seen from where the text will be written.

    Raises:
        ConfigError: Carries everything that is wrong, each with file, line and column.
    """
    content, problem = read_file(path)
    if problem is not None:
        raise ConfigError((problem,))
    return read_openapi(content, str(path), schema)


def read_openapi(content: bytes, file: str, schema: str | None = None) -> ImportedRoutes:
    """Make routes from the *content* of an OpenAPI document called *file*.

    Raises:
        ConfigError: Carries everything that is wrong, each with file, line and column.
    """
    tree = read_tree(content, file, MAX_OPENAPI_BYTES)
    if tree.problems:
        raise ConfigError(tree.problems)
    if not isinstance(tree.data, dict) or not isinstance(tree.data.get("paths"), dict):
        hint = "name an OpenAPI 3 document"
        raise ConfigError((Problem(tree.position(()), "paths", "is missing or no mapping", hint),))
    importer = _Importer(tree)
    importer.read()
    if importer.problems:
        raise ConfigError(tuple(importer.problems))
    routes = tuple(route for route, _ in importer.routes)
    return ImportedRoutes(_text(FilePath(file).name, importer, schema), routes, tuple(importer.refused))


class _OperationPlaces:
    """Places in the OpenAPI document, by the keys of a route."""

    def __init__(self, tree: YamlTree, operation: Path) -> None:
        self._tree = tree
        self._operation = operation

    def _path(self, path: Path) -> Path:
        names = {name: extension for extension, name in _KEYS.items()}
        if path and path[0] in names:
            return (*self._operation, names[str(path[0])], *path[1:])
        # The method's value is the pattern, which is the key of the path item.
        return self._operation[:-1] if path else self._operation

    def position(self, path: Path) -> Position:
        place = self._path(path)
        return self._tree.key_position(place) if len(place) <= len(self._operation) else self._tree.position(place)

    def key_position(self, path: Path) -> Position:
        return self._tree.key_position(self._path(path))

    def written(self, path: Path) -> str | None:
        return self._tree.written(self._path(path))

    def label(self, path: Path) -> str:
        return dotted(self._path(path))


class _Importer:
    def __init__(self, tree: YamlTree) -> None:
        self._tree = tree
        self._document: dict[str, Any] = tree.data
        self.problems: list[Problem] = []
        self.routes: list[tuple[Route, Position]] = []
        self.entries: list[tuple[dict[str, Any], str]] = []
        self.refused: list[str] = []

    def read(self) -> None:
        """Read every operation."""
        for path in self._document["paths"]:
            item, place = self._resolve(self._document["paths"][path], ("paths", path))
            if not path.startswith("/") or not isinstance(item, dict):
                continue  # an extension, or an empty path item
            for method in item:
                operation, at = self._resolve(item[method], (*place, method))
                if method in _FIELDS and isinstance(operation, dict):
                    self._read_operation(path, method, item, operation, at)
        self.problems += find_clashes(self.routes)

    def _read_operation(
        self, path: str, method: str, item: dict[str, Any], operation: dict[str, Any], at: Path
    ) -> None:
        unknown = [key for key in operation if key.startswith(_PREFIX) and key not in _KEYS]
        for key in unknown:
            self._refuse((*at, key), "is not known", suggest(key, _KEYS))
        pattern = self._base(item, operation) + self._with_tails(path, item, operation)
        if not any(key in operation for key in _ASKS) or method.upper() not in METHODS:
            named = {key for key in _KEYS if key in operation}
            if named and method.upper() in METHODS:
                self._refuse(at, f"has {', '.join(sorted(named))} only", f"add one of {', '.join(_ASKS)}")
            self.refused.append(f"{method.upper()} {pattern}")
            return
        entry: dict[str, Any] = {method: pattern}
        if isinstance(operation.get("operationId"), str):
            entry["name"] = operation["operationId"]
        entry |= {name: operation[key] for key, name in _KEYS.items() if key in operation}
        places = _OperationPlaces(self._tree, at)
        written, wrong = validate(WrittenRoute, entry, places)
        self.problems += wrong
        if written is None:
            return
        reader = RouteReader(written, places, ())
        route = reader.read()
        self.problems += reader.problems
        if route is not None:
            self.routes.append((route, self._tree.key_position(at)))
            summary = operation.get("summary")
            self.entries.append((entry, summary if isinstance(summary, str) else ""))

    def _refuse(self, path: Path, what: str, hint: str) -> None:
        self.problems.append(Problem(self._tree.key_position(path), dotted(path), what, hint))

    def _resolve(self, found: Any, place: Path) -> tuple[Any, Path]:  # noqa: ANN401  any part of a document
        """Follow ``$ref`` within the document; at most a few times, for a document may refer in a circle."""
        for _ in range(8):
            reference = found.get("$ref") if isinstance(found, dict) else None
            if not isinstance(reference, str):
                return found, place
            steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in unquote(reference[2:]).split("/"))
            target: Any = self._document if reference.startswith("#/") else None
            for step in steps:
                target = target.get(step) if isinstance(target, dict) else None
            if target is None:
                break
            found, place = target, steps
        self._refuse(place, "refers to something that is not here", "write it out, or refer within the document")
        return None, place

    def _with_tails(self, path: str, item: dict[str, Any], operation: dict[str, Any]) -> str:
        """Mark parameters that say ``x-sidegate-tail: true`` as tails, as if their name were written ``{name*}``."""
        for holder in (item, operation):
            listed = holder.get("parameters")
            for number, written in enumerate(listed if isinstance(listed, list) else ()):
                parameter, _ = self._resolve(written, ("paths", path, "parameters", number))
                if isinstance(parameter, dict) and parameter.get("x-sidegate-tail") is True:
                    path = path.replace(f"{{{parameter.get('name')}}}", f"{{{parameter.get('name')}*}}")
        return path

    def _base(self, item: dict[str, Any], operation: dict[str, Any]) -> str:
        """Return the path of the first server, the nearest ones first (OpenAPI 3.1, section 4.8.5)."""
        for holder in (operation, item, self._document):
            servers = holder.get("servers")
            if isinstance(servers, list) and servers and isinstance(servers[0], dict):
                url = str(servers[0].get("url", ""))
                variables = servers[0].get("variables")
                for name, variable in (variables if isinstance(variables, dict) else {}).items():
                    if isinstance(variable, dict):
                        url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
                return unquote(urlsplit(url).path).rstrip("/")
        return ""


_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./*+-]*(?: [A-Za-z0-9_./*+-]+)*")
_PLAIN_BLOCK: Final = re.compile(r"/[^\s#\\\"']*[^\s#\\\"':]|/")


def _flow(data: Any) -> str:  # noqa: ANN401  plain data of any shape
    match data:
        case dict():
            return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in data.items()) + "}"
        case list():
            return "[" + ", ".join(_flow(inner) for inner in data) + "]"
        case str() if _PLAIN.fullmatch(data) is not None and isinstance(resolve_scalar(data), str):
            return data
        case _:
            return json.dumps(data, ensure_ascii=False)


def _lines(importer: _Importer) -> Iterator[str]:
    for entry, summary in importer.entries:
        yield ""
        if summary:
            yield f"# {' '.join(summary.split())}"
        mark = "-"
        for key, given in entry.items():
            text = given if mark == "-" and _PLAIN_BLOCK.fullmatch(given) is not None else _flow(given)
            yield f"{mark} {key}: {text}"
            mark = " "


def _text(source: str, importer: _Importer, schema: str | None) -> str:
    head = [] if schema is None else [f"# yaml-language-server: $schema={schema}"]
    name = " ".join(source.split())
    head.append(f"# Imported from {name} with `sidegate routes import`; change that document and import again.")
    if importer.refused:
        head += ["#", "# These operations do not say what they ask for, so they are refused:"]
        head += [f"#   {' '.join(line.split())}" for line in importer.refused]
    body = list(_lines(importer))
    return "\n".join([*head, *(body or ["", "[]"])]) + "\n"
