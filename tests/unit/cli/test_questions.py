"""Lines of `sidegate decide`: how they are read and answered."""

from typing import Any

import orjson
import pytest

from sidegate.cli.exit_codes import DataError
from sidegate.cli.questions import Answer, answer, describe_answer, describe_shadow, parse_line, read_asked
from sidegate.config.routes_file import read_routes
from sidegate.control.question import QuestionError
from sidegate.core.engine.shadow import ShadowFailure
from sidegate.core.model.decision import Reason, deny
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.routing.table import RouteTable

NOW = UnixMillis(0)
LINE = {"id": 1, "org": "acme", "account": "user:ana"}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"a": {"b": 1}, "c": {"b": 2}}', id="one-name-in-two-objects"),
        pytest.param(b'{"a": "\\"", "b": "\\u0022"}', id="escapes"),
        pytest.param(b' {"a":1} ', id="blanks"),
    ],
)
def test_lines_that_can_be_read_in_one_way(line: bytes) -> None:
    """They are read as JSON."""
    assert parse_line(line) == orjson.loads(line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b'{"a": 1, "a": 1}', "repeats a member", id="repeated"),
        pytest.param(b'{"x": {"a": 1, "b": 2, "a": 3}}', "repeats a member", id="repeated-below"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', "repeats a member", id="repeated-in-another-spelling"),
        pytest.param(b'{"a": "\\u0022\\u0022", "a": "x"}', "repeats a member", id="hidden-among-escapes"),
        pytest.param(b'{"a": NaN}', "is no JSON", id="not-a-number"),
        pytest.param(b'{"a": "\\ud800"}', "is no JSON", id="lone-surrogate"),
        pytest.param(b"{'a': 1}", "is no JSON", id="apostrophes"),
        pytest.param(b'{"a": 1} {}', "is no JSON", id="two-values"),
        pytest.param(b"\xff", "is no JSON", id="no-utf-8"),
    ],
)
def test_lines_that_cannot(line: bytes, said: str) -> None:
    """A line that two readers could take for two questions is refused like one that is no JSON."""
    with pytest.raises(DataError, match=said):
        parse_line(line)


@pytest.fixture(scope="module")
def table() -> RouteTable:
    """One route."""
    return read_routes(b"- get: /v1/{project}\n  authority: read\n", "routes.yaml").table


@pytest.mark.parametrize(
    ("members", "said"),
    [
        pytest.param({"method": "GET"}, "`method` or `path` is no text", id="no-path"),
        pytest.param({"path": "/v1/p1"}, "`method` or `path` is no text", id="no-method"),
        pytest.param({"method": 1, "path": "/"}, "`method` or `path` is no text", id="number"),
        pytest.param({"method": "GET", "path": "/", "authority": "read"}, "`authority` stands beside", id="authority"),
        pytest.param({"method": "GET", "path": "/", "subtree": False}, "`subtree` stands beside", id="subtree"),
        pytest.param({"method": "GET", "path": "/", "headers": []}, None, id="empty-headers"),
        pytest.param({"method": "GET", "path": "/", "headers": [1]}, "`headers` is no object", id="headers-list"),
        pytest.param({"method": "GET", "path": "/", "headers": {"X": 1}}, "`headers` is no object", id="header-number"),
        pytest.param({"method": "GET", "path": "/", "surfce": "web"}, "did you mean `surface`", id="unknown-member"),
        pytest.param({"method": "GET", "path": "/", "authority": None}, None, id="null-is-not-written"),
    ],
)
def test_requests_that_cannot_be_read(table: RouteTable, members: dict[str, Any], said: str | None) -> None:
    """A request takes the place of authority and target; both at once say two things."""
    if said is None:
        assert read_asked({**LINE, **members}, NOW, table).settled == deny(Reason.UNMAPPED_ROUTE)
        return
    with pytest.raises(QuestionError) as caught:
        read_asked({**LINE, **members}, NOW, table)
    assert said in str(caught.value)


def test_requests_need_routes() -> None:
    """Without routes nobody knows what a request asks for."""
    with pytest.raises(QuestionError, match="`method` needs the routes"):
        read_asked({**LINE, "method": "GET", "path": "/"}, NOW)


def test_the_question_keeps_who_asks(table: RouteTable) -> None:
    """Everything but authority and target is the line's."""
    members = {
        "method": "GET",
        "path": "/v1/p1",
        "source": "10.0.0.9",
        "approved": True,
        "credential": {"org": "globex"},
    }
    (query,) = read_asked({**LINE, **members}, NOW, table).queries
    assert (query.credential.account, query.credential.org, str(query.source), query.approved) == (
        "user:ana",
        "globex",
        "10.0.0.9",
        True,
    )
    assert (query.target.org, query.target.text) == ("globex", "p1")


def test_answers() -> None:
    """A settled question needs no policy; any other is decided."""
    settled = read_asked({**LINE, "method": "GET", "path": "/x"}, NOW, RouteTable([]))
    asked = read_asked({**LINE, "authority": "read", "target": "p1"}, NOW)
    assert describe_answer(answer(Snapshot(1), settled)) == {
        "outcome": "deny", "reason": "unmapped_route", "because": (), "shadow": None,
    }  # fmt: skip
    assert answer(Snapshot(1), asked) == Answer(deny(Reason.NOT_A_MEMBER), None)


def test_a_candidate_that_broke() -> None:
    """What broke in a candidate is told, and is no answer."""
    assert describe_shadow(ShadowFailure("KeyError: 'x'")) == {"error": "KeyError: 'x'"}
    assert describe_shadow(None) is None
    assert describe_shadow(deny(Reason.NO_GRANT, ("b",))) == {
        "outcome": "deny", "reason": "no_grant", "because": ("b",),
    }  # fmt: skip
