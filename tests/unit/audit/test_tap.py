"""Tests of watching a spool."""

from pathlib import Path

import orjson
import pytest

from sidegate.audit.layout import segment_path
from sidegate.audit.tap import MAX_READ_LINES, SpoolTap
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.trail.filter import RecordFilter


def _line(number: int, outcome: str = "allow", at: int | None = None) -> bytes:
    time = format_instant(UnixMillis(number if at is None else at))
    return orjson.dumps({"v": 1, "record": "decision", "time": time, "outcome": outcome, "n": number}) + b"\n"


def _add(root: Path, sidecar: str, *lines: bytes, segment: int = 1) -> Path:
    path = segment_path(root / sidecar, segment)
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(lines))
    return path


def _numbers(lines: tuple[bytes, ...]) -> list[int]:
    return [orjson.loads(line)["n"] for line in lines]


def test_only_what_is_added_is_seen_and_only_once(tmp_path: Path) -> None:
    """Byte for byte, from new segments and new sidecars too."""
    _add(tmp_path, "a", _line(0))
    tap = SpoolTap(tmp_path, RecordFilter())
    assert tap.look().lines == ()
    _add(tmp_path, "a", _line(1))
    _add(tmp_path, "a", _line(3), segment=2)
    _add(tmp_path, "b", _line(2))
    assert tap.look().lines == (_line(1), _line(2), _line(3))
    assert tap.look().lines == ()


def test_spool_may_not_be_there_yet(tmp_path: Path) -> None:
    """It comes with the first record."""
    root = tmp_path / "audit"
    tap = SpoolTap(root, RecordFilter())
    assert tap.look().lines == ()
    root.mkdir()
    _add(root, "a", _line(1))
    assert _numbers(tap.look().lines) == [1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(RecordFilter(), [1, 2, 3], id="everything"),
        pytest.param(RecordFilter(outcome=Outcome.DENY), [2], id="one-outcome"),
        pytest.param(RecordFilter(authority=Authority.READ), [], id="nothing"),
    ],
)
def test_records_are_picked(wanted: RecordFilter, expected: list[int], tmp_path: Path) -> None:
    """By the filter of `audit query`."""
    tap = SpoolTap(tmp_path, wanted)
    _add(tmp_path, "a", _line(1), _line(2, "deny"), _line(3))
    assert _numbers(tap.look().lines) == expected


def test_line_that_is_being_written_waits(tmp_path: Path) -> None:
    """Until its line feed is there; one that was half there at the start is not shown as a record."""
    whole = _line(1)
    _add(tmp_path, "a", whole[:20])
    tap = SpoolTap(tmp_path, RecordFilter())
    _add(tmp_path, "a", whole[20:], _line(2)[:20])
    assert tap.look().lines == ()
    _add(tmp_path, "a", _line(2)[20:])
    assert _numbers(tap.look().lines) == [2]


def test_batch_that_was_cut_off_again_is_forgotten(tmp_path: Path) -> None:
    """What is written in its place is seen."""
    path = _add(tmp_path, "a", _line(1), _line(2)[:-1])
    tap = SpoolTap(tmp_path, RecordFilter())
    with path.open("ab") as file:
        file.truncate(len(_line(1)))
    assert tap.look().lines == ()
    _add(tmp_path, "a", _line(3))
    assert _numbers(tap.look().lines) == [3]


def test_segment_that_was_released_is_no_error(tmp_path: Path) -> None:
    """It was shipped meanwhile."""
    path = _add(tmp_path, "a", _line(1))
    _add(tmp_path, "a", _line(2), segment=2)
    tap = SpoolTap(tmp_path, RecordFilter())
    path.unlink()
    _add(tmp_path, "a", _line(3), segment=2)
    assert _numbers(tap.look().lines) == [3]


def test_too_many_at_once_are_passed_over_and_counted(tmp_path: Path) -> None:
    """Watching has a bounded cost; what no filter asks for does not count."""
    tap = SpoolTap(tmp_path, RecordFilter(outcome=Outcome.DENY))
    _add(tmp_path, "a", *(_line(number, "deny") for number in range(MAX_READ_LINES + 7)), _line(0, "allow"))
    catch = tap.look()
    assert (len(catch.lines), catch.skipped) == (MAX_READ_LINES, 7)
    assert tap.look().skipped == 0
