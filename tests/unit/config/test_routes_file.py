# ruff: noqa: E501 - tables, one case to a line
"""Route files become a table, or every error in every route at once (spec 6.2)."""

from pathlib import Path

import pytest

from sidegate.config.routes_file import load_routes, read_routes
from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.model.errors import ConfigError
from sidegate.core.routing.route import METHODS, Encoded, Origin, Parameter, Reading, Route, Source

SPEC = """
- get:  /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Read
- put:  /v1/orgs/{org}/projects/{project}/branches/{branch}/files/{path*}
  primitive: Write
- post: /v1/orgs/{org}/projects/{project}/branches/{branch}:glob
  primitive: Glob
  target: {path: {from: body.json, pointer: /pattern, pattern: glob}, subtree: true}
- post: /v1/orgs/{org}/projects/{project}/branches/{branch}:promote
  authority: approve
- get:  /v1/orgs/{org}/skills/{rest*}
  authority: read
  target: {section: "/skills/{rest}"}
- post: /v1/orgs/{org}/projects/{project}/branches/{branch}:merge
  authority: approve
  and: [{authority: read, target: {branch: {from: body.json, pointer: /source}}}]
- get:  /healthz
  public: true
"""


def routes(text: str) -> tuple[Route, ...]:
    """Read *text*."""
    return read_routes(text.encode(), "routes.yaml").table.routes


def problems(text: str) -> list[str]:
    """Read *text*, which has to fail, and return what is wrong."""
    with pytest.raises(ConfigError) as caught:
        read_routes(text.encode(), "routes.yaml")
    return [str(problem).removeprefix("routes.yaml:") for problem in caught.value.problems]


def parameter(name: str, place: int | None = None) -> Source:
    """Return the source of a whole parameter."""
    return Source(Origin.PATH, f"{{{name}}}", (Parameter(name),), Reading.PLAIN, place)


def test_example_of_the_specification() -> None:
    """The routes of spec 6.2 are read into what they mean."""
    read, write, glob, promote, skills, merge, health = routes(SPEC)
    (plan,) = read.plans
    assert (plan.authority, plan.primitive, read.path_only, read.needs_org) == (
        Authority.READ,
        Primitive.READ,
        True,
        False,
    )
    target = plan.target
    assert (target.org, target.project, target.branch, target.path) == (
        parameter("org", 2),
        parameter("project", 4),
        parameter("branch", 6),
        parameter("path", 8),
    )
    assert write.plans[0].authority is Authority.WRITE
    assert glob.plans[0].target.path == Source(Origin.BODY_JSON, "/pattern", ("pattern",), Reading.GLOB)
    assert (glob.needs_body, glob.plans[0].target.subtree, glob.plans[0].target.branch) == (
        True,
        True,
        parameter("branch"),
    )
    assert promote.plans[0].authority is Authority.APPROVE
    assert skills.plans[0].target.section == Source(Origin.PATH, "/skills/{rest}", ("/skills/", Parameter("rest")))
    assert skills.plans[0].target.project is None
    assert [plan.authority for plan in merge.plans] == [Authority.APPROVE, Authority.READ]
    assert merge.plans[1].target.branch == Source(Origin.BODY_JSON, "/source", ("source",))
    assert merge.plans[1].target.project == parameter("project", 4)
    assert (health.public, health.plans) == (True, ())


def test_positions() -> None:
    """Each route knows where it was written."""
    loaded = read_routes(SPEC.encode(), "routes.yaml")
    assert str(loaded.positions["GET /healthz"]) == "routes.yaml:17:3"
    assert len(loaded.positions) == 7


@pytest.mark.parametrize("method", METHODS)
def test_methods(method: str) -> None:
    """Every method that can be forwarded can be routed, also those of WebDAV."""
    (route,) = routes(f"- {{{method.lower()}: /x, authority: read, target: {{section: /}}}}")
    assert route.method == method


def test_everything_else_that_can_be_written() -> None:
    """Ids, titles, queries, allowed encodings and every kind of source."""
    (route,) = routes("""
- post: /x/{a}
  id: mine
  name: Title
  authority: write
  query: {service: git-receive-pack, v: ""}
  allow_encoded: [percent, semicolon, slash]
  target:
    org: {from: header, name: X-Org}
    project: {from: path, name: a}
    branch: "v-{a}"
    path: {from: query, name: p, pattern: glob}
    subtree: true
""")
    target = route.plans[0].target
    assert (route.id, route.name, route.allow_encoded) == ("mine", "Title", frozenset(Encoded))
    assert route.query == (("service", "git-receive-pack"), ("v", ""))
    assert target.org == Source(Origin.HEADER, "x-org")
    assert (target.project, target.branch) == (
        parameter("a", 1),
        Source(Origin.PATH, "v-{a}", ("v-", Parameter("a"))),
    )
    assert (target.path, target.subtree) == (Source(Origin.QUERY, "p", (), Reading.GLOB), True)
    assert (set(route.needs_headers), route.needs_query, route.needs_body) == ({b"x-org"}, True, False)


