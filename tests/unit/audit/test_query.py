"""Tests of asking a spool."""

from pathlib import Path

import pytest

from sidegate.audit.layout import segment_path
from sidegate.audit.query import find_decision, row_of, select_entries
from sidegate.audit.reader import TrailReader
from sidegate.core.model.decision import Outcome, Reason, Remedy
from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import UnixMillis
from sidegate.core.trail.chain import Linker, genesis
from sidegate.core.trail.filter import RecordFilter
from sidegate.core.trail.record import (
    CompletionRecord,
    DecisionRecord,
    Ending,
    RecordKind,
    encode_completion,
    encode_decision_record,
)


def _decision(number: int) -> DecisionRecord:
    return DecisionRecord(
        id=f"d{number}",
        time=UnixMillis(number * 1000),
        org="acme" if number % 2 else "zeta",
        actor=None,
        credential=None,
        authority=None,
        primitive=None,
        target=None,
        kind=None,
        outcome=Outcome.DENY,
        reason=Reason.NO_CREDENTIAL,
        because=(),
        remedy=Remedy.AUTHENTICATE,
        shadow=None,
        revision=1,
        approval_id=None,
        method="GET",
        path="/x",
        route=None,
        source=None,
        request_id=None,
        trace_id=None,
        decision_ns=None,
        sidecar="h",
        seq=number,
    )


_COMPLETION = CompletionRecord(
    "c1", UnixMillis(9000), "d1", "acme", 200, 0, 5, 12, Ending.COMPLETED, None, sidecar="h", seq=5
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four decisions and a completion, in a chain."""
    open_records = [encode_decision_record(_decision(number)) for number in range(1, 5)]
    lines, _ = Linker("h").link([*open_records, encode_completion(_COMPLETION)], genesis("h"))
    path = segment_path(tmp_path / "h", 1)
    path.parent.mkdir()
    path.write_bytes(b"".join(lines))
    return tmp_path


def test_rows_are_what_was_recorded(root: Path) -> None:
    """Typed, whole, in the order of time."""
    entries = select_entries(TrailReader(root), RecordFilter(kinds=frozenset(RecordKind)))
    assert [row_of(entry) for entry in entries] == [*map(_decision, range(1, 5)), _COMPLETION]


@pytest.mark.parametrize(
    ("newest_first", "limit", "expected"),
    [
        pytest.param(False, None, [1, 3], id="oldest-first"),
        pytest.param(True, None, [3, 1], id="newest-first"),
        pytest.param(False, 1, [1], id="first"),
        pytest.param(True, 1, [3], id="last"),
        pytest.param(False, 0, [], id="none"),
    ],
)
def test_order_and_limit(newest_first: bool, limit: int | None, expected: list[int], root: Path) -> None:
    """The limit counts what was asked for, in the order asked for."""
    entries = select_entries(TrailReader(root), RecordFilter(org="acme"), limit=limit, newest_first=newest_first)
    assert [entry.members["seq"] for entry in entries] == expected


def test_decision_is_found_by_its_id(root: Path) -> None:
    """And None is there for one that is not."""
    assert find_decision(root, "d3") == _decision(3)
    assert find_decision(root, "d9") is None
    assert find_decision(root, "c1") is None


def test_decision_that_was_damaged_is_told(root: Path) -> None:
    """It is found by its id, and cannot be read as what it should be."""
    path = segment_path(root / "h", 1)
    path.write_bytes(path.read_bytes().replace(b'"outcome":"deny"', b'"outcome":"none"'))
    with pytest.raises(IntegrityError, match="audit verify"):
        find_decision(root, "d3")
