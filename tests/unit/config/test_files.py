"""Files are read whole, or a problem says why not."""

from pathlib import Path

import pytest

from sidegate.config.files import read_file


def test_content(tmp_path: Path) -> None:
    """The bytes, and no problem."""
    (tmp_path / "a").write_bytes(b"\x00\xff")
    assert read_file(tmp_path / "a") == (b"\x00\xff", None)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("none", "No such file or directory", id="missing"),
        pytest.param("", "Is a directory", id="folder"),
        pytest.param("a\x00", "embedded null byte", id="nul-in-the-name"),
    ],
)
def test_problem(tmp_path: Path, name: str, why: str) -> None:
    """The problem names the file, the cause and what to do."""
    content, problem = read_file(tmp_path / name)
    assert content == b""
    assert str(problem) == (f"{tmp_path / name}:1:1: `file` cannot be read: {why}; name a file that this user can read")