def test_no_routes() -> None:
    """An empty list is a table that matches nothing; an empty file is a mistake."""
    assert routes("[]") == ()
    assert problems("") == ["1:1: `file` is empty; write a list of routes; [] for none"]
    assert problems("a: b") == ["1:1: `file` is not a list; write a list of routes, each with a `-`"]


GET = "- get: /v1/{org}/{project}/{branch}/{path*}\n  "
ASK = "authority: read\n  "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("- {gett: /x, public: true}", "1:4: `[0].gett` is not known; did you mean `get`?", id="method"),
        pytest.param("- {public: true}", "1:3: `[0]` names no method; ", id="no-method"),
        pytest.param("- {trace: /x, public: true}", "1:4: `[0].trace` is not known; ", id="trace"),
        pytest.param("- {get: /x, put: /y, public: true}", "1:3: `[0]` names get and put; ", id="two-methods"),
        pytest.param("- {get: x, public: true}", "1:9: `[0].get` is 'x'; `x` does not start with `/`", id="pattern"),
        pytest.param("- {get: '*', public: true}", "1:9: `[0].get` is '*'; only `options`", id="asterisk-form"),
        pytest.param(GET, "1:3: `[0]` asks for nothing; write exactly one of `authority`, `primitive` and", id="nothing"),
        pytest.param(GET + "public: false", "1:3: `[0]` asks for nothing", id="not-public-and-nothing"),
        pytest.param(GET + ASK + "primitive: Read", "1:3: `[0]` names an authority and a primitive", id="both"),
        pytest.param(GET + "authority: reed", "2:14: `[0].authority` is 'reed'; did you mean `read`?", id="authority"),
        pytest.param(GET + ASK + "public: true", "2:14: `[0].authority` stands in a public route", id="public-asks"),
        pytest.param(
            GET + "public: true\n  and: []", "3:8: `[0].and` stands in a public route", id="public-asks-more"
        ),
        pytest.param(
            GET + ASK + "target: {path: {from: body.json, pointer: /a}}",
            "3:25: `[0].target.path.from` is body.json in a get route",
            id="body-of-get",
        ),
        pytest.param(
            GET + ASK + "target: {section: skills}", "3:21: `[0].target.section` is 'skills'; start it", id="section"
        ),
        pytest.param(
            GET + ASK + "target: {section: /, branch: x}", "`[0].target.branch` stands beside a section", id="two-trees"
        ),
        pytest.param(
            "- {get: '/{org}', authority: read}",
            "1:3: `[0].target` names neither a section nor a project; add `target: {section: /…}`",
            id="no-target",
        ),
        pytest.param(
            "- {get: '/{project}/{path*}', authority: read}", "`[0].target.path` has no branch; ", id="path-without-branch"
        ),
        pytest.param(
            GET + ASK + 'target: {project: "{projct}"}',
            "3:21: `[0].target.project` names {projct}, which the pattern does not have; did you mean `project`?",
            id="unknown-parameter",
        ),
        pytest.param(
            GET + ASK + 'target: {branch: "{path}"}', "takes the tail {path*} for a name; use a parameter", id="tail-as-name"
        ),
        pytest.param(
            GET + ASK + 'target: {branch: "{branch"}', "is '{branch' with a single brace; write parameters", id="brace"
        ),
        pytest.param(
            GET + ASK + "target: {branch: a b}", "`[0].target.branch` is 'a b'; branch `a b` is not a name", id="constant"
        ),
        pytest.param(
            GET + ASK + "target: {path: ../x}", "`[0].target.path` is '../x'; path segment `..`", id="constant-path"
        ),
        pytest.param(
            GET + ASK + "target: {path: ''}", "`[0].target.path` is empty or too long; write text of 1 to", id="empty-text"
        ),
        pytest.param(GET + ASK + "target: {path: 5}", "`[0].target.path` is 5; write a mapping with", id="number"),
        pytest.param(
            GET + "primitive: Glob\n  target: {subtree: false}",
            "`[0].target.subtree` is false; remove it: Glob always reaches the whole subtree",
            id="glob-of-one-file",
        ),
        pytest.param(
            GET + ASK + "target: {path: {from: query, name: p, pattern: glob}}",
            "`[0].target.path` is a glob of a single file; add `subtree: true`",
            id="pattern-of-one-file",
        ),
        pytest.param(
            GET + ASK + "target: {branch: {from: query, name: p, pattern: glob}}",
            "`[0].target.branch.pattern` is not for names; only `path` can be a glob",
            id="pattern-of-a-name",
        ),
        pytest.param(
            GET + ASK + "target: {branch: {from: query}}",
            "3:20: `[0].target.branch` lacks `name`; say which, e.g. {from: query, name: path}",
            id="query-without-name",
        ),
        pytest.param(
            GET + ASK + "target: {branch: {from: query, name: b, pointer: /b}}",
            "`[0].target.branch.pointer` does not go with `from: query`; write `name`",
            id="query-with-pointer",
        ),
        pytest.param(
            GET + ASK + "target: {branch: {from: cookie, name: b}}", "`[0].target.branch.from` is 'cookie'; ", id="origin"
        ),
        pytest.param(
            GET + ASK + "target: {branch: {from: path, name: nope}}", "`[0].target.branch.name` names {nope}", id="path-name"
        ),
        pytest.param(
            GET + ASK + "target: {branch: {from: header, name: 'a b'}}", "is 'a b'; write a header name", id="header-name"
        ),
        pytest.param(
            GET.replace("get", "put") + ASK + "target: {path: {from: body.json, pointer: a}}",
            "`[0].target.path.pointer` is 'a'; `a` is not a JSON pointer",
            id="pointer",
        ),
        pytest.param(GET + ASK + "and: [{authority: read, target: {org: '-'}}]", "`[0].and[0].target.org` is '-'", id="and"),
        pytest.param(GET + ASK + "and: [{}]", "3:9: `[0].and[0]` asks for nothing; write exactly one of", id="and-nothing"),
        pytest.param(GET + ASK + "query: {a: 1}", "`[0].query.a` is 1; put it in quotes: \"1\"", id="query-number"),
        pytest.param(
            GET + ASK + f"\n- get: /v1/{{a}}/{{b}}/{{c}}/{{d*}}\n  {ASK}target: {{section: /}}",
            "`GET /v1/{a}/{b}/{c}/{d*}` asks for the same requests as "
            "`GET /v1/{org}/{project}/{branch}/{path*}` (line 1); keep one",
            id="same-route",
        ),
        pytest.param(
            "- {get: '/{a}.git', public: true}\n- {get: '/x{a}', public: true}",
            "2:3: `GET /x{a}` can match the same request as `GET /{a}.git` with equal rank (line 1); ",
            id="undecided",
        ),
        pytest.param(
            "- {get: /a, id: x, public: true}\n- {get: /b, id: x, public: true}",
            "2:3: `x` is already the id of the route of line 1; give each route its own `id`",
            id="same-id",
        ),
    ],
)  # fmt: skip
def test_refused(text: str, expected: str) -> None:
    """Each mistake is refused with its place, its key and what to write."""
    (problem,) = problems(text)
    assert expected in problem


