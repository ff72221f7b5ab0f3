"""`sidegate can`: one question, its answer and why."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        pytest.param(["user:ana", "read", "p1@main"], 0, "granted", id="allowed"),
        pytest.param(["user:ana", "write", "p1@main"], 1, "not_granted", id="denied"),
        pytest.param(["user:ana", "Write", "p1@x:a"], 0, "granted", id="primitive"),
        pytest.param(["user:ana", "read", "p1", "--subtree"], 0, "granted", id="subtree-granted"),
        pytest.param(["user:ana", "write", "p1", "--subtree"], 1, "subtree_narrowed", id="subtree-narrowed"),
        pytest.param(["user:root", "configure", "/members"], 1, "mfa_required", id="no-second-factor"),
        pytest.param(["user:root", "configure", "/members", "--mfa-age", "5m"], 0, "granted", id="second-factor"),
        pytest.param(["user:root", "configure", "/members", "--mfa-age", "60"], 0, "granted", id="in-seconds"),
        pytest.param(["user:root", "configure", "/members", "--mfa-age", "13h"], 1, "mfa_required", id="old-factor"),
        pytest.param(["user:bo", "read", "p2", "--source", "10.1.2.3"], 0, "granted", id="source"),
        pytest.param(["user:bo", "read", "p2", "--source", "11.1.2.3"], 1, "source_address", id="other-source"),
        pytest.param(["user:ana", "read", "p1", "--scopes", "p2"], 1, "outside_credential_scope", id="scopes"),
        pytest.param(["user:ana", "read", "p1", "--authorities", "run"], 1, "outside_credential_scope", id="lists"),
        pytest.param(["user:root", "approve", "p1@main", "--mfa-age", "0s"], 1, "approval_required", id="approval"),
        pytest.param(["user:root", "approve", "p1@main", "--mfa-age", "0s", "--approved"], 0, "granted", id="approved"),
        pytest.param(
            ["service:ci", "read", "p1", "--as-key", "4fQz8Kd01LmNopQr", "--time", "2026-01-01T00:00:00Z"],
            0,
            "granted",
            id="key-within",
        ),
        pytest.param(
            ["service:ci", "read", "p2", "--as-key", "4fQz8Kd01LmNopQr", "--time", "2026-01-01T00:00:00Z"],
            1,
            "outside_credential_scope",
            id="key-outside",
        ),
        pytest.param(["user:gus", "read", "p1"], 0, "granted", id="organization-follows-from-the-account"),
        pytest.param(["user:gus", "read", "p1", "--org", "acme"], 1, "not_a_member", id="organization-given"),
    ],
)
def test_answers_and_says_it_by_the_exit_code(
    sidegate: Any, policy: Path, arguments: list[str], code: int, reason: str
) -> None:
    """Exit code 0 for allow, 1 for deny; every option is part of the question."""
    done = sidegate("can", *arguments, "--policy", policy, "-o", "json")
    assert (code, reason, "") == (done.code, done.json["reason"], done.err)
    assert ("allow" if code == 0 else "deny") == done.json["outcome"]


def test_a_key_that_is_over_is_refused(sidegate: Any, policy: Path) -> None:
    """A key is asked for as it is: one that is over cannot do anything any more."""
    done = sidegate(
        "can", "service:ci", "read", "p1", "--as-key", "4fQz8Kd01LmNopQr", "--time", "2027-01-01T00:00:00Z",
        "--policy", policy, "-o", "json",
    )  # fmt: skip
    assert (done.code, done.json["outcome"], done.json["reason"]) == (1, "deny", "key_expired")


@pytest.mark.parametrize(
    ("arguments", "reason", "asked"),
    [
        pytest.param(
            ["GET", "/v1/orgs/acme/projects/p1/branches/main/files/a.json"],
            "granted",
            [("read", "p1@main:a.json")],
            id="get",
        ),
        pytest.param(["GET", "/v1/projects/p1"], "granted", [("read", "p1")], id="organization-of-the-principal"),
        pytest.param(["GET", "/nowhere"], "unmapped_route", [], id="unmapped"),
        pytest.param(["GET", "/healthz"], "public_route", [], id="public"),
        pytest.param(
            ["POST", "/v1/orgs/acme/projects/p1/branches/x:glob", "--body", '{"pattern": "d/*.json"}'],
            "granted",
            [("read", "p1@x:d")],
            id="body",
        ),
        pytest.param(["POST", "/v1/orgs/acme/projects/p1/branches/x:glob"], "malformed_request", [], id="no-body"),
        pytest.param(
            ["POST", "/v1/orgs/acme/projects/p1/branches/x:merge", "--header", "X-Source-Branch: y"],
            "not_granted",
            [("approve", "p1@x"), ("read", "p1@y")],
            id="two-parts",
        ),
    ],
)
def test_a_method_and_a_path_go_through_the_routes(
    sidegate: Any, config: Path, arguments: list[str], reason: str, asked: list[tuple[str, str]]
) -> None:
    """The second form takes a request; the routes say what it asks for, and all parts have to be allowed."""
    done = sidegate("can", "user:ana", *arguments, "--config", config, "-o", "json")
    assert (reason, asked) == (done.json["reason"], [(ask["authority"], ask["target"]) for ask in done.json["asks"]])


def test_explains_to_people(sidegate: Any, policy: Path) -> None:
    """The answer first, then what was asked, each check, and the entries with file and line."""
    done = sidegate("can", "user:ana", "write", "p1@main:a.json", "--policy", "policy")
    assert policy.is_dir()
    expected = """\
