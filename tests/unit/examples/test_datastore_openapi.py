"""The description: a sound OpenAPI 3.1 document, in step with the service, with every operation's authority."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from examples.datastore.app import build_app, load_openapi
from examples.datastore.names import require_name
from examples.datastore.problems import RefusedError
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # no stubs here

Client = TestClient[web.Request, web.Application]

METHODS = {"get", "put", "post", "delete", "patch"}
PRIMITIVES = {"Read", "Glob", "Grep", "Write", "Edit", "Delete", "Run", "Solve"}
AUTHORITIES = {"read", "write", "delete", "run", "solve", "approve", "share", "configure"}
# The vocabulary of a route's target.
PART = {
    "type": "object",
    "required": ["from", "pointer"],
    "properties": {"from": {"const": "body.json"}, "pointer": {"pattern": "^/"}, "pattern": {"const": "glob"}},
    "additionalProperties": False,
}
TARGET = {
    "type": "object",
    "minProperties": 1,
    "properties": {
        "path": PART,
        "branch": {**PART, "properties": {"from": {"const": "body.json"}, "pointer": {"pattern": "^/"}}},
        "section": {"type": "string", "pattern": "^/"},
        "subtree": {"const": True},
    },
    "additionalProperties": False,
}

DOCUMENT = load_openapi()


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS & item.keys():
            yield method, path, item[method]


OPERATIONS = [pytest.param(*entry, id=f"{entry[0]} {entry[1]}") for entry in sorted(_operations(), key=lambda e: e[:2])]


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def test_head() -> None:
    """The document says what it is."""
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()


def test_references_resolve() -> None:
    """Every reference leads somewhere, and everything that can be referred to is used."""
    used = {node["$ref"] for node in _nodes(DOCUMENT) if "$ref" in node}
    for reference in used:
        _resolve({"$ref": reference})
    kept = {f"#/components/{kind}/{name}" for kind, names in DOCUMENT["components"].items() for name in names}
    assert kept == used


def test_schemas_are_schemas() -> None:
    """Every schema is one by JSON Schema 2020-12, which is what OpenAPI 3.1 takes."""
    for node in _nodes(DOCUMENT):
        if isinstance(node.get("schema"), dict):
            Draft202012Validator.check_schema(node["schema"])
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_name_schema_is_the_rule() -> None:
    """The document's rule for names is the one that is enforced."""
    rule = re.compile(DOCUMENT["components"]["schemas"]["Name"]["pattern"])
    for name in ("a", "p1", "_x", "A.b-c", "x" * 128, "", ".a", "-a", "a/b", "a b", "x" * 129, "é", "a\n"):
        try:
            accepted = require_name(name, "name") == name
        except RefusedError:
            accepted = False
        # `$` also matches before a last line break in Python, and in no other dialect.
        assert accepted == (rule.search(name) is not None and not name.endswith("\n"))


def test_operation_ids_are_distinct() -> None:
    """A name stands for one operation."""
    ids = [operation["operationId"] for _, _, operation in _operations()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_operation_is_complete(method: str, path: str, operation: dict[str, Any]) -> None:
    """An operation has an id, a summary, a known tag, answers, and exactly the parameters of its path."""
    assert operation["operationId"]
    assert operation["summary"]
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert all("description" in _resolve(answer) for answer in operation["responses"].values())
    parameters = [
        _resolve(entry) for entry in [*DOCUMENT["paths"][path].get("parameters", []), *operation.get("parameters", [])]
    ]
    assert set(re.findall(r"\{([^}]+)\}", path)) == {entry["name"] for entry in parameters if entry["in"] == "path"}
    assert all(entry.get("required") is True for entry in parameters if entry["in"] == "path")
    assert method != "get" or "requestBody" not in operation


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_operation_says_what_to_ask(method: str, path: str, operation: dict[str, Any]) -> None:
    """An operation has exactly one of primitive, authority and public, and targets in the routes' vocabulary."""
    marks = [
        name for name in ("x-sidegate-primitive", "x-sidegate-authority", "x-sidegate-public") if name in operation
    ]
    assert len(marks) == 1, (method, path)
    assert operation.get("x-sidegate-primitive", "Read") in PRIMITIVES
    assert operation.get("x-sidegate-authority", "read") in AUTHORITIES
    assert operation.get("x-sidegate-public", True) is True
    targets = [operation["x-sidegate-target"]] if "x-sidegate-target" in operation else []
    for part in operation.get("x-sidegate-and", []):
        assert part.keys() == {"authority", "target"}
        assert part["authority"] in AUTHORITIES
        targets.append(part["target"])
    for target in targets:
        Draft202012Validator(TARGET).validate(target)
    assert not (targets and "x-sidegate-public" in operation)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_decided_members_are_required(method: str, path: str, operation: dict[str, Any]) -> None:
    """A body member that a target is read from is a required one: the proxy refuses a request without it."""
    targets = [
        operation.get("x-sidegate-target", {}),
        *(part["target"] for part in operation.get("x-sidegate-and", [])),
    ]
    members = {value["pointer"][1:] for target in targets for value in target.values() if isinstance(value, dict)}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    assert members <= set(body.get("required", [])), (method, path)


def test_document_and_service_agree(tmp_path: Path) -> None:
    """Every operation of the document is served, and every served route is documented."""
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in build_app(tmp_path).router.routes()
        if route.method != "HEAD" and route.resource is not None
    }
    assert served == {(method, path.replace("*}", "}")) for method, path, _ in _operations()}


def test_tails_take_slashes(tmp_path: Path) -> None:
    """What the document calls a tail is one in the service, and nothing else is."""
    patterns = {
        resource.canonical: resource.get_info()["pattern"].pattern
        for resource in build_app(tmp_path).router.resources()
        if isinstance(resource, web.DynamicResource)
    }
    tails = {path.replace("*}", "}") for path in DOCUMENT["paths"] if "*}" in path}
    assert tails == {path for path, pattern in patterns.items() if "(?s:.+)" in pattern}


async def test_document_is_served(client: Client) -> None:
    """The service returns its own description, and says that it runs."""
    assert await (await client.get("/openapi.json")).json() == DOCUMENT
    assert await (await client.get("/healthz")).json() == {"status": "ok"}
