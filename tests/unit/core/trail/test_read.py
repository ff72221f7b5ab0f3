"""Tests of reading records back."""

from typing import Any

import orjson
import pytest

from sidegate.core.model.errors import IntegrityError
from sidegate.core.trail.read import completion_of, decision_of, read_members


def test_members_of_a_known_version() -> None:
    """A line is a JSON object of version 1."""
    assert read_members(b'{"v":1,"record":"decision"}\n') == {"v": 1, "record": "decision"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b'{"v":1', "not JSON", id="torn"),
        pytest.param(b"[1]\n", "no JSON object", id="array"),
        pytest.param(b'{"v":2}\n', "version 2", id="newer"),
        pytest.param(b"{}\n", "version None", id="no-version"),
    ],
)
def test_other_lines_are_refused(line: bytes, told: str) -> None:
    """What is not known is not guessed at; the message says what to do."""
    with pytest.raises(IntegrityError, match=told):
        read_members(line)


_DECISION: dict[str, Any] = orjson.loads(
    b'{"v":1,"record":"decision","id":"i","time":"2026-01-01T00:00:00.000Z","org":null,"actor":null,"credential":null,'
    b'"authority":null,"primitive":null,"target":null,"kind":null,"outcome":"deny","reason":"no_credential",'
    b'"because":[],"remedy":"authenticate","shadow":null,"revision":null,"approval_id":null,"method":null,"path":null,'
    b'"route":null,"source":null,"request_id":null,"trace_id":null,"decision_ns":null,"sidecar":"h","seq":1}'
)
_COMPLETION: dict[str, Any] = orjson.loads(
    b'{"v":1,"record":"completion","id":"i","time":"2026-01-01T00:00:00.000Z","decision_id":"d","org":null,'
    b'"status":null,"bytes_in":0,"bytes_out":0,"duration_ms":0,"ended":"completed","reason":null,"sidecar":"h","seq":1}'
)


@pytest.mark.parametrize("name", [name for name in _DECISION if name not in {"v", "record"}])
def test_decision_without_a_member_is_refused(name: str) -> None:
    """Every member is always written; one that is missing shows damage."""
    assert decision_of(_DECISION).seq == 1
    with pytest.raises(IntegrityError, match=name):
        decision_of({key: member for key, member in _DECISION.items() if key != name})


@pytest.mark.parametrize(
    ("name", "member"),
    [
        pytest.param("time", "noon", id="no-instant"),
        pytest.param("outcome", "maybe", id="unknown-outcome"),
        pytest.param("reason", "because", id="unknown-reason"),
        pytest.param("actor", {"account": "user:ana"}, id="half-an-actor"),
        pytest.param("because", 1, id="because-no-array"),
        pytest.param("shadow", [], id="shadow-no-object"),
    ],
)
def test_decision_with_another_value_is_refused(name: str, member: object) -> None:
    """Closed sets stay closed when read."""
    with pytest.raises(IntegrityError, match="decision record"):
        decision_of(_DECISION | {name: member})


@pytest.mark.parametrize("name", [name for name in _COMPLETION if name not in {"v", "record"}])
def test_completion_without_a_member_is_refused(name: str) -> None:
    """As for decisions."""
    assert completion_of(_COMPLETION).decision_id == "d"
    with pytest.raises(IntegrityError, match=name):
        completion_of({key: member for key, member in _COMPLETION.items() if key != name})
