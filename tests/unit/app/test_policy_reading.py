"""Policy files that are read by a process of their own."""

from pathlib import Path

import pytest

from sidegate.app.policy_reading import PolicyReading
from sidegate.config.plan import key_of
from sidegate.config.policy_file import read_document
from sidegate.core.model.errors import InvariantError, PolicyError

ACME = b"organization: acme\nbindings:\n  - {id: b1, who: user:ana, role: Viewer, on: p1}\n"
BROKEN = b"organization: acme\nbindings:\n  - {id: b1, who: user:ana, role: Viewer, on: p1:x}\n"


def test_what_was_read_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken out, so that it does not stay beside what comes after it; then a process is started."""
    document = read_document(ACME, "acme.yaml")
    documents = {key_of(ACME, "acme.yaml"): document}
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    reading = PolicyReading(documents)
    assert reading(ACME, "acme.yaml") is document
    assert documents == {}
    with pytest.raises(FileNotFoundError):
        reading(ACME, "acme.yaml")


@pytest.mark.parametrize(
    ("content", "file"),
    [pytest.param(BROKEN, "acme.yaml", id="other-content"), pytest.param(ACME, "b.yaml", id="other-name")],
)
def test_what_is_not_the_same_is_read(monkeypatch: pytest.MonkeyPatch, content: bytes, file: str) -> None:
    """Content and name have to be those that were read: errors and explanations name the file."""
    reading = PolicyReading({key_of(ACME, "acme.yaml"): read_document(ACME, "acme.yaml")})
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError):
        reading(content, file)


def test_another_process_reads_the_same() -> None:
    """The document, with the place of every entry."""
    expected = read_document(ACME, "a b/-acme.yaml")
    found = PolicyReading({})(ACME, "a b/-acme.yaml")
    assert found == expected
    assert dict(found.positions) == dict(expected.positions)


def test_another_process_finds_the_same_problems() -> None:
    """Each with file, line and column."""
    with pytest.raises(PolicyError) as here:
        read_document(BROKEN, "acme.yaml")
    with pytest.raises(PolicyError) as there:
        PolicyReading({})(BROKEN, "acme.yaml")
    assert there.value.problems == here.value.problems
    assert there.value.problems[0].position is not None


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("echo 'none left' >&2; exit 75", "ended with 75: none left", id="no-memory"),
        pytest.param("kill -KILL $$", "was ended by SIGKILL", id="killed"),
    ],
)
def test_a_reader_that_failed_this_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, expected: str
) -> None:
    """That is not the file's fault: an error of the machine, after which it is tried again."""
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(fake))
    with pytest.raises(OSError, match=f"^the process that reads it {expected}$"):
        PolicyReading({})(ACME, "acme.yaml")


def test_a_reader_with_a_bug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It would come again: no error of the machine."""
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\ncat > /dev/null\necho 'KeyError: 3' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(fake))
    with pytest.raises(InvariantError, match="ended with 1: KeyError: 3"):
        PolicyReading({})(ACME, "acme.yaml")
