"""`sidegate policy test`: a policy against what it is expected to answer."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

REPOSITORY = Path(__file__).parents[4]

TESTS = """\
defaults: {org: acme, time: 2026-11-21T00:00:00Z}
tests:
  - {name: main is read-only, account: user:ana, authority: write, target: p1@main, expect: deny}
  - {account: user:ana, authority: write, target: p1@x, expect: {outcome: allow, because: [b1]}}
  - {name: wrong, account: user:ana, authority: write, target: p1@x, expect: {outcome: deny, because: [b2]}}
"""


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """A file of tests, the last of which fails."""
    file = tmp_path / "tests.yaml"
    file.write_text(TESTS)
    return file


def test_the_tests_of_the_example_policy_pass(sidegate: Any) -> None:
    """The policy that is shipped as an example answers as the tests beside it say."""
    config = REPOSITORY / "config"
    done = sidegate("policy", "test", *(config / "policy-tests").iterdir(), "--policy", config / "policy", "-o", "json")
    assert (done.code, done.json["failed"]) == (0, 0)
    assert done.json["tests"] > 20


def test_tree(sidegate: Any, tests: Path, policy: Path) -> None:
    """File by file what passed and what did not, with the place, and what no test relied on; exit code 1."""
    assert tests.is_file()
    assert policy.is_dir()
    done = sidegate("policy", "test", "tests.yaml", "--policy", "policy")
    expected = """\
tests.yaml
  ok    main is read-only
  ok    user:ana write p1@x
  FAIL  wrong
        tests.yaml:5:5: outcome is allow, expected deny
        tests.yaml:5:5: because is [b1], expected [b2]
        it says granted because of b1

3 tests, 1 failed
acme: 2 of 8 entries relied on, 25 %
  not relied on: b3  policy/acme.yaml:16:5
  not relied on: b4  policy/acme.yaml:17:5
  not relied on: d1  policy/acme.yaml:19:5
  not relied on: promote  policy/acme.yaml:21:5
  not relied on: role:Field lead  policy/acme.yaml:3:3
  not relied on: role:Auditor  policy/acme.yaml:4:3
