"""A cache file holds one whole state at any moment, whoever is killed while writing it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidegate.core.model.errors import IntegrityError
from sidegate.core.model.units import Millis, UnixMillis
from sidegate.local_cache.file import CacheFile
from sidegate.local_cache.sealed import CacheLabel, Kept

LABEL = CacheLabel("policy", "redis://127.0.0.1:6379")
AGE = Millis(60_000)


def at(number: int) -> UnixMillis:
    """Return the instant called *number*."""
    return UnixMillis(1_795_326_096_000 + number)


NOW = at(500)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a name in a folder that is not there yet."""
    return tmp_path / "cache" / "policy-w0.cache"


@pytest.fixture
def file(path: Path) -> Iterator[CacheFile]:
    """Return a file that may hold 4 KiB."""
    file = CacheFile(path, LABEL, 4096)
    yield file
    file.close()


def kept(path: Path) -> Kept | None:
    """Read what the next process would."""
    return CacheFile(path, LABEL, 4096).read(NOW, AGE)


def test_nothing(path: Path, file: CacheFile) -> None:
    """Before the first write there is nothing to read, to add to or to say of."""
    assert file.read(NOW, AGE) is None
    assert (file.append(b"a", at(1)), file.touch(at(1)), file.size) == (False, False, 0)
    assert not path.exists()


def test_written(path: Path, file: CacheFile) -> None:
    """Replaced, grown and touched: the next process reads all of it and the last time; nobody else may read it."""
    assert file.replace([b"a", b"b"], at(1))
    assert kept(path) == Kept(at(1), (b"a", b"b"))
    assert file.append(b"c", at(2))
    assert kept(path) == Kept(at(2), (b"a", b"b", b"c"))
    assert file.touch(at(3))
    assert kept(path) == Kept(at(3), (b"a", b"b", b"c"))
    assert file.size == path.stat().st_size
    assert file.replace([b"d"], at(4))
    assert kept(path) == Kept(at(4), (b"d",))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_killed_while_adding(path: Path, file: CacheFile) -> None:
    """Bytes that came without a new first line are as if they had not; the writer that goes on writes over them."""
    file.replace([b"a"], at(1))
    with path.open("ab") as torn:
        torn.write(b"\0\0\0\x09half")
    assert kept(path) == Kept(at(1), (b"a",))
    assert file.append(b"b", at(2))
    assert kept(path) == Kept(at(2), (b"a", b"b"))


def test_killed_while_replacing(path: Path, file: CacheFile) -> None:
    """A half-made successor is in nobody's way."""
    file.replace([b"a"], at(1))
    path.with_name(path.name + ".new").write_bytes(b"half")
    assert kept(path) == Kept(at(1), (b"a",))
    assert file.replace([b"b"], at(2))
    assert kept(path) == Kept(at(2), (b"b",))


def test_bounded(path: Path, file: CacheFile) -> None:
    """What has no room is left out or not added; the file never gets longer than it may."""
    assert not file.replace([b"a" * 1000, b"b" * 1000, b"c" * 3000, b"d"], at(1))
    assert kept(path) == Kept(at(1), (b"a" * 1000, b"b" * 1000))
    room = 4096 - file.size - 4
    assert not file.append(b"e" * (room + 1), at(2))
    assert kept(path) == Kept(at(1), (b"a" * 1000, b"b" * 1000))
    assert file.append(b"e" * room, at(3))
    assert path.stat().st_size == 4096
    assert kept(path) == Kept(at(3), (b"a" * 1000, b"b" * 1000, b"e" * room))


def test_longer_than_one_write(tmp_path: Path) -> None:
    """Content of several megabytes comes back whole."""
    file = CacheFile(tmp_path / "c", LABEL, 1 << 23)
    entries = [bytes([number]) * 100_000 for number in range(40)]
    assert file.replace(entries, at(1))
    assert file.append(b"x" * (1 << 21), at(2))
    found = file.read(NOW, AGE)
    file.close()
    assert found == Kept(at(2), (*entries, b"x" * (1 << 21)))


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_taken_away(path: Path, file: CacheFile, how: str) -> None:
    """Whose file was removed or replaced behind its back is told to write it anew."""
    file.replace([b"a"], at(1))
    path.unlink()
    if how == "replaced":
        path.write_bytes(b"")
    assert (file.append(b"b", at(2)), file.touch(at(2))) == (False, False)
    assert file.replace([b"b"], at(3))
    assert kept(path) == Kept(at(3), (b"b",))


def test_unwritable(path: Path, file: CacheFile) -> None:
    """A folder that cannot be made is an OSError, and nothing is left open."""
    path.parent.write_text("a file in the way")
    with pytest.raises(OSError, match="exists"):
        file.replace([b"a"], at(1))
    assert file.size == 0


def test_too_long(path: Path, file: CacheFile) -> None:
    """A file that is longer than it may be is not even read."""
    file.replace([b"a"], at(1))
    os.truncate(path, 4097)
    with pytest.raises(IntegrityError, match="allowed are 4096"):
        kept(path)


@pytest.mark.parametrize("kind", ["writable", "folder", "pipe"])
def test_of_somebody_else(path: Path, file: CacheFile, kind: str) -> None:
    """What others can write, or what is no file at all, is not believed, and holds nobody up."""
    file.replace([b"a"], at(1))
    if kind == "writable":
        path.chmod(0o602)
    else:
        path.unlink()
        (Path.mkdir if kind == "folder" else os.mkfifo)(path)
    with pytest.raises(IntegrityError, match="only this user"):
        kept(path)


def test_link(path: Path, file: CacheFile, tmp_path: Path) -> None:
    """A symbolic link is not followed."""
    file.replace([b"a"], at(1))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        kept(path)
