"""Tests of where things are in a spool."""

from pathlib import Path

import pytest

from sidegate.audit.layout import (
    FolderLock,
    is_held,
    list_segments,
    list_sidecars,
    read_lines,
    segment_path,
    sync_folder,
)
from sidegate.core.model.errors import ConfigError


def test_segments_are_listed_by_number(tmp_path: Path) -> None:
    """By number, not by name, and nothing else that lies there."""
    for name in ("00000010.ndjson", "00000009.ndjson", "0000001.ndjson", "00000003.ndjson.gz", "lock"):
        (tmp_path / name).touch()
    assert [(file.number, file.path) for file in list_segments(tmp_path)] == [
        (9, segment_path(tmp_path, 9)),
        (10, segment_path(tmp_path, 10)),
    ]


def test_folder_that_is_not_there_holds_no_segments(tmp_path: Path) -> None:
    """A sidecar that never started."""
    assert list_segments(tmp_path / "gone") == []


def test_sidecars_are_the_folders_with_segments(tmp_path: Path) -> None:
    """A folder without any, a file, and a folder that is no name are none; a sidecar's own folder is the only one."""
    for name in ("b", "a", "bad name"):
        segment_path(tmp_path / name, 1).parent.mkdir()
        segment_path(tmp_path / name, 1).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "checkpoint.key").touch()
    assert list_sidecars(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert list_sidecars(tmp_path / "a") == [tmp_path / "a"]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    """Not a carriage return, nor what Unicode calls a line's end; reading can begin in the middle."""
    path = tmp_path / "file"
    path.write_bytes("a\rb\u2028c\nd\ne".encode())
    assert list(read_lines(path)) == ["a\rb\u2028c\n".encode(), b"d\n", b"e"]
    assert list(read_lines(path, 8)) == [b"d\n", b"e"]


def test_lock_keeps_the_second_out(tmp_path: Path) -> None:
    """One writer per folder; taking it twice is no matter; the message says what to do."""
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.take()
    first.take()
    assert is_held(tmp_path)
    with pytest.raises(ConfigError, match="held by another running sidegate; stop that one"):
        second.take()
    first.release()
    first.release()
    assert not is_held(tmp_path)
    second.take()
    second.release()


def test_lock_of_a_removed_folder_is_taken_anew(tmp_path: Path) -> None:
    """A lock on a removed file keeps nobody out."""
    folder = tmp_path / "f"
    folder.mkdir()
    lock = FolderLock(folder)
    lock.take()
    (folder / "lock").unlink()
    assert not is_held(folder)
    lock.take()
    assert is_held(folder)
    lock.release()


def test_folder_without_a_lock_is_held_by_nobody(tmp_path: Path) -> None:
    """Asking makes no file."""
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lock_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A folder that is not there."""
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "gone").take()


def test_folder_can_be_synced(tmp_path: Path) -> None:
    """And one that is not there cannot."""
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