"""
    assert (1, expected, "") == (done.code, done.out, done.err)


def test_json(sidegate: Any, tests: Path, policy: Path) -> None:
    """For programs: each result with its place and the whole answer, and the coverage."""
    done = sidegate("policy", "test", tests, "--policy", policy, "-o", "json")
    assert (done.json["tests"], done.json["failed"]) == (3, 1)
    assert [(one["line"], one["passed"]) for one in done.json["results"]] == [(3, True), (4, True), (5, False)]
    assert (done.json["results"][2]["mismatches"]) == [
        "outcome is allow, expected deny",
        "because is [b1], expected [b2]",
    ]
    (coverage,) = done.json["coverage"]
    assert (coverage["organization"], coverage["percent"], coverage["covered"]) == ("acme", 25, ["b1", "b2"])


def test_junit(sidegate: Any, tests: Path, policy: Path) -> None:
    """For CI systems: one suite per file, one case per test, a failure with what is wrong."""
    tests.write_text(tests.read_text().replace("name: wrong", 'name: "<wrong> & \\"bad\\" \\u0001"'))
    done = sidegate("policy", "test", tests, "--policy", policy, "-o", "junit")
    root = ET.fromstring(done.out)
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "3", "1")
    cases = root.findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == ["main is read-only", "user:ana write p1@x", '<wrong> & "bad" \\x01']
    assert [len(case.findall("failure")) for case in cases] == [0, 0, 1]
    (failure,) = root.iter("failure")
    assert failure.get("message") == "outcome is allow, expected deny; because is [b1], expected [b2]"


def test_json_lines(sidegate: Any, policy: Path, tmp_path: Path) -> None:
    """A .jsonl file holds one test to a line, as `sidegate decide` takes them."""
    line = '{"org": "acme", "account": "user:ana", "authority": "read", "target": "p1", "expect": "%s"}\n'
    (tmp_path / "tests.jsonl").write_text(line % "allow" + "\n" + line % "granted" + line % "no_grant")
    done = sidegate("policy", "test", "tests.jsonl", "--policy", policy, "-o", "json")
    assert [(one["line"], one["passed"]) for one in done.json["results"]] == [(1, True), (3, True), (4, False)]


def test_requests_through_routes(sidegate: Any, policy: Path, routes: Path, tmp_path: Path) -> None:
    """With --routes a test may have a method and a path."""
    (tmp_path / "tests.yaml").write_text(
        "- {org: acme, account: user:ana, method: PUT, expect: not_granted,"
        " path: /v1/orgs/acme/projects/p1/branches/main/files/a}\n"
        "- {org: acme, account: user:ana, method: GET, path: /nowhere, expect: unmapped_route}\n"
    )
    assert sidegate("policy", "test", "tests.yaml", "--policy", policy, "--routes", routes).code == 0


def test_least_coverage(sidegate: Any, tests: Path, policy: Path) -> None:
    """--min-coverage fails what relies on too little, though every test passes."""
    tests.write_text("\n".join(TESTS.splitlines()[:4]))
    command = ("policy", "test", tests, "--policy", policy, "--min-coverage")
    assert [sidegate(*command, percent).code for percent in (25, 26)] == [0, 1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("t.yaml", "- {expect: maybe}", "t.yaml:1:3: `expect` is `maybe`; write one of", id="reason"),
        pytest.param("t.yaml", "- {org: acme}", "t.yaml:1:3: `expect` is neither text nor a mapping", id="no-expect"),
        pytest.param("t.yaml", "- {expect: {}}", "`expect` expects nothing", id="empty-expect"),
        pytest.param("t.yaml", "- {expect: {result: allow}}", "`expect.result` is not known", id="unknown-expect"),
        pytest.param("t.yaml", "- {expect: {because: b1}}", "`expect.because` is no list", id="because"),
        pytest.param("t.yaml", "- {expect: {outcome: yes}}", "`expect.outcome` is `yes`", id="outcome"),
        pytest.param("t.yaml", "- {expect: allow}", "t.yaml:1:3: `org` is missing", id="question"),
        pytest.param("t.yaml", "- {expect: allow, method: GET, path: /}", "`method` needs the routes", id="no-routes"),
        pytest.param("t.yaml", "- allow", "t.yaml:1:3: test 1 is no mapping", id="no-mapping"),
        pytest.param("t.yaml", "tests: {}", "`tests` is no list", id="no-list"),
        pytest.param("t.yaml", "defaults: []\ntests: []\nother: 1", "t.yaml:3:1: `other` is not known", id="unknown"),
        pytest.param("t.yaml", "- {a: &x b}", "has an anchor", id="yaml"),
        pytest.param("t.yaml", "- {", "t.yaml:", id="syntax"),
        pytest.param("t.jsonl", "{}\n{x\n", "t.jsonl:2:1: the line is no JSON", id="json"),
        pytest.param("t.jsonl", "[]\n", "t.jsonl:1:1: test 1 is no mapping", id="json-list"),
    ],
)
def test_files_that_cannot_be_read(sidegate: Any, policy: Path, name: str, content: str, said: str) -> None:
    """Everything that is wrong, with its place; nothing is run: exit code 65."""
    Path(name).write_text(content)
    done = sidegate("policy", "test", name, "--policy", policy)
    assert (done.code, done.out) == (65, "")
    assert said in done.err


def test_one_file_hides_nothing_of_another(sidegate: Any, policy: Path, tmp_path: Path) -> None:
    """What is wrong in several files is said at once."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("- allow\n")
    err = sidegate("policy", "test", "a.yaml", "b.yaml", "--policy", policy).err
    wrong = "test 1 is no mapping; write one object per test"
    assert err.splitlines()[1:] == [f"a.yaml:1:3: {wrong}", f"b.yaml:1:3: {wrong}"]
