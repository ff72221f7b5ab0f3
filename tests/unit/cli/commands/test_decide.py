"""`sidegate decide`: the line format of spec 6.4, in and out."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import pytest

from sidegate.cli.commands.decide import read_lines

LINE: dict[str, Any] = {
    "id": 1,
    "org": "acme",
    "account": "user:ana",
    "authority": "write",
    "target": "p1@main:designs/a.json",
    "kind": "path",
    "subtree": False,
    "time": "2026-11-21T00:00:00Z",
    "mfa_age_s": 60,
    "surface": "web",
    "source": "10.0.0.9",
    "credential": {"kind": "session", "authorities": None, "scopes": None},
    "chain": [],
    "approved": False,
}
SHADOW = {"outcome": "allow", "reason": "granted", "because": ["b2"]}


def test_answers_the_example_of_the_specification(sidegate: Any, policy: Path) -> None:
    """Spec 6.4: a line with every member is answered with id, outcome, reason, because and shadow, and nothing else."""
    done = sidegate("decide", "--policy", policy, stdin=orjson.dumps(LINE) + b"\n")
    expected = {"id": 1, "outcome": "deny", "reason": "not_granted", "because": ["b2"], "shadow": SHADOW}
    assert (0, [expected], "") == (done.code, done.lines, done.err)
    assert list(expected) == list(done.lines[0])


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        pytest.param({}, ("allow", "granted", ["b1"]), id="as-it-is"),
        pytest.param({"id": "a"}, ("allow", "granted", ["b1"]), id="id-text"),
        pytest.param({"id": None}, ("allow", "granted", ["b1"]), id="no-id"),
        pytest.param({"kind": "branch"}, ("allow", "granted", ["b1"]), id="kind-given"),
        pytest.param({"kind": None}, ("allow", "granted", ["b1"]), id="kind-null"),
        pytest.param({"target": "p1", "subtree": True}, ("deny", "subtree_narrowed", ["b2"]), id="subtree"),
        pytest.param({"target": "p1", "subtree": None}, ("allow", "granted", ["b1"]), id="subtree-null"),
        pytest.param({"authority": "delete"}, ("deny", "denied_by_rule", ["d1"]), id="deny"),
        pytest.param({"org": "globex"}, ("deny", "not_a_member", []), id="other-organization"),
        pytest.param({"org": "nowhere"}, ("deny", "not_a_member", []), id="unknown-organization"),
        pytest.param({"credential": {"org": "globex"}}, ("deny", "cross_org", []), id="cross-org"),
        pytest.param({"credential": None}, ("allow", "granted", ["b1"]), id="credential-null"),
        pytest.param(
            {"credential": {"kind": "api_key", "authorities": ["read"]}},
            ("deny", "outside_credential_scope", ["credential"]),
            id="key-authorities",
        ),
        pytest.param(
            {"credential": {"scopes": ["p2"]}}, ("deny", "outside_credential_scope", ["credential"]), id="scopes"
        ),
        pytest.param(
            {"credential": {"authorities": []}},
            ("deny", "outside_credential_scope", ["credential"]),
            id="empty-list-lets-nothing-pass",
        ),
        pytest.param(
            {"chain": [{"id": "ag_1", "allow": ["read"]}]},
            ("deny", "outside_credential_scope", ["agent:ag_1"]),
            id="link-allow",
        ),
        pytest.param(
            {"chain": [{"id": "ag_1", "deny": [{"authorities": ["write"], "on": "p1"}]}]},
            ("deny", "denied_by_rule", ["agent:ag_1"]),
            id="link-deny",
        ),
        pytest.param(
            {"time": "2026-11-21T00:00:00Z", "chain": [{"id": "ag_1", "expires_at": "2026-11-21T00:00:00Z"}]},
            ("deny", "delegation_expired", ["agent:ag_1"]),
            id="link-at-its-end",
        ),
        pytest.param(
            {"time": "2026-11-21T00:00:00Z", "chain": [{"id": "ag_1", "expires_at": "2026-11-21T00:00:00.001Z"}]},
            ("allow", "granted", ["b1"]),
            id="link-just-before-its-end",
        ),
        pytest.param(
            {"chain": [{"id": f"ag_{number}"} for number in range(9)]},
            ("deny", "delegation_too_long", []),
            id="nine-links",
        ),
        pytest.param(
            {"account": "user:bo", "target": "p2", "source": "10.0.0.9"}, ("allow", "granted", ["b3"]), id="source"
        ),
        pytest.param(
            {"account": "user:bo", "target": "p2", "source": None},
            ("deny", "source_address", ["b3"]),
            id="source-unknown",
        ),
        pytest.param(
            {"account": "user:root", "target": "p9", "mfa_age_s": 60},
            ("allow", "granted", ["role:Organization admin"]),
            id="second-factor",
        ),
        pytest.param(
            {"account": "user:root", "target": "/", "mfa_age_s": None},
            ("deny", "mfa_required", ["role:Organization admin"]),
            id="second-factor-never",
        ),
        pytest.param(
            {"account": "user:root", "target": "p9@main", "authority": "approve", "mfa_age_s": 0},
            ("deny", "approval_required", ["promote"]),
            id="not-approved",
        ),
        pytest.param(
            {"account": "user:root", "target": "p9@main", "authority": "approve", "mfa_age_s": 0, "approved": True},
            ("allow", "granted", ["role:Organization admin"]),
            id="approved",
        ),
    ],
)
def test_only_four_members_are_needed(
    sidegate: Any, policy: Path, change: dict[str, Any], answer: tuple[str, str, list[str]]
) -> None:
    """Each optional member may be left out or null, which is the plainest case, or given, which counts."""
    line = {"org": "acme", "account": "user:ana", "authority": "write", "target": "p1@x", **change}
    done = sidegate("decide", "--policy", policy, stdin=orjson.dumps(line))
    (got,) = done.lines
    assert (0, answer) == (done.code, (got["outcome"], got["reason"], got["because"]))
    assert change.get("id") == got["id"]


def test_shadow_is_null_when_the_candidate_agrees(sidegate: Any, policy: Path) -> None:
    """Spec 6.4: `shadow` is there in every answer; null where the candidate does not differ."""
    line = {**LINE, "target": "p1@x:a.json"}
    assert sidegate("decide", "--policy", policy, stdin=orjson.dumps(line)).lines[0]["shadow"] is None


def test_bad_lines_lose_nothing(sidegate: Any, policy: Path) -> None:
    """A line that cannot be read is answered in its place with what is wrong; the others are decided; exit code 65."""
    lines = [
        orjson.dumps(LINE),
        b"no json",
        b"",
        b'{"id": 2, "id": 3, "org": "acme"}',
        orjson.dumps({**LINE, "id": 4, "authority": "writ"}),
        b"[]",
        orjson.dumps({**LINE, "id": 6}),
    ]
    done = sidegate("decide", "--policy", policy, stdin=b"\n".join(lines))
    assert done.code == 65
    assert [line["id"] for line in done.lines] == [1, None, None, 4, None, 6]
    said = {line["line"]: line["error"] for line in done.lines if "error" in line}
    for number, text in {2: "no JSON", 4: "repeats a member", 5: "`authority`", 6: "`question`"}.items():
        assert text in said.pop(number)
    assert not said
    assert "4 lines could not be read" in done.err


@pytest.mark.parametrize(
    ("request_members", "answer"),
    [
        pytest.param(
            {"method": "GET", "path": "/v1/orgs/acme/projects/p1/branches/main/files/a.json"},
            ("allow", "granted", ["b2"]),
            id="get",
        ),
        pytest.param(
            {"method": "PUT", "path": "/v1/orgs/acme/projects/p1/branches/main/files/a.json"},
            ("deny", "not_granted", ["b2"]),
            id="put",
        ),
        pytest.param(
            {"method": "HEAD", "path": "/v1/orgs/acme/projects/p1/branches/main/files/a.json"},
            ("allow", "granted", ["b2"]),
            id="head-follows-get",
        ),
        pytest.param(
            {"method": "GET", "path": "/v1/orgs/globex/projects/p1/branches/main/files/a.json"},
            ("deny", "cross_org", []),
            id="cross-org",
        ),
        pytest.param(
            {"method": "GET", "path": "/v1/projects/p1"}, ("allow", "granted", ["b1"]), id="principals-organization"
        ),
        pytest.param({"method": "GET", "path": "/nowhere"}, ("deny", "unmapped_route", []), id="unmapped"),
        pytest.param({"method": "GET", "path": "/a/../b"}, ("deny", "ambiguous_path", []), id="dot-segment"),
        pytest.param({"method": "GET", "path": "nowhere"}, ("deny", "malformed_request", []), id="no-path"),
        pytest.param({"method": "GET", "path": "/ä"}, ("deny", "malformed_request", []), id="no-ascii"),
        pytest.param({"method": "GET", "path": "/healthz"}, ("allow", "public_route", []), id="public"),
        pytest.param(
            {"method": "POST", "path": "/v1/orgs/acme/projects/p1/branches/x:glob", "body": {"pattern": "d/*"}},
            ("allow", "granted", ["b1"]),
            id="body",
        ),
        pytest.param(
            {"method": "POST", "path": "/v1/orgs/acme/projects/p1/branches/x:glob"},
            ("deny", "malformed_request", []),
            id="no-body",
        ),
        pytest.param(
            {
                "method": "POST",
                "path": "/v1/orgs/acme/projects/p1/branches/x:merge",
                "headers": {"X-Source-Branch": "y"},
            },
            ("deny", "not_granted", ["b1"]),
            id="two-parts",
        ),
    ],
)
def test_routes_turn_requests_into_questions(
    sidegate: Any, policy: Path, routes: Path, request_members: dict[str, Any], answer: tuple[str, str, list[str]]
) -> None:
    """With --routes a line may have a method and a path in the place of authority and target."""
    line = {"id": 1, "org": "acme", "account": "user:ana", **request_members}
    done = sidegate("decide", "--policy", policy, "--routes", routes, stdin=orjson.dumps(line))
    (got,) = done.lines
    assert (0, answer) == (done.code, (got["outcome"], got["reason"], got["because"]))


def test_takes_the_configured_policy(sidegate: Any, config: Path) -> None:
    """Without --policy the configured one decides."""
    done = sidegate("decide", "--config", config, stdin=orjson.dumps(LINE))
    assert (done.code, done.lines[0]["reason"]) == (0, "not_granted")


def test_bad_policy_decides_nothing(sidegate: Any, policy: Path) -> None:
    """A policy that cannot be used is said with its place, and nothing is decided: exit code 78."""
    (policy / "acme.yaml").write_text("organization: acme\nbindngs: []\n")
    done = sidegate("decide", "--policy", policy, stdin=orjson.dumps(LINE))
    assert (done.code, done.out) == (78, "")
    assert "acme.yaml:2:1: `bindngs` is not known; did you mean `bindings`?" in done.err


def test_time_of_lines_without_one(sidegate: Any, policy: Path) -> None:
    """--time is the time of lines that name none."""
    line = {
        "org": "acme",
        "account": "user:ana",
        "authority": "read",
        "target": "p1",
        "chain": [{"id": "ag_1", "expires_at": "2026-01-01T00:00:00Z"}],
    }
    before = sidegate("decide", "--policy", policy, "--time", "2025-12-31T00:00:00Z", stdin=orjson.dumps(line))
    after = sidegate("decide", "--policy", policy, "--time", "2026-01-01T00:00:00Z", stdin=orjson.dumps(line))
    assert (before.lines[0]["reason"], after.lines[0]["reason"]) == ("granted", "delegation_expired")


def test_order_is_kept_over_many_lines(sidegate: Any, policy: Path) -> None:
    """Answers stand in the order of the lines, however many there are."""
    lines = [orjson.dumps({**LINE, "id": number}) for number in range(3000)]
    done = sidegate("decide", "--policy", policy, stdin=b"\n".join(lines) + b"\n")
    assert list(range(3000)) == [line["id"] for line in done.lines]


class _Chunks(io.RawIOBase):
    """A stream that gives what it was told to, piece by piece."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)

    def read1(self, _size: int) -> bytes:
        return next(self._chunks, b"")


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param([b"a\nb\n"], [[b"a", b"b"]], id="whole"),
        pytest.param([b"a\nb", b"c\n"], [[b"a"], [b"bc"]], id="cut-within-a-line"),
        pytest.param([b"a", b"b"], [[], [], [b"ab"]], id="no-line-feed-at-the-end"),
        pytest.param([], [], id="nothing"),
        pytest.param(
            [b"x" * (1 << 20), b"xy", b"zz\nb\n"], [[], [b"x" * (1 << 20) + b"xy"], [b"b"]], id="overlong-is-cut"
        ),
        pytest.param(
            [b"x" * (1 << 20), b"xy", b"zz", b"zz\nb\n"],
            [[], [b"x" * (1 << 20) + b"xy"], [], [b"b"]],
            id="overlong-goes-on",
        ),
    ],
)
def test_lines_come_as_they_arrive(chunks: list[bytes], expected: list[list[bytes]]) -> None:
    """Whole lines are handed on with the piece they end in; of an endless one only so much is kept."""
    stream = cast("BinaryIO", _Chunks(chunks))
    assert expected == list(read_lines(stream))
