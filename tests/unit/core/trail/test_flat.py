"""Tests of records as rows."""

from typing import Any

import pytest

from sidegate.core.model.errors import IntegrityError
from sidegate.core.trail.flat import LIST_COLUMNS, NUMBER_COLUMNS, TEXT_COLUMNS, flatten

_ID = "019ad735-ab11-79f5-bdca-55429a74b174"
_RECORD: dict[str, Any] = {
    "v": 1,
    "record": "decision",
    "id": _ID,
    "time": "2026-12-01T00:00:00.000Z",
    "org": "acme",
    "actor": {"account": "user:ana", "type": "agent", "chain": ["agent:1"]},
    "credential": {"kind": "session", "id": "s1"},
    "shadow": {"outcome": "deny", "reason": "no_grant"},
    "because": ["b1"],
    "seq": 7,
}


def test_record_becomes_a_row() -> None:
    """Every column is there; what lies deeper has a column of its own."""
    row = flatten(_RECORD)
    assert row.keys() == {*TEXT_COLUMNS, *NUMBER_COLUMNS, *LIST_COLUMNS}
    assert {name: held for name, held in row.items() if held is not None} == {
        "v": 1,
        "record": "decision",
        "id": _ID,
        "time": "2026-12-01T00:00:00.000Z",
        "org": "acme",
        "account": "user:ana",
        "actor_type": "agent",
        "chain": ["agent:1"],
        "credential_kind": "session",
        "credential_id": "s1",
        "shadow_outcome": "deny",
        "shadow_reason": "no_grant",
        "because": ["b1"],
        "seq": 7,
    }


@pytest.mark.parametrize("kind", ["completion", "anomaly", "of-tomorrow"])
def test_every_kind_of_record_is_kept(kind: str) -> None:
    """A chain without them would have holes."""
    assert flatten({**_RECORD, "record": kind})["record"] == kind


@pytest.mark.parametrize(
    ("member", "held", "what"),
    [
        pytest.param("id", None, "id", id="no-id"),
        pytest.param("id", "x", "id", id="other-id"),
        pytest.param("id", _ID.upper(), "id", id="id-in-capitals"),
        pytest.param("time", None, "time", id="no-time"),
        pytest.param("time", "soon", "time", id="no-instant"),
        pytest.param("record", "checkpoint", "no record", id="checkpoint"),
        pytest.param("record", None, "no record", id="nothing"),
        pytest.param("org", 7, "`org` of a record is no text", id="number-for-text"),
        pytest.param("actor", "user:ana", "`chain` of a record is no list", id="text-for-object"),
        pytest.param("seq", "7", "`seq` of a record is no whole number", id="text-for-number"),
        pytest.param("seq", True, "`seq` of a record is no whole number", id="truth-for-number"),
        pytest.param("seq", 1 << 63, "`seq` of a record is no whole number", id="large"),
        pytest.param("because", [1], "`because` of a record is no list of texts", id="list-of-numbers"),
        pytest.param("because", "b1", "`because` of a record is no list of texts", id="text-for-list"),
    ],
)
def test_what_cannot_have_been_written_is_refused(member: str, held: object, what: str) -> None:
    """Instead of a row that no query finds, or a file name that leads elsewhere."""
    with pytest.raises(IntegrityError, match=what):
        flatten({**_RECORD, member: held})