@pytest.mark.parametrize(
    "name",
    ["Host", "Cookie", "authorization", "Connection", "X-Forwarded-Host", "X_Sidegate_Account", "X-Original-URL"],
)
def test_header_that_does_not_reach_the_upstream(name: str) -> None:
    """What decides must be what the upstream sees: headers that are dropped or rewritten decide nothing."""
    (problem,) = problems(GET + ASK + f"target: {{branch: {{from: header, name: {name}}}}}")
    assert f"is '{name}', which is not forwarded as it came" in problem


def test_a_mistake_in_one_route_hides_none_of_another() -> None:
    """Structure, meaning and conflicts of different routes are said together."""
    text = f"{GET}authority: reed\n- {{get: /b, authority: read}}\n" + "- {get: /c, public: true}\n" * 2
    found = problems(text)
    assert [problem.split(": ")[0] for problem in found] == ["2:14", "3:3", "5:3"]


def test_file(tmp_path: Path) -> None:
    """A file is read by its path."""
    path = tmp_path / "routes.yaml"
    path.write_text(SPEC)
    assert len(load_routes(path).table.routes) == 7
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_routes(tmp_path / "none.yaml")
    path.write_text("- [")
    with pytest.raises(ConfigError, match="cannot be read: while parsing"):
        load_routes(path)
