"""Where commands find the configuration and what it names."""

from pathlib import Path

import pytest

from sidegate.cli.exit_codes import UsageError
from sidegate.cli.local import (
    find_config,
    find_policies,
    find_routes,
    find_spool,
    load_policies,
    policy_folder,
    read_settings,
)
from sidegate.config.places import RedisSource
from sidegate.core.model.errors import ConfigError, PolicyError


def test_where_the_configuration_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag before the variable, the variable before the usual place, else nowhere."""
    assert find_config(None) is None
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "sidegate.yaml").write_text("")
    assert find_config(None) == Path("config/sidegate.yaml")
    monkeypatch.setenv("SIDEGATE_CONFIG", "named.yaml")
    assert find_config(None) == Path("named.yaml")
    assert find_config(Path("given.yaml")) == Path("given.yaml")


def test_settings_from_variables_alone(policy: Path, routes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar may have no file at all, when variables say everything."""
    with pytest.raises(ConfigError, match=r"there is no config/sidegate\.yaml here"):
        read_settings(None)
    for name, text in {
        "UPSTREAM__URL": "http://127.0.0.1:9000", "ROUTES": str(routes), "POLICY__SOURCE": f"dir:{policy}",
        "AUDIT__SPOOL": "spool",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"SIDEGATE_{name}", text)
    assert read_settings(None).routes == routes


def test_the_spool(config: Path, tmp_path: Path) -> None:
    """As given, else the configured one, which is relative to the configuration."""
    assert find_spool(Path("x"), None) == Path("x")
    assert find_spool(None, config) == tmp_path / "var" / "audit"


def test_policies(policy: Path, config: Path) -> None:
    """A folder, a file, or what is configured; a revision is the time of the file's change, as in a sidecar."""
    both = load_policies(policy)
    assert set(both.snapshot.organizations) == {"acme", "globex"}
    revision = (policy / "acme.yaml").stat().st_mtime_ns // 1_000_000
    assert both.organization("acme").revision == revision
    one = load_policies(policy / "acme.yaml")
    assert (set(one.snapshot.organizations), one.organization("acme").revision) == ({"acme"}, revision)
    assert set(find_policies(None, config).snapshot.organizations) == {"acme", "globex"}
    assert both.warnings == ()


def test_no_policies(tmp_path: Path) -> None:
    """An empty folder holds none; asking for one says so."""
    nothing = load_policies(tmp_path)
    assert (nothing.snapshot.revision, dict(nothing.snapshot.organizations)) == (0, {})
    with pytest.raises(UsageError, match="there are: none at all"):
        nothing.organization("acme")


def test_a_policy_that_cannot_be_used(policy: Path) -> None:
    """Everything that is wrong in any of the files."""
    for name in ("acme", "globex"):
        (policy / f"{name}.yaml").write_text(f"organization: {name}\nx: 1\n")
    with pytest.raises(PolicyError) as caught:
        load_policies(policy)
    assert len(caught.value.problems) == 2


def test_a_policy_that_is_not_in_files(config: Path) -> None:
    """A policy elsewhere cannot be read from here, and the flag that can is named."""
    settings = read_settings(config)
    elsewhere = settings.policy.model_copy(update={"source": RedisSource("redis://user:secret@host")})
    with pytest.raises(ConfigError, match="name policy files with --policy PATH") as caught:
        policy_folder(settings.model_copy(update={"policy": elsewhere}))
    assert "secret" not in str(caught.value)


def test_routes(routes: Path, config: Path) -> None:
    """As given, else the configured ones."""
    assert len(find_routes(routes, None).table.routes) == len(find_routes(None, config).table.routes) == 6
