"""Audit records as rows, as CSV, and grouped."""

import csv
import io
from typing import Any

import pytest

from sidegate.cli.records import CSV_COLUMNS, CsvText, group_divergences, row_of

DECISION: dict[str, Any] = {
    "v": 1, "record": "decision", "id": "i1", "time": "t1", "org": "acme",
    "actor": {"account": "user:ana", "type": "user", "chain": []}, "credential": {"kind": "session", "id": "s1"},
    "authority": "read", "target": "p1@main:a", "outcome": "deny", "reason": "no_grant", "because": ["b1", "b2"],
    "shadow": {"outcome": "allow", "reason": "granted"}, "method": "GET", "path": "/x", "seq": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("members", "row"),
    [
        pytest.param(
            DECISION, ["t1", "deny", "no_grant", "user:ana", "read", "p1@main:a", "acme", "i1"], id="decision"
        ),
        pytest.param(
            {**DECISION, "actor": None, "authority": None, "target": None},
            ["t1", "deny", "no_grant", "-", "-", "GET /x", "acme", "i1"],
            id="refused-before-a-decision",
        ),
        pytest.param(
            {**DECISION, "actor": {"account": "user:ana", "chain": ["a", "b"]}},
            ["t1", "deny", "no_grant", "user:ana > a > b", "read", "p1@main:a", "acme", "i1"],
            id="chain",
        ),
        pytest.param(
            {
                "record": "completion",
                "time": "t2",
                "org": "acme",
                "status": 200,
                "ended": "completed",
                "decision_id": "i1",
            },
            ["t2", "-", "200 completed", "-", "-", "-", "acme", "i1"],
            id="completion",
        ),
        pytest.param(
            {"record": "completion", "status": None, "ended": "upstream_failed"},
            ["-", "-", "no answer upstream_failed", "-", "-", "-", "-", "-"],
            id="completion-without-an-answer",
        ),
        pytest.param({}, ["-", "-", "-", "-", "-", "- -", "-", "-"], id="empty"),
    ],
)
def test_rows(members: dict[str, Any], row: list[str]) -> None:
    """One record, one row; what is not there is a dash."""
    assert row_of(members) == row


def test_csv() -> None:
    """A header and a line per record; what nests is taken apart; lines end as RFC 4180 says."""
    table = CsvText()
    text = table.header() + table.line(DECISION) + table.line({})
    assert text.count("\r\n") == 3
    first, second = csv.DictReader(io.StringIO(text))
    expected = {"account": "user:ana", "because": "b1 b2", "shadow_reason": "granted", "seq": "4", "hash": ""}
    assert {name: first[name] for name in expected} == expected
    assert set(second.values()) == {""}
    assert tuple(first) == CSV_COLUMNS


def test_csv_escapes() -> None:
    """Commas, quotation marks and line feeds stay within their cell."""
    (row,) = csv.DictReader(io.StringIO((table := CsvText()).header() + table.line({"path": 'a,"b"\nc'})))
    assert row["path"] == 'a,"b"\nc'


def test_divergences() -> None:
    """Grouped by everything but the path; the newest is the example; the most frequent first."""
    records = [
        DECISION,
        {**DECISION, "target": "p2@main", "time": "t2", "id": "i2"},
        {**DECISION, "target": "p1@main:b", "time": "t3", "id": "i3"},
        {**DECISION, "target": "?", "time": "t4", "id": "i4"},
        {**DECISION, "target": None, "actor": None, "shadow": None, "time": "t5", "id": "i5"},
    ]
    groups = group_divergences(records)
    assert [(group.key.scope, group.count, group.first_seen, group.last_seen, group.example) for group in groups] == [
        ("p1@main", 2, "t1", "t3", "i3"),
        ("-", 1, "t5", "t5", "i5"),
        ("?", 1, "t4", "t4", "i4"),
        ("p2@main", 1, "t2", "t2", "i2"),
    ]
    assert (groups[0].key.enforced, groups[0].key.candidate) == ("deny no_grant", "allow granted")
    assert groups[0].example_target == "p1@main:b"


def test_anomaly_is_shown_with_who_and_where() -> None:
    """And with the decision that showed it."""
    members = {
        "record": "anomaly",
        "time": "t",
        "org": "acme",
        "actor": {"account": "service:ci", "chain": []},
        "kind": "network",
        "source": "10.0.0.1",
        "decision_id": "d",
    }
    assert row_of(members) == ["t", "-", "unusual network", "service:ci", "-", "from 10.0.0.1", "acme", "d"]
