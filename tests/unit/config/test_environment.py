"""Variables and flags set what a file sets, and are refused like it (spec 6)."""

import os
from typing import Any

import pytest
from tests.unit.config.files import SIGNED, UPSTREAM, Folder

from sidegate.config.environment import config_path, read_environment
from sidegate.config.json_schema import generate_schema
from sidegate.config.places import UnixEndpoint
from sidegate.config.settings_model import Settings
from sidegate.core.model.decision import Reason


@pytest.mark.parametrize(
    ("variable", "text", "read", "expected"),
    [
        pytest.param("LIMITS__HEADERS", "60", lambda s: s.limits.headers, 60, id="number"),
        pytest.param("LIMITS__HEAD_TIMEOUT_MS", "70", lambda s: s.limits.head_timeout_ms, 70, id="duration"),
        pytest.param("LISTEN", "127.0.0.1:1", lambda s: str(s.listen.address), "127.0.0.1:1", id="short-form"),
        pytest.param("LISTEN__ADDRESS", "h:1", lambda s: str(s.listen.address), "h:1", id="long-form"),
        pytest.param("HIDE", "no_grant, cross_org", lambda s: s.hide, {Reason.CROSS_ORG, Reason.NO_GRANT}, id="list"),
        pytest.param("HIDE", "[cross_org]", lambda s: sorted(s.hide), [Reason.CROSS_ORG], id="flow-list"),
        pytest.param("TRUSTED_PROXIES", "", lambda s: s.trusted_proxies, (), id="empty-list"),
        pytest.param("LOG", "{level: error}", lambda s: s.log.level, "error", id="flow-mapping"),
        pytest.param("SESSIONS__COOKIE", "123", lambda s: s.sessions.cookie, "123", id="text-that-looks-like-a-number"),
        pytest.param(
            "SESSIONS__SURFACES__WEB", "{idle_ms: 1, absolute_ms: 2}", lambda s: s.sessions.surfaces["web"].idle_ms, 1,
            id="entry-of-a-mapping",
        ),
    ],
)  # fmt: skip
def test_variables(folder: Folder, variable: str, text: str, read: object, expected: object) -> None:
    """A variable is named by its path and read as its setting wants it."""
    settings = folder.load(UPSTREAM + "log: {format: json}", {f"SIDEGATE_{variable}": text, "PATH": "/bin"})
    assert callable(read)
    assert expected == read(settings)


def numbers(schema: dict[str, Any], part: dict[str, Any], prefix: str = "") -> dict[str, int]:
    """Return every setting that is a number, by its variable, with its default."""
    found: dict[str, int] = {}
    for name, inner in part.get("properties", {}).items():
        below = schema["$defs"][inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner
        if inner.get("type") == "integer" and "default" in inner:
            found[f"{prefix}{name.upper()}"] = inner["default"]
        found |= numbers(schema, below, f"{prefix}{name.upper()}__")
    return found


SCHEMA = generate_schema(Settings)
NUMBERS = numbers(SCHEMA, SCHEMA)


def test_every_number_can_be_a_variable(folder: Folder) -> None:
    """Whatever a file takes as a number, a variable gives as one, durations and counts alike."""
    assert {"WORKERS", "LIMITS__DRAIN_TIMEOUT_MS", "UPSTREAM__CONNECT_TIMEOUT_MS"} <= NUMBERS.keys()
    variables = {f"SIDEGATE_{name}": str(number) for name, number in NUMBERS.items()}
    (folder.path / "jwks.json").write_text("{}")
    assert folder.load(f"{UPSTREAM}{SIGNED}}}}}", variables) == folder.load(f"{UPSTREAM}{SIGNED}}}}}")


def test_relative_path_from_outside(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path of a variable or a flag starts where the command was called, not in the file's folder."""
    elsewhere = folder.path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    settings = folder.load(UPSTREAM + "listen: unix:a", {"SIDEGATE_ADMIN": "unix:b"}, {"audit.spool": "c"})
    assert settings.listen.address == UnixEndpoint(folder.path / "a")
    assert settings.admin.address == UnixEndpoint(elsewhere / "b")
    assert settings.audit.spool == elsewhere / "c"


@pytest.mark.parametrize(
    ("environment", "overrides", "expected"),
    [
        pytest.param(
            {"SIDEGATE_LIMIT__HEADERS": "1"},
            {},
            "`SIDEGATE_LIMIT__HEADERS` is not known; did you mean `SIDEGATE_LIMITS__HEADERS`?",
            id="unknown-variable",
        ),
        pytest.param(
            {"SIDEGATE_CONFG": "x"}, {}, "`SIDEGATE_CONFG` is not known; did you mean `SIDEGATE_CONFIG`?", id="config"
        ),
        pytest.param({"SIDEGATE_": "x"}, {}, "`SIDEGATE_` is not known; ", id="no-name"),
        pytest.param({"SIDEGATE_LISTEN_FILE": "x"}, {}, "`SIDEGATE_LISTEN_FILE` is not known", id="file-of-no-secret"),
        pytest.param(
            {"SIDEGATE_LIMITS__HEADERS": "many"},
            {},
            "`SIDEGATE_LIMITS__HEADERS` is 'many'; write a whole number, e.g. 100",
            id="wrong-value",
        ),
        pytest.param({"SIDEGATE_WORKERS": ""}, {}, "`SIDEGATE_WORKERS` is empty; ", id="empty-number"),
        pytest.param({"SIDEGATE_HIDE": "[a"}, {}, "`SIDEGATE_HIDE` is '[a'; ", id="broken-flow-list"),
        pytest.param({"SIDEGATE_LOG": "info"}, {}, "`SIDEGATE_LOG` is 'info'; write a mapping", id="text-for-mapping"),
        pytest.param(
            {"SIDEGATE_LOG": "{levl: info}"},
            {},
            "`SIDEGATE_LOG` is not known; did you mean `level`?",
            id="unknown-inside",
        ),
        pytest.param(
            {}, {"limits.heders": "1"}, "`--limits.heders` is not known; did you mean `limits.headers`", id="flag"
        ),
        pytest.param({}, {"workers": "x"}, "`--workers` is 'x'; write a whole number, e.g. 1", id="wrong-flag"),
    ],
)
def test_refused(folder: Folder, environment: dict[str, str], overrides: dict[str, str], expected: str) -> None:
    """What names no setting, or has a wrong value, is named as it was given."""
    (problem,) = folder.problems(UPSTREAM, environment, overrides)
    assert expected in problem


def test_secret_file_that_is_not_there(folder: Folder) -> None:
    """A variable that names a secret's file is named when the file cannot be read."""
    text = UPSTREAM + SIGNED.replace("RS256", "HS256") + "}}"
    (problem,) = folder.problems(text, {"SIDEGATE_SESSIONS__SIGNED__SECRET_FILE": "/no/such"})
    assert "`SIDEGATE_SESSIONS__SIGNED__SECRET_FILE` cannot be read: No such file or directory" in problem


def test_name_of_the_configuration_file() -> None:
    """SIDEGATE_CONFIG names the file and is no setting."""
    assert str(config_path({"SIDEGATE_CONFIG": "a/b.yaml"})) == "a/b.yaml"
    assert config_path({"SIDEGATE_CONFIG": ""}) is None
    assert config_path({}) is None


def test_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read stays, whatever becomes of the process's own variables."""
    monkeypatch.setenv("SIDEGATE_WORKERS", "3")
    environment = read_environment()
    monkeypatch.setenv("SIDEGATE_WORKERS", "4")
    assert (environment["SIDEGATE_WORKERS"], os.environ["SIDEGATE_WORKERS"]) == ("3", "4")
