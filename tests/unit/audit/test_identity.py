"""Tests of a sidecar's name."""

from pathlib import Path

import pytest

from sidegate.audit.identity import load_sidecar_name
from sidegate.core.model.errors import ConfigError
from sidegate.core.trail.chain import is_sidecar_name


def test_name_stays_when_the_host_changes(tmp_path: Path) -> None:
    """A container has another host name at each start; its spool, and so its chain, stays."""
    first = load_sidecar_name(tmp_path / "audit", "web-1", "w0", lambda count: b"\xab" * count)
    assert first == "web-1-abababab-w0"
    assert load_sidecar_name(tmp_path / "audit", "web-2", "w0") == first
    assert load_sidecar_name(tmp_path / "audit", "web-2", "w1") == "web-1-abababab-w1"
    assert load_sidecar_name(tmp_path / "audit", "web-2", "admin") == "web-1-abababab-admin"
    assert [path.name for path in (tmp_path / "audit").iterdir()] == ["sidecar.id"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("a.b-c", "a.b-c-00000000-w0", id="as-it-is"),
        pytest.param("", "sidecar-00000000-w0", id="empty"),
        pytest.param("../etc", "etc-00000000-w0", id="path"),
        pytest.param("h\u00f6st name", "h-st-name-00000000-w0", id="other-characters"),
        pytest.param("x" * 300, "x" * 64 + "-00000000-w0", id="long"),
    ],
)
def test_name_is_fit_for_a_folder(host: str, expected: str, tmp_path: Path) -> None:
    """Whatever a host is called."""
    name = load_sidecar_name(tmp_path, host, "w0", bytes)
    assert expected == name
    assert is_sidecar_name(name)


@pytest.mark.parametrize("content", [b"", b"../x\n", b"\xff\xfe", b"a" * 200])
def test_name_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    """The file was damaged: going on under another name would begin another chain in silence."""
    (tmp_path / "sidecar.id").write_bytes(content)
    with pytest.raises(ConfigError, match="restore the file"):
        load_sidecar_name(tmp_path, "host", "w0")
