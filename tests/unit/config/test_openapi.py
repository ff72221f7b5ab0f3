"""Routes are imported from what an OpenAPI document says of each operation; what says nothing stays refused."""

import json
from pathlib import Path

import pytest

from sidegate.config.openapi import import_routes, read_openapi
from sidegate.config.routes_file import read_routes
from sidegate.core.model.errors import ConfigError

DOCUMENT = """
openapi: 3.1.0
servers: [{url: "https://{host}/{base}/v1/", variables: {host: {default: h}, base: {default: api}}}]
x-anything: 1
paths:
  x-more: {get: {}}
  /orgs/{org}/files/{path}:
    parameters:
      - {$ref: "#/components/parameters/path"}
    get:
      operationId: readFile
      summary: |
        Read
        a file.
      x-sidegate-primitive: Read
      x-sidegate-target: {project: p, branch: b}
    put: {summary: Says nothing.}
    trace: {x-sidegate-authority: read}
  /orgs/{org}/projects/{project}:
    $ref: "#/components/pathItems/project"
  /root:
    servers: [{url: /other}]
    get: {x-sidegate-public: true, servers: [{url: /}]}
    post:
      x-sidegate-authority: write
      x-sidegate-target: {section: /}
      x-sidegate-and: [{authority: read, target: {section: "/a b"}}]
      x-sidegate-query: {v: "1", "on": "yes"}
      x-sidegate-allow-encoded: [percent]
components:
  parameters:
    path: {name: path, in: path, required: true, x-sidegate-tail: true, schema: {type: string}, example: null}
  pathItems:
    project:
      head: {x-sidegate-authority: read}
"""


def test_import() -> None:
    """Base path, tails, references and every key are taken over."""
    imported = read_openapi(DOCUMENT.encode(), "dir/api.yaml")
    assert [route.id for route in imported.routes] == [
        "GET /api/v1/orgs/{org}/files/{path*}",
        "HEAD /api/v1/orgs/{org}/projects/{project}",
        "GET /root",
        "POST /other/root?on=yes&v=1",
    ]
    assert imported.refused == ("PUT /api/v1/orgs/{org}/files/{path*}", "TRACE /api/v1/orgs/{org}/files/{path*}")


def test_text_is_the_same_routes() -> None:
    """The file that is written reads back to the same routes, with the refused operations at its head."""
    imported = read_openapi(DOCUMENT.encode(), "dir/api.yaml")
    assert read_routes(imported.text.encode(), "routes.yaml").table.routes == imported.routes
    assert imported.text.startswith("# Imported from api.yaml with `sidegate routes import`; ")
    assert "\n#   PUT /api/v1/orgs/{org}/files/{path*}\n" in imported.text
    assert "\n# Read a file.\n- get: /api/v1/orgs/{org}/files/{path*}\n  name: readFile\n" in imported.text
    assert '\n  query: {v: "1", on: yes}\n' in imported.text


def test_schema_for_editors() -> None:
    """The place of the JSON Schema is written where it is known."""
    imported = read_openapi(b"paths: {}", "api.yaml", "../routes.json")
    assert imported.text.splitlines()[0] == "# yaml-language-server: $schema=../routes.json"
    assert read_routes(imported.text.encode(), "routes.yaml").table.routes == ()


def test_json() -> None:
    """A document in JSON is read as well."""
    document = {"openapi": "3.0.0", "paths": {"/a": {"get": {"x-sidegate-public": True}}}}
    assert [route.id for route in read_openapi(json.dumps(document).encode(), "a.json").routes] == ["GET /a"]


def test_summary_cannot_become_a_route() -> None:
    """Text of the document stays a comment, whatever it holds."""
    summary = "x\\n- get: /evil\\n  public: true"
    text = f'paths: {{/a: {{get: {{x-sidegate-public: true, summary: "{summary}"}}}}}}'
    imported = read_openapi(text.encode(), "a\n- get: /evil\n.yaml")
    assert [route.id for route in read_routes(imported.text.encode(), "r.yaml").table.routes] == ["GET /a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[]", "a.yaml:1:1: `paths` is missing or no mapping; name an OpenAPI 3 document", id="list"),
        pytest.param("paths: []", "`paths` is missing or no mapping", id="no-paths"),
        pytest.param("paths: [", "`file` cannot be read", id="syntax"),
        pytest.param(
            "paths:\n  /a:\n    get: {x-sidegate-autority: read}",
            "a.yaml:3:11: `paths./a.get.x-sidegate-autority` is not known; did you mean `x-sidegate-authority`?",
            id="misspelt-key",
        ),
        pytest.param(
            "paths:\n  /a:\n    get: {x-sidegate-target: {section: /}}",
            "a.yaml:3:5: `paths./a.get` has x-sidegate-target only; add one of x-sidegate-primitive, ",
            id="target-only",
        ),
        pytest.param(
            "paths:\n  /a:\n    get: {x-sidegate-authority: reed}",
            "a.yaml:3:33: `paths./a.get.x-sidegate-authority` is 'reed'; did you mean `read`?",
            id="authority",
        ),
        pytest.param(
            "paths:\n  /a:\n    get: {x-sidegate-authority: read, x-sidegate-target: {sektion: /}}",
            "a.yaml:3:59: `paths./a.get.x-sidegate-target.sektion` is not known; did you mean `section`?",
            id="key-of-a-target",
        ),
        pytest.param(
            "paths:\n  /a:\n    get: {x-sidegate-authority: read}",
            "`paths./a.get.x-sidegate-target` names neither a section nor a project",
            id="no-target",
        ),
        pytest.param(
            "paths:\n  /{a}{b}:\n    get: {x-sidegate-public: true}",
            "a.yaml:2:3: `paths./{a}{b}` is '/{a}{b}'; `/{a}{b}` has two parameters in one segment",
            id="pattern",
        ),
        pytest.param(
            "paths:\n  /{a}:\n    get: {x-sidegate-public: true}\n  /{b}:\n    get: {x-sidegate-public: true}",
            "a.yaml:5:5: `GET /{b}` asks for the same requests as `GET /{a}` (line 3)",
            id="same-routes",
        ),
        pytest.param(
            "paths:\n  /a:\n    $ref: other.yaml#/x", "`paths./a` refers to something that is not here", id="elsewhere"
        ),
        pytest.param("paths:\n  /a:\n    $ref: '#/paths/~1a'", "refers to something that is not here", id="circle"),
    ],
)
def test_refused(text: str, expected: str) -> None:
    """Each mistake is said with its place in the document."""
    with pytest.raises(ConfigError) as caught:
        read_openapi(text.encode(), "a.yaml")
    assert any(expected in str(problem) for problem in caught.value.problems), str(caught.value)


def test_file(tmp_path: Path) -> None:
    """A document is read by its path."""
    (tmp_path / "a.yaml").write_text("paths: {}")
    assert import_routes(tmp_path / "a.yaml").routes == ()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        import_routes(tmp_path / "none.yaml")
