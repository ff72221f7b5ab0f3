"""Tests of reading records where they lie."""

from pathlib import Path

import orjson
import pytest

from sidegate.audit.layout import segment_path
from sidegate.audit.reader import TrailFollower, TrailReader
from sidegate.core.model.errors import ConfigError
from sidegate.core.model.units import UnixMillis, format_instant

_HOUR = 3_600_000


def _line(number: int, at: int) -> bytes:
    return orjson.dumps({"v": 1, "time": format_instant(UnixMillis(at)), "n": number}) + b"\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sidecars: a has 0, 2, 4 in two segments, b has 1, 3; an hour apart each."""
    for sidecar, number, lines in (("a", 1, (0, 2)), ("a", 2, (4,)), ("b", 1, (1, 3))):
        path = segment_path(tmp_path / sidecar, number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(_line(line, line * _HOUR) for line in lines))
    return tmp_path


def test_sidecars_are_read_together_in_the_order_of_time(root: Path) -> None:
    """And against it."""
    assert [entry.members["n"] for entry in TrailReader(root).oldest_first()] == [0, 1, 2, 3, 4]
    assert [entry.members["n"] for entry in TrailReader(root).newest_first()] == [4, 3, 2, 1, 0]


def test_entry_knows_its_place(root: Path) -> None:
    """File and line, also when read backwards."""
    path = segment_path(root / "a", 1)
    reader = TrailReader(path)
    assert [str(entry.place) for entry in reader.oldest_first()] == [f"{path}:1", f"{path}:2"]
    assert [str(entry.place) for entry in reader.newest_first()] == [f"{path}:2", f"{path}:1"]
    assert [entry.line for entry in reader.oldest_first()] == path.read_bytes().splitlines(keepends=True)


def test_folder_of_a_sidecar_is_read_by_itself(root: Path) -> None:
    """As one chain."""
    assert [entry.members["n"] for entry in TrailReader(root / "b").oldest_first()] == [1, 3]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        pytest.param(0, [0, 2, 4], id="everything"),
        pytest.param(5 * _HOUR, [0, 2, 4], id="within-the-slack-of-clocks"),
        pytest.param(5 * _HOUR + 1, [4], id="segment-before-is-passed-over"),
    ],
)
def test_segments_that_ended_long_before_are_passed_over(since: int, expected: list[int], root: Path) -> None:
    """Single lines are not: that is for the filter to do."""
    entries = TrailReader(root / "a").oldest_first(UnixMillis(since))
    assert [entry.members["n"] for entry in entries] == expected


@pytest.mark.parametrize("first_line", [b"rubbish\n", b'{"v":1,"time":5}\n', b""])
def test_segment_whose_beginning_is_unknown_is_not_passed_over(first_line: bytes, root: Path) -> None:
    """Rather too much is read than too little."""
    path = segment_path(root / "a", 2)
    path.write_bytes(first_line + path.read_bytes() if first_line else b"")
    entries = TrailReader(root / "a").oldest_first(UnixMillis(100 * _HOUR))
    assert [entry.members["n"] for entry in entries if "n" in entry.members][:2] == [0, 2]


def test_lines_without_a_text_are_passed_over_unread(root: Path) -> None:
    """All of them have to be in the line."""
    reader = TrailReader(root)
    assert [entry.members["n"] for entry in reader.oldest_first(contains=(b'"n":3',))] == [3]
    assert list(reader.oldest_first(contains=(b'"n":3', b'"n":4'))) == []


def test_unreadable_lines_are_counted_and_the_torn_one_is_not(root: Path) -> None:
    """A line that is being written is no damage; one that is whole and no record is."""
    with segment_path(root / "b", 1).open("ab") as file:
        file.write(b'rubbish\n{"v":9}\n{"v":1,"ti')
    reader = TrailReader(root / "b")
    assert [entry.members["n"] for entry in reader.oldest_first()] == [1, 3]
    assert reader.unreadable == 2


def test_segment_released_meanwhile_is_passed_over(root: Path) -> None:
    """Reading takes no lock; the sidecar goes on."""
    reader = TrailReader(root / "a")
    segment_path(root / "a", 1).unlink()
    assert [entry.members["n"] for entry in reader.oldest_first()] == [4]
    assert [entry.members["n"] for entry in reader.newest_first(UnixMillis(0))] == [4]


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_nothing_to_read_is_told(name: str, tmp_path: Path) -> None:
    """A wrong folder must not look like an empty answer."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no segments"):
        TrailReader(tmp_path / name)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_follower_reads_what_is_added(root: Path) -> None:
    """Not what was there before; also in segments and sidecars that are new."""
    follower = TrailFollower(root)
    assert follower.poll() == []
    _append(segment_path(root / "a", 2), _line(5, 5))
    segment_path(root / "a", 3).write_bytes(_line(6, 6))
    (root / "c").mkdir()
    segment_path(root / "c", 1).write_bytes(_line(7, 7))
    entries = follower.poll()
    assert [entry.members["n"] for entry in entries] == [5, 6, 7]
    assert str(entries[0].place) == f"{segment_path(root / 'a', 2)}:2"
    assert follower.poll() == []


def test_follower_waits_for_the_end_of_a_line(root: Path) -> None:
    """It comes once, whole; also one that was half there at the beginning."""
    path = segment_path(root / "b", 1)
    line = _line(5, 5)
    _append(path, line[:10])
    follower = TrailFollower(root)
    assert follower.poll() == []
    _append(path, line[10:20])
    assert follower.poll() == []
    _append(path, line[20:] + b"rubbish\n")
    assert [entry.members["n"] for entry in follower.poll()] == [5]
    assert follower.unreadable == 1


def test_follower_goes_on_after_a_batch_was_cut_off(root: Path) -> None:
    """It was not written whole; what comes in its place is new."""
    path = segment_path(root / "b", 1)
    size = path.stat().st_size
    follower = TrailFollower(root)
    _append(path, _line(5, 5))
    follower.poll()
    with path.open("r+b") as file:
        file.truncate(size)
    assert follower.poll() == []
    _append(path, _line(6, 6))
    entries = follower.poll()
    assert [(entry.members["n"], entry.place.line) for entry in entries] == [(6, 3)]


def test_follower_forgets_released_segments(root: Path) -> None:
    """And begins where there is nothing yet."""
    follower = TrailFollower(root / "new")
    assert follower.poll() == []
    follower = TrailFollower(root)
    segment_path(root / "a", 1).unlink()
    assert follower.poll() == []
    segment_path(root / "a", 1).write_bytes(_line(9, 9))
    assert [entry.members["n"] for entry in follower.poll()] == [9]