deny  not_granted
asked   write on p1@main:a.json in acme
  passed  organization: both are in `acme`
  passed  membership: user:ana is an active member with Member
  passed  denies: nothing withholds write on p1@main:a.json
  passed  ceiling: what the organization roles allow at most: write is among it
  failed  grants: the narrowest bindings that cover p1@main:a.json count: write is not among it
because
  policy/acme.yaml:15:5: b2: user:ana is Viewer on p1@main
hint    ask for a role on this scope that gives the authority
candidate  would say allow granted
"""
    assert expected == done.out


def test_explains_a_request_to_people(sidegate: Any, config: Path) -> None:
    """A request that is refused before a decision says which route it matched and why."""
    done = sidegate("can", "user:ana", "GET", "/nowhere", "--config", config)
    assert done.out == "deny  unmapped_route\nroute   none\nhint    no route matches\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["ana", "read", "p1"], "`ana` is no account; write user:ID or service:ID", id="account"),
        pytest.param(["user:ana", "raed", "p1"], "did you mean `read`?", id="authority"),
        pytest.param(["user:ana", "get", "/x"], "did you mean `GET`?", id="method-in-lower-case"),
        pytest.param(["user:ana", "zzzz", "/x"], "there are: read, write", id="nothing-near"),
        pytest.param(["user:ana", "read", "p*"], "project `p*` is not a name", id="target"),
        pytest.param(["user:nobody", "read", "p1"], "give --org, one of acme, globex", id="organization"),
        pytest.param(["user:ana", "read", "p1", "--source", "x"], "--source: `x` is no address", id="source"),
        pytest.param(["user:ana", "read", "p1", "--mfa-age", "5x"], "--mfa-age: `5x` is no duration", id="age"),
        pytest.param(["user:ana", "read", "p1", "--time", "now"], "--time: `now` is not an instant", id="time"),
        pytest.param(["user:ana", "read", "p1", "--scopes", "p1:"], "--scopes: ", id="scope"),
        pytest.param(["user:ana", "read", "p1", "--authorities", "red"], "--authorities: `red`", id="list"),
        pytest.param(["user:ana", "read", "p1", "--as-key", "x"], "no key `x`", id="no-key"),
        pytest.param(
            ["user:ana", "read", "p1", "--as-key", "4fQz8Kd01LmNopQr"], "belongs to service:ci", id="key-of-another"
        ),
        pytest.param(
            ["service:ci", "read", "p1", "--as-key", "4fQz8Kd01LmNopQr", "--scopes", "p1"],
            "--as-key brings",
            id="key-and-lists",
        ),
        pytest.param(["user:ana", "read", "p1", "--surface", ""], "--surface", id="surface"),
        pytest.param(["user:ana", "read"], "missing argument", id="argument-missing"),
    ],
)
def test_a_question_that_cannot_be_read(sidegate: Any, policy: Path, arguments: list[str], said: str) -> None:
    """What is wrong with the command line is said in one line with what to do: exit code 2, nothing printed."""
    done = sidegate("can", *arguments, "--policy", policy)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("sidegate: ")
    assert said in done.err
    assert done.err.count("\n") == 1
