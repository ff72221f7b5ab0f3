"""Tests of making the configured sinks."""

from pathlib import Path

import pytest

from sidegate.audit.sinks.making import check_sinks, make_sink, require_extra
from sidegate.config.audit_model import Sink
from sidegate.core.model.errors import ConfigError
from sidegate.telemetry.tasks import TaskSet


@pytest.mark.parametrize(
    ("written", "name"),
    [
        pytest.param({"file": "out"}, "file", id="file"),
        pytest.param({"redis": "redis://127.0.0.1:1"}, "redis", id="redis"),
        pytest.param({"http": "http://127.0.0.1:1/in"}, "http", id="http"),
        pytest.param({"nats": "nats://127.0.0.1:1"}, "nats", id="nats"),
    ],
)
async def test_each_kind_is_made(written: dict[str, str], name: str) -> None:
    """Nothing is connected before the first batch; the cursor's file has the name of the setting."""
    sink = Sink.model_validate(written)
    check_sinks([sink])
    tasks = TaskSet()
    made = make_sink(sink, tasks)
    assert made.name == name
    await tasks.close()
    await made.close()


def test_extra_that_is_not_installed_is_named() -> None:
    """And how to install it."""
    with pytest.raises(ConfigError, match=r"needs the extra `none_such`.*install `sidegate\[none_such\]`"):
        require_extra("none_such", "audit.sinks")


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """At the start, not with the first batch."""
    (tmp_path / "ca.pem").write_text("none")
    sink = Sink.model_validate({"http": {"url": "https://h/in", "ca": str(tmp_path / "ca.pem")}})
    with pytest.raises(ConfigError, match=r"ca\.pem` cannot be used"):
        check_sinks([sink])
