"""The sidecar's definition: read whole, or refused with what to take instead."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidegate.core.model.errors import ConfigError
from sidegate.injector.definition import DEFAULT_PATH, MAX_BYTES, default_definition, read_definition

DEFAULT = json.loads(DEFAULT_PATH.read_text("utf-8"))


def test_the_default_is_read() -> None:
    """What lies beside the module is a definition, and names what is ours in a pod."""
    assert read_definition(DEFAULT_PATH) == default_definition()
    assert {name.partition("-")[0] for name in default_definition().volume_names} == {"sidegate"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"container": {**DEFAULT["container"], "name": "x"}}, "not called sidegate", id="name"),
        pytest.param({"container": {**DEFAULT["container"], "env": [7]}}, "container.env is no list", id="env"),
        pytest.param({"volumes": []}, "no volume sidegate-config", id="volumes"),
        pytest.param({"native": "true"}, "`native` cannot be used", id="text-for-truth"),
        pytest.param({"ports": {"data": 80, "admin": 9090}}, "`ports.data` cannot be used", id="privileged"),
        pytest.param({"bindAddress": "localhost"}, "`bindAddress` cannot be used", id="name-to-bind"),
        pytest.param({"extra": 1}, "`extra` cannot be used", id="unknown"),
    ],
)
def test_what_is_none_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """By its key, with what to do."""
    file = tmp_path / "sidecar.json"
    file.write_text(json.dumps({**DEFAULT, **change}))
    with pytest.raises(ConfigError) as refused:
        read_definition(file)
    assert message in str(refused.value)
    assert "the chart renders" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param("{", "is no JSON", id="cut"),
        pytest.param("[" * 100_000, "is no JSON", id="deep"),
        pytest.param("x" * (MAX_BYTES + 1), "more than", id="large"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    """With where to get one."""
    file = tmp_path / "sidecar.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=message) as refused:
        read_definition(file)
    assert "the injector's ConfigMap" in str(refused.value)
