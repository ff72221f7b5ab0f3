"""`sidegate audit verify`: what was tampered with, by name (spec 5.7)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.samples import decision_record


@pytest.fixture
def root(spool: Callable[..., Path]) -> Path:
    """A spool of five records."""
    return spool([decision_record(number) for number in range(1, 6)])


def _segment(root: Path) -> Path:
    return root / "side-w0" / "00000001.ndjson"


def test_an_intact_trail(sidegate: Any, root: Path) -> None:
    """Exit code 0; what there is, and how far it is signed."""
    done = sidegate("audit", "verify", root)
    expected = """\
SIDECAR  RECORDS  FIRST  LAST  CHECKPOINTS  SIGNED TO  NOT SIGNED YET  FINDINGS
side-w0  5        1      5     2            5          0               0
intact
"""
    assert (0, expected, "") == (done.code, done.out, done.err)


@pytest.mark.parametrize("place", [3, 200, 600, -2, -1])
def test_one_byte_changed(sidegate: Any, root: Path, place: int) -> None:
    """One changed byte anywhere in a segment is found: exit code 1."""
    content = bytearray(_segment(root).read_bytes())
    content[place] ^= 1
    _segment(root).write_bytes(content)
    done = sidegate("audit", "verify", root, "-o", "json")
    assert (done.code, done.json["intact"]) == (1, False)
    assert done.json["findings"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param(lambda lines: lines[:3] + lines[4:], "removed", id="removed"),
        pytest.param(lambda lines: [*lines[:3], lines[2], *lines[3:]], "inserted", id="inserted-twice"),
        pytest.param(lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "reordered", id="reordered"),
        pytest.param(
            lambda lines: [*lines[:3], lines[3].replace(b'"deny"', b'"allow"'), *lines[4:]], "changed", id="changed"
        ),
    ],
)
def test_says_what_was_done_and_where(
    sidegate: Any, root: Path, change: Callable[[list[bytes]], list[bytes]], kind: str
) -> None:
    """Names the kind of tampering, the file and the line; exit code 1."""
    lines = _segment(root).read_bytes().splitlines(keepends=True)
    _segment(root).write_bytes(b"".join(change(lines)))
    done = sidegate("audit", "verify", root)
    assert done.code == 1
    assert f"{_segment(root)}:" in done.out
    assert f": {kind}: " in done.out
    assert done.out.endswith("tampered with, or damaged: see above\n")


def test_the_folder_of_one_sidecar(sidegate: Any, root: Path) -> None:
    """The folder of a sidecar in a spool can be named too; its key is beside it."""
    assert sidegate("audit", "verify", root / "side-w0").code == 0


def test_without_a_key(sidegate: Any, root: Path, tmp_path: Path) -> None:
    """No key: nothing is claimed. --unsigned looks at the chain alone and says so; --key takes one from elsewhere."""
    (root / "checkpoint.pub").rename(tmp_path / "elsewhere.pub")
    missing = sidegate("audit", "verify", root)
    unsigned = sidegate("audit", "verify", root, "--unsigned")
    elsewhere = sidegate("audit", "verify", root, "--key", tmp_path / "elsewhere.pub")
    both = sidegate("audit", "verify", root, "--unsigned", "--key", tmp_path / "elsewhere.pub")
    assert (missing.code, unsigned.code, elsewhere.code, both.code) == (78, 0, 0, 2)
    assert "as far as a chain without its signatures can tell" in unsigned.out


def test_another_key(sidegate: Any, root: Path, spool: Callable[..., Path], tmp_path: Path) -> None:
    """A trail that somebody signed with a key of their own is not intact."""
    (root / "checkpoint.pub").rename(tmp_path / "ours.pub")
    for file in (root / "checkpoint.key", _segment(root)):
        file.unlink()
    spool([decision_record(1)])
    done = sidegate("audit", "verify", root, "--key", tmp_path / "ours.pub")
    assert (done.code, "unsigned" in done.out) == (1, True)


def test_takes_the_configured_spool(sidegate: Any, root: Path, config: Path) -> None:
    """Without an argument the configured spool is verified."""
    assert root.is_dir()
    assert sidegate("audit", "verify", "--config", config).code == 0


def test_nothing_to_verify(sidegate: Any, tmp_path: Path) -> None:
    """An empty folder is not intact: nothing was checked."""
    done = sidegate("audit", "verify", tmp_path, "--unsigned")
    assert (done.code, "holds no segments" in done.err) == (78, True)
    assert sidegate("audit", "verify", tmp_path / "nowhere").code == 2
