"""Where ``sidegate health`` finds the admin port, and what it makes of an address it cannot use."""

from pathlib import Path

import pytest

from sidegate.cli.health import (
    BAD_CONFIGURATION,
    DEFAULT_ADDRESS,
    LIVE,
    USAGE,
    AddressError,
    check_health,
    find_address,
    main,
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the project's own configuration file out of sight."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("admin: 127.0.0.1:9191\n", "127.0.0.1:9191", id="short-form"),
        pytest.param("admin: {address: '[::1]:9191'}\n", "[::1]:9191", id="long-form"),
        pytest.param("listen: 127.0.0.1:8080\n", DEFAULT_ADDRESS, id="not-written"),
        pytest.param("", DEFAULT_ADDRESS, id="empty-file"),
    ],
)
def test_the_file_says_where(tmp_path: Path, written: str, expected: str) -> None:
    """`admin` is read in both of its forms; the default stands in where it is not written (spec 6.1)."""
    file = tmp_path / "sidegate.yaml"
    file.write_text(written)
    assert expected == find_address(None, str(file), {})


def test_a_unix_socket_is_beside_the_file(tmp_path: Path) -> None:
    """A relative path in a configuration file is relative to its folder (spec 6)."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/sidegate.yaml").write_text("admin: unix:admin.sock\n")
    assert find_address(None, "etc/sidegate.yaml", {}) == "unix:etc/admin.sock"


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        pytest.param("h:1", {"SIDEGATE_ADMIN": "h:2", "SIDEGATE_CONFIG": "c.yaml"}, "h:1", id="flag-first"),
        pytest.param(None, {"SIDEGATE_ADMIN": "h:2", "SIDEGATE_CONFIG": "c.yaml"}, "h:2", id="variable-before-file"),
        pytest.param(None, {"SIDEGATE_ADMIN__ADDRESS": "h:4", "SIDEGATE_ADMIN": "h:2"}, "h:4", id="longer-variable"),
        pytest.param(None, {"SIDEGATE_CONFIG": "c.yaml"}, "h:3", id="file-of-the-environment"),
        pytest.param(None, {}, "h:5", id="usual-file"),
    ],
)
def test_precedence(tmp_path: Path, given: str | None, environment: dict[str, str], expected: str) -> None:
    """A flag goes before a variable, a variable before the file, the file before the default (spec 6)."""
    (tmp_path / "c.yaml").write_text("admin: h:3\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/sidegate.yaml").write_text("admin: h:5\n")
    assert expected == find_address(given, None, environment)


def test_nothing_said_is_the_default() -> None:
    """Without flag, variable and file it is the default of the settings."""
    assert find_address(None, None, {}) == DEFAULT_ADDRESS


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("admin: [1]\n", id="a-list"),
        pytest.param("admin: {address: 9090}\n", id="a-number"),
        pytest.param("admin: {address\n", id="no-yaml"),
    ],
)
def test_an_unreadable_file_is_said(tmp_path: Path, written: str) -> None:
    """A file that does not say where the port is is named: the default would ask somebody else's port."""
    file = tmp_path / "sidegate.yaml"
    file.write_text(written)
    with pytest.raises(AddressError, match=r"sidegate\.yaml` does not say where the admin port is"):
        find_address(None, str(file), {})


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """A file that was named and is not there is an error, not the default."""
    with pytest.raises(AddressError, match="No such file"):
        find_address(None, str(tmp_path / "none.yaml"), {})


@pytest.mark.parametrize("address", ["localhost", "localhost:http", "localhost:65536", "localhost:-1", "9090", ""])
def test_no_address(address: str) -> None:
    """What is no address is bad configuration, and the message says what to write."""
    code, text = check_health(address, LIVE, 1.0)
    assert (BAD_CONFIGURATION, f"`{address}` is no address; write host:port or unix:path") == (code, text)


def test_main_tells_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 78 and one line on standard error."""
    assert main(["--config", str(tmp_path / "none.yaml")]) == BAD_CONFIGURATION
    assert capsys.readouterr().err.startswith("sidegate health: `")


@pytest.mark.parametrize("seconds", ["0", "-1", "61", "soon", "nan"])
def test_a_timeout_is_bounded(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A probe that waits for ever tells nothing."""
    with pytest.raises(SystemExit) as ended:
        main(["--timeout", seconds])
    assert ended.value.code == USAGE
    assert "--timeout" in capsys.readouterr().err
