"""`sidegate routes`: import and match (spec 6.2)."""

from pathlib import Path
from typing import Any

import pytest

from sidegate.config.routes_file import load_routes

OPENAPI = """\
openapi: 3.1.0
info: {title: files, version: "1"}
paths:
  /v1/orgs/{org}/projects/{project}:
    get: {x-sidegate-authority: read, summary: Show a project.}
    delete: {summary: Nobody said what this asks for.}
  /healthz:
    get: {x-sidegate-public: true}
"""


def test_import_to_a_file(sidegate: Any, tmp_path: Path) -> None:
    """What is written can be loaded; operations that say nothing are listed and stay refused."""
    (tmp_path / "openapi.yaml").write_text(OPENAPI)
    done = sidegate("routes", "import", "openapi.yaml", "--out", "made.yaml")
    assert (done.code, done.out) == (0, "")
    assert (
        done.err
        == "2 routes, 1 of them public, 1 operations refused\n  refused: DELETE /v1/orgs/{org}/projects/{project}\n"
    )
    assert {"GET /v1/orgs/{org}/projects/{project}", "GET /healthz"} == set(
        load_routes(tmp_path / "made.yaml").positions
    )


def test_import_to_standard_output(sidegate: Any, tmp_path: Path) -> None:
    """Without --out the file goes to standard output, what is said about it does not."""
    (tmp_path / "openapi.yaml").write_text(OPENAPI)
    done = sidegate("routes", "import", "openapi.yaml", "--schema", "routes.json")
    assert done.out.startswith("# yaml-language-server: $schema=routes.json\n")
    assert "refused: " not in done.out.partition("paths")[0].splitlines()[0]
    assert "2 routes" in done.err


def test_import_of_something_else(sidegate: Any, tmp_path: Path) -> None:
    """A document that cannot be read is said with its place: exit code 78."""
    (tmp_path / "openapi.yaml").write_text("openapi: 3.1.0\n")
    done = sidegate("routes", "import", "openapi.yaml")
    assert (done.code, "`paths` is missing" in done.err) == (78, True)
    assert sidegate("routes", "import", "nowhere.yaml").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        pytest.param(
            ["GET", "/v1/orgs/acme/projects/p1/branches/main/files/a/b.json"],
            0, (None, [("read", "Read", "acme", "p1@main:a/b.json", "path", False)]), id="tail",
        ),
        pytest.param(
            ["POST", "/v1/orgs/acme/projects/p1/branches/main:glob", "--body", '{"pattern": "d/*"}'],
            0, (None, [("read", "Glob", "acme", "p1@main:d", "path", True)]), id="body",
        ),
        pytest.param(
            ["POST", "/v1/orgs/acme/projects/p1/branches/main:merge", "-H", "X-Source-Branch: y"],
            0,
            (None, [("approve", None, "acme", "p1@main", "branch", False),
                    ("read", None, "acme", "p1@y", "branch", False)]),
            id="header",
        ),
        pytest.param(
            ["GET", "/v1/projects/p1", "--org", "globex"],
            0, (None, [("read", None, "globex", "p1", "project", False)]), id="organization-of-the-principal",
        ),
        pytest.param(["GET", "/healthz"], 0, ("public_route", []), id="public"),
        pytest.param(["GET", "/nowhere"], 1, ("unmapped_route", []), id="unmapped"),
        pytest.param(["GET", "/a//b"], 1, ("ambiguous_path", []), id="empty-segment"),
        pytest.param(["GET", "a b"], 1, ("malformed_request", []), id="no-path"),
        pytest.param(["GET", "/a b"], 1, ("malformed_request", []), id="blank"),
        pytest.param(
            ["POST", "/v1/orgs/acme/projects/p1/branches/main:merge"], 1, ("malformed_request", []), id="header-missing"
        ),
    ],
)  # fmt: skip
def test_match(
    sidegate: Any, routes: Path, arguments: list[str], code: int, expected: tuple[str | None, list[tuple[Any, ...]]]
) -> None:
    """Which route, what it asks for; exit code 1 when the request would be refused before a decision."""
    done = sidegate("routes", "match", *arguments, "--routes", routes, "-o", "json")
    names = ("authority", "primitive", "org", "target", "kind", "subtree")
    asked = [tuple(ask[name] for name in names) for ask in done.json["asks"]]
    assert (code, expected) == (done.code, (done.json["reason"], asked))


def test_match_for_people(sidegate: Any, config: Path) -> None:
    """The route with its place, and what it asks for."""
    assert config.is_file()
    done = sidegate("routes", "match", "GET", "/v1/projects/p1", "--org", "acme", "--config", "sidegate.yaml")
    expected = """\
GET /v1/projects/{project}  routes.yaml:11:3
AUTHORITY  PRIMITIVE  TARGET  KIND     ORG
read       -          p1      project  acme
"""
    assert expected == done.out
    refused = sidegate("routes", "match", "GET", "/x", "--config", "sidegate.yaml")
    assert refused.out == "unmapped_route: no route matches\n"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        pytest.param(["X"], "`X` is no header", id="no-colon"),
        pytest.param([":x"], "is no header", id="no-name"),
        pytest.param(["X:1", "x:2"], "comes twice", id="twice"),
    ],
)
def test_headers_that_cannot_be_read(sidegate: Any, routes: Path, headers: list[str], said: str) -> None:
    """A header is written NAME:VALUE and comes once."""
    options = [part for header in headers for part in ("-H", header)]
    done = sidegate("routes", "match", "GET", "/healthz", *options, "--routes", routes)
    assert (done.code, said in done.err) == (2, True)
